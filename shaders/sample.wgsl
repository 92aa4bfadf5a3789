// Sample the next token from row 0 of the logits, hand it to `embed`, note it in the ring, and advance the step. One workgroup.
//
// Temperature, then top-k, then top-p, then min-p, then the inverse of the cumulative distribution in the order of ids. There is no sort: "the
// likeliest tokens" are those above a threshold and, of those equal to it, the ones with the lowest ids. The threshold is a u32 key
// that orders as the logit does; it is found two bits at a time, from sums over all tokens: of 1 for top-k, of weight for top-p; min-p names it outright.
// The CPU's sample (rust/inference/src/cpu/sample.rs) is the same, one bit at a time.
//
// After `survey_logits`, of a large vocabulary, the spans' largest keys give a bound below which the threshold does not lie. Where few
// tokens are above it, the sums are over those, the members, alone; else over all tokens, as without. All is as exact as without.
// Dispatch (1, 1, 1). Uses: keys.wgsl. Oracle: tests/shaders/oracles.py:sample

@group(0) @binding(0) var<storage, read_write> step: Step;            // position and ring_index advance by 1
@group(0) @binding(1) var<storage, read> logits: array<u32>;          // (V), bits of f32
@group(0) @binding(2) var<storage, read_write> ids: array<u32>;       // (1), the id, for embed
@group(0) @binding(3) var<storage, read_write> ring: array<u32>;      // the id, or BAD_LOGIT | the first index of a NaN or +infinity
// The survey, where SURVEYED.
@group(0) @binding(4) var<storage, read> spans: array<Span>;          // (SPANS)
@group(0) @binding(5) var<storage, read_write> members: array<u32>;   // (V), keys; those of a span begin where its ids do

override THREADS: u32 = 256;           // at most MAX_THREADS; fewer on a CPU adapter, which pays for each thread at each barrier
override SURVEYED: bool = false;       // `survey_logits` ran before
const MAX_THREADS: u32 = 256;
const LEADERS: u32 = 8;                // at most THREADS
const BAD_LOGIT: u32 = 0x80000000;  // vocabularies end at 2^20
const SLACK: f32 = 1e-4;            // more than the rounding of a sum of weights, as a share of it

// What the sums are over.
const TOKENS: u32 = 0;
const MEMBERS: u32 = 1;
const LARGEST: u32 = 2;  // of each span: what is surely there, if nothing but that and the span's mass is known

// The likeliest tokens: those with key > threshold, and the first `ties` of those with key == threshold.
struct Kept {
  threshold: u32,
  ties: u32,
}

// Where the inverse CDF's search stands: the target lies among the tokens from `start` on.
struct Search {
  start: u32,
  ties: u32,       // of the threshold's ties, how many may still be kept
  running: f32,    // weight of the kept tokens before `start`
  goal: f32,       // the search ends at the first kept token with which `running` exceeds it
}

var<workgroup> parameters: Step;
var<workgroup> largest_key: atomic<u32>;
var<workgroup> likeliest: atomic<u32>;
var<workgroup> bad_logit: atomic<u32>;
var<workgroup> per_thread: array<vec3<f32>, MAX_THREADS>;
var<workgroup> per_leader: array<vec3<f32>, LEADERS>;
var<workgroup> masses: array<f32, SPANS>;              // a span or a thread
var<workgroup> tie_counts: array<u32, SPANS>;
var<workgroup> member_counts: array<u32, SPANS>;
var<workgroup> search: Search;
var<workgroup> source: u32;                            // TOKENS, or MEMBERS

fn weight(key: u32, largest: f32) -> f32 {
  return weight_of(key, largest, parameters.temperature);
}

// Weight of one of the threshold's ties. Where nothing was cut off there are none, and the threshold is no logit's key.
fn tie_weight_of(kept: Kept, largest: f32) -> f32 {
  if (kept.ties == 0u) {
    return 0.0;
  }
  return weight(kept.threshold, largest);
}

