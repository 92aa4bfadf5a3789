// What both kernels of sampling share: the order and the weight of a logit, and the survey of a large vocabulary.
//
// `survey_logits` reads all logits by many workgroups and leaves what is largest in each of SPANS spans of ids, so that `sample`, one
// workgroup, knows which spans it need not read.

const NOWHERE: u32 = 0xffffffff;
const LOWEST_KEY: u32 = 0x00800000;  // of the lowest finite logit
const SPANS: u32 = 256;

struct Span {
  largest_key: u32,
  likeliest: u32,  // the lowest id with that key; NOWHERE in a span without ids
  bad_logit: u32,  // the lowest id whose logit is NaN or +infinity; NOWHERE where there is none
  mass: f32,       // sum of all weights relative to the span's largest; only where `needs_mass`
}

// Ids of a span; the last spans may have fewer, or none.
fn span_size() -> u32 {
  return (VOCAB_SIZE + SPANS - 1u) / SPANS;
}

// Whether the likeliest token is taken without a draw.
fn is_greedy(options: Step) -> bool {
  return options.temperature == 0.0 || options.top_k == 1u;
}

fn cuts_by_count(options: Step) -> bool {
  return options.top_k > 0u && options.top_k < VOCAB_SIZE;
}

// Whether the sum of all weights is wanted: a token may be drawn from all, or top-p be of all.
fn needs_mass(options: Step) -> bool {
  return !is_greedy(options) && !cuts_by_count(options) && (options.top_p < 1.0 || options.logit_range >= 3e38);
}

// NaN or +infinity; −infinity forbids a token.
fn is_bad(bits: u32) -> bool {
  return bits == 0x7f800000u || (bits & 0x7fffffffu) > 0x7f800000u;
}

// A u32 that orders as the float does; −0 and +0 have the same key.
fn key_of(bits: u32) -> u32 {
  let canonical = select(bits, 0u, bits == 0x80000000u);
  return select(canonical | 0x80000000u, ~canonical, (canonical >> 31u) == 1u);
}

// The logit of a key.
fn logit_of(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, (key >> 31u) == 1u));
}

// Far below the largest the weight is 0: exp of a huge negative number is not 0 on every driver (Mesa 22.3's llvmpipe).
fn weight_of(key: u32, largest: f32, temperature: f32) -> f32 {
  let exponent = (logit_of(key) - largest) / temperature;
  return select(exp(max(exponent, -87.0)), 0.0, exponent < -87.0);
}