// The sum over all threads, for each of them.
fn sum_of(own: vec3<f32>, local: u32) -> vec3<f32> {
  per_thread[local] = own;
  workgroupBarrier();
  if (local < LEADERS) {
    var sum = vec3<f32>();
    for (var i = local; i < THREADS; i += LEADERS) {
      sum += per_thread[i];
    }
    per_leader[local] = sum;
  }
  workgroupBarrier();
  var sum = vec3<f32>();
  for (var i = 0u; i < LEADERS; i++) {
    sum += per_leader[i];
  }
  return sum;
}

// What a token adds to the sums from each of the thresholds.
fn amounts(key: u32, thresholds: vec3<u32>, by_count: bool, largest: f32) -> vec3<f32> {
  var amount = 1.0;
  if (!by_count) {
    amount = weight(key, largest);
  }
  return select(vec3<f32>(), vec3<f32>(amount), vec3<u32>(key) >= thresholds);
}

// What a span at least adds: its largest token; or its mass, less the most that tokens below the threshold can weigh.
fn least_amounts(s: u32, thresholds: vec3<u32>, by_count: bool, largest: f32) -> vec3<f32> {
  let key = spans[s].largest_key;
  if (by_count || key < LOWEST_KEY) {
    return amounts(key, thresholds, by_count, largest);
  }
  let own = weight(key, largest);
  let below = f32(span_size()) * vec3<f32>(weight(max(thresholds.x, LOWEST_KEY), largest),
                                           weight(max(thresholds.y, LOWEST_KEY), largest),
                                           weight(max(thresholds.z, LOWEST_KEY), largest));
  return select(vec3<f32>(), max(vec3<f32>(own), own * spans[s].mass - below), vec3<u32>(key) >= thresholds);
}

// For each threshold, the sum over what has key ≥ threshold: of 1 where by_count (exact in f32, V ≤ 2^20), else of weight.
fn sums_from(thresholds: vec3<u32>, over: u32, by_count: bool, largest: f32, local: u32) -> vec3<f32> {
  var own = vec3<f32>();
  if (over == TOKENS) {
    for (var id = local; id < VOCAB_SIZE; id += THREADS) {
      own += amounts(key_of(logits[id]), thresholds, by_count, largest);
    }
  } else {
    for (var s = local; s < SPANS; s += THREADS) {
      if (over == LARGEST) {
        own += least_amounts(s, thresholds, by_count, largest);
        continue;
      }
      let start = s * span_size();
      for (var i = start; i < start + member_counts[s]; i++) {
        own += amounts(members[i], thresholds, by_count, largest);
      }
    }
  }
  return sum_of(own, local);
}

// The largest threshold for which the sum from it is at least `wanted`, and no less than `floor`.
fn bisect(wanted: f32, floor: u32, over: u32, by_count: bool, largest: f32, local: u32) -> u32 {
  var threshold = 0u;
  for (var i = 0u; i < 16u; i++) {
    let shift = 30u - 2u * i;
    let candidates = vec3<u32>(threshold) | vec3<u32>(1u << shift, 2u << shift, 3u << shift);
    let sums = sums_from(candidates, over, by_count, largest, local);
    let enough = (candidates <= vec3<u32>(floor)) | (sums >= vec3<f32>(wanted));
    threshold |= (u32(enough.x) + u32(enough.y) + u32(enough.z)) << shift;
  }
  return threshold;
}

fn keep_top_k(k: u32, over: u32, largest: f32, local: u32) -> Kept {
  let threshold = bisect(f32(k), 0u, over, true, largest, local);
  let above = sums_from(vec3<u32>(threshold + 1u), over, true, largest, local).x;
  return Kept(threshold, k - u32(above));
}

// `all`: the weight of all tokens, where the survey has it; nothing was cut off before then.
fn keep_top_p(top_p: f32, kept: Kept, all: f32, over: u32, largest: f32, local: u32) -> Kept {
  let above_kept = sums_from(vec3<u32>(kept.threshold + 1u), over, false, largest, local).x;
  var wanted = top_p * (above_kept + f32(kept.ties) * tie_weight_of(kept, largest));
  if (all > 0.0) {
    wanted = min(top_p * all, above_kept);
  }
  let threshold = bisect(wanted, kept.threshold, over, false, largest, local);
  let above = sums_from(vec3<u32>(threshold + 1u), over, false, largest, local).x;
  let tie_weight = weight(threshold, largest);
  var ties = VOCAB_SIZE;
  if (tie_weight * f32(VOCAB_SIZE) > wanted - above) {
    // The quotient's rounding must not cost a tie: four equal weights are a quarter of sixteen, not five.
    ties = max(u32(ceil((wanted - above) / tie_weight * (1.0 - 1e-6))), 1u);
  }
  return Kept(threshold, select(ties, min(ties, kept.ties), threshold == kept.threshold));
}

// Min-p: a ratio of probabilities is a difference of logits, so the floor needs no sum over the tokens. 0 where nothing is cut off.
fn floor_of(range: f32, largest: f32) -> u32 {
  return select(key_of(bitcast<u32>(largest - range)), 0u, range >= 3e38);
}

// Weight of a span, by the survey.
fn surveyed_mass(s: u32, largest: f32) -> f32 {
  if (spans[s].largest_key < LOWEST_KEY) {
    return 0.0;
  }
  return spans[s].mass * weight(spans[s].largest_key, largest);
}

fn sum_of_spans(largest: f32, local: u32) -> f32 {
  var own = 0.0;
  for (var s = local; s < SPANS; s += THREADS) {
    own += surveyed_mass(s, largest);
  }
  return sum_of(vec3<f32>(own), local).x;
}

// Note the keys from `lower` on. Returns whether they are few enough for sums over them to be worth it.
fn gather(lower: u32, local: u32) -> u32 {
  var total = 0.0;
  for (var s = local; s < SPANS; s += THREADS) {
    let start = min(s * span_size(), VOCAB_SIZE);
    var n = 0u;
    if (spans[s].largest_key >= lower) {
      for (var id = start; id < min(start + span_size(), VOCAB_SIZE); id++) {
        let key = key_of(logits[id]);
        if (key >= lower) {
          members[start + n] = key;
          n += 1u;
        }
      }
    }
    member_counts[s] = n;
    total += f32(n);
  }
  let sum = sum_of(vec3<f32>(total), local).x;
  if (local == 0u) {
    source = select(TOKENS, MEMBERS, sum * 8.0 <= f32(VOCAB_SIZE));
  }
  return workgroupUniformLoad(&source);
}

// A part's kept weight without the threshold's ties, and their number.
fn add_part(key: u32, kept: Kept, largest: f32, mass: ptr<function, f32>, ties: ptr<function, u32>) {
  if (key > kept.threshold) {
    *mass += weight(key, largest);
  } else if (key == kept.threshold) {
    *ties += 1u;
  }
}

// The first kept token, in the order of ids, with which the running weight exceeds `unit` of the whole; else the last one with weight.
// A search in levels: each thread sums a part of the tokens, thread 0 finds the part with the goal, and the next level divides that.
fn inverse_cdf(unit: f32, kept: Kept, over: u32, largest: f32, local: u32) -> u32 {
  let tie_weight = tie_weight_of(kept, largest);
  var place = Search(0u, kept.ties, 0.0, -1.0);
  var size = VOCAB_SIZE;
  var looked_at = over;
  while (size > 1u) {
    let end = min(place.start + size, VOCAB_SIZE);
    let parts = select(SPANS, THREADS, looked_at == TOKENS);
    size = (size + parts - 1u) / parts;
    for (var part = local; part < parts; part += THREADS) {
      var mass = 0.0;
      var ties = 0u;
      let start = place.start + part * size;
      if (looked_at == TOKENS) {
        for (var id = start; id < min(start + size, end); id++) {
          add_part(key_of(logits[id]), kept, largest, &mass, &ties);
        }
      } else if (looked_at == MEMBERS) {
        for (var i = start; i < start + member_counts[part]; i++) {
          add_part(members[i], kept, largest, &mass, &ties);
        }
      } else {
        mass = surveyed_mass(part, largest);
      }
      masses[part] = mass;
      tie_counts[part] = ties;
    }
    looked_at = TOKENS;
    workgroupBarrier();
    if (local == 0u) {
      if (place.goal < 0.0) {
        var total = 0.0;
        var ties = place.ties;
        for (var i = 0u; i < parts; i++) {
          let used = min(tie_counts[i], ties);
          total += masses[i] + f32(used) * tie_weight;
          ties -= used;
        }
        place.goal = unit * total;
      }
      var next = place;
      search = place;
      for (var i = 0u; i < parts; i++) {
        let used = min(tie_counts[i], next.ties);
        let own = masses[i] + f32(used) * tie_weight;
        if (own > 0.0) {
          next.start = place.start + i * size;
          search = next;
        }
        next.running += own;
        next.ties -= used;
        if (own > 0.0 && next.running > next.goal) {
          break;
        }
      }
    }
    workgroupBarrier();
    place = search;
  }
  return place.start;
}

// A draw among the tokens that the options keep.
fn draw(options: Step, position: u32, local: u32) -> u32 {
  let unit = random_unit(options.seed, position);
  let largest = logit_of(atomicLoad(&largest_key));
  let floor = floor_of(options.logit_range, largest);
  var over = TOKENS;
  var all = 0.0;
  if (SURVEYED) {
    var lower = floor;
    if (cuts_by_count(options)) {
      lower = bisect(f32(options.top_k), 0u, LARGEST, true, largest, local);
    } else if (options.top_p < 1.0) {
      all = sum_of_spans(largest, local);
      lower = bisect(options.top_p * (1.0 + SLACK) * all, 0u, LARGEST, false, largest, local);
    } else if (options.logit_range >= 3e38) {
      return inverse_cdf(unit, Kept(0u, 0u), LARGEST, largest, local);
    }
    over = gather(lower, local);
  }
  var kept = Kept(0u, 0u);
  if (cuts_by_count(options)) {
    kept = keep_top_k(options.top_k, over, largest, local);
  }
  if (options.top_p < 1.0) {
    kept = keep_top_p(options.top_p, kept, all, over, largest, local);
  }
  if (floor > kept.threshold) {
    kept = Kept(floor - 1u, 0u);
  }
  return inverse_cdf(unit, kept, over, largest, local);
}

// Source: Jarzynski & Olano 2020, "Hash Functions for GPU Rendering", JCGT 9(3), `pcg`.
fn pcg(input: u32) -> u32 {
  let state = input * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}

fn random_unit(seed: u32, position: u32) -> f32 {
  return f32(pcg(seed ^ pcg(position)) >> 8u) / 16777216.0;
}

@compute @workgroup_size(THREADS)
fn sample(@builtin(local_invocation_index) local: u32) {
  if (local == 0u) {
    parameters = step;
    atomicStore(&largest_key, 0u);  // WGSL promises the zero; Mesa 22.3's llvmpipe does not keep the promise
    atomicStore(&likeliest, NOWHERE);
    atomicStore(&bad_logit, NOWHERE);
  }
  let options = workgroupUniformLoad(&parameters);

  var own_key = 0u;
  var own_likeliest = NOWHERE;
  if (SURVEYED) {
    for (var s = local; s < SPANS; s += THREADS) {
      let span = spans[s];
      atomicMin(&bad_logit, span.bad_logit);
      if (span.likeliest != NOWHERE && (own_likeliest == NOWHERE || span.largest_key > own_key)) {
        own_key = span.largest_key;
        own_likeliest = span.likeliest;
      }
    }
  } else {
    for (var id = local; id < VOCAB_SIZE; id += THREADS) {
      let bits = logits[id];
      if (is_bad(bits)) {
        atomicMin(&bad_logit, id);
      } else if (own_likeliest == NOWHERE || key_of(bits) > own_key) {
        own_key = key_of(bits);
        own_likeliest = id;
      }
    }
  }
  atomicMax(&largest_key, own_key);
  workgroupBarrier();
  if (own_key == atomicLoad(&largest_key)) {
    atomicMin(&likeliest, own_likeliest);
  }
  workgroupBarrier();

  let position = options.position + 1u;
  var id = atomicLoad(&likeliest);
  if (!is_greedy(options)) {
    id = draw(options, position, local);
  }
  if (local == 0u) {
    let bad = atomicLoad(&bad_logit);
    ids[0] = select(id, 0u, bad != NOWHERE);
    ring[options.ring_index] = select(id, BAD_LOGIT | bad, bad != NOWHERE);
    step.position = position;
    step.ring_index = options.ring_index + 1u;
  }
}
