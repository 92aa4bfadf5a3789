// Sample the next token from row 0 of the logits, hand it to `embed`, note it in the ring, and advance the step. One workgroup.
//
// Temperature, then top-k, then top-p, then min-p, then the inverse of the cumulative distribution in the order of ids. There is no sort: "the
// likeliest tokens" are those above a threshold and, of those equal to it, the ones with the lowest ids. The threshold is a u32 key
// that orders as the logit does; it is found two bits at a time, from sums over all tokens: of 1 for top-k, of weight for top-p; min-p names it outright.
// The CPU's sample (rust/inference/src/cpu/sample.rs) is the same, one bit at a time.
// Dispatch (1, 1, 1). Oracle: tests/shaders/oracles.py:sample

@group(0) @binding(0) var<storage, read_write> step: Step;            // position and ring_index advance by 1
@group(0) @binding(1) var<storage, read> logits: array<u32>;          // (V), bits of f32
@group(0) @binding(2) var<storage, read_write> ids: array<u32>;       // (1), the id, for embed
@group(0) @binding(3) var<storage, read_write> ring: array<u32>;      // the id, or BAD_LOGIT | the first index of a NaN or +infinity

override THREADS: u32 = 256;           // at most MAX_THREADS; fewer on a CPU adapter, which pays for each thread at each barrier
const MAX_THREADS: u32 = 256;
const LEADERS: u32 = 8;                // at most THREADS
const BAD_LOGIT: u32 = 0x80000000;  // vocabularies end at 2^20
const NOWHERE: u32 = 0xffffffff;

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
var<workgroup> masses: array<f32, MAX_THREADS>;
var<workgroup> tie_counts: array<u32, MAX_THREADS>;
var<workgroup> search: Search;

// A u32 that orders as the float does; −0 and +0 have the same key.
fn key_of(bits: u32) -> u32 {
  let canonical = select(bits, 0u, bits == 0x80000000u);
  return select(canonical | 0x80000000u, ~canonical, (canonical >> 31u) == 1u);
}

// The logit of a key.
fn logit_of(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, (key >> 31u) == 1u));
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

// Far below the largest the weight is 0: exp of a huge negative number is not 0 on every driver (Mesa 22.3's llvmpipe).
fn weight_of(key: u32, largest: f32) -> f32 {
  let exponent = (logit_of(key) - largest) / parameters.temperature;
  return select(exp(max(exponent, -87.0)), 0.0, exponent < -87.0);
}

// Weight of one of the threshold's ties. Where nothing was cut off there are none, and the threshold is no logit's key.
fn tie_weight_of(kept: Kept, largest: f32) -> f32 {
  if (kept.ties == 0u) {
    return 0.0;
  }
  return weight_of(kept.threshold, largest);
}

// For each threshold, the sum over the tokens with key ≥ threshold: of 1 where by_count (exact in f32, V ≤ 2^20), else of weight.
fn sums_from(thresholds: vec3<u32>, by_count: bool, largest: f32, local: u32) -> vec3<f32> {
  var own = vec3<f32>();
  for (var id = local; id < VOCAB_SIZE; id += THREADS) {
    let key = key_of(logits[id]);
    var amount = 1.0;
    if (!by_count) {
      amount = weight_of(key, largest);
    }
    own += select(vec3<f32>(), vec3<f32>(amount), vec3<u32>(key) >= thresholds);
  }
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

// The largest threshold for which the sum from it is at least `wanted`, and no less than `floor`.
fn bisect(wanted: f32, floor: u32, by_count: bool, largest: f32, local: u32) -> u32 {
  var threshold = 0u;
  for (var i = 0u; i < 16u; i++) {
    let shift = 30u - 2u * i;
    let candidates = vec3<u32>(threshold) | vec3<u32>(1u << shift, 2u << shift, 3u << shift);
    let sums = sums_from(candidates, by_count, largest, local);
    let enough = (candidates <= vec3<u32>(floor)) | (sums >= vec3<f32>(wanted));
    threshold |= (u32(enough.x) + u32(enough.y) + u32(enough.z)) << shift;
  }
  return threshold;
}

fn keep_top_k(k: u32, largest: f32, local: u32) -> Kept {
  let threshold = bisect(f32(k), 0u, true, largest, local);
  let above = sums_from(vec3<u32>(threshold + 1u), true, largest, local).x;
  return Kept(threshold, k - u32(above));
}

fn keep_top_p(top_p: f32, kept: Kept, largest: f32, local: u32) -> Kept {
  let above_kept = sums_from(vec3<u32>(kept.threshold + 1u), false, largest, local).x;
  let wanted = top_p * (above_kept + f32(kept.ties) * tie_weight_of(kept, largest));
  let threshold = bisect(wanted, kept.threshold, false, largest, local);
  let above = sums_from(vec3<u32>(threshold + 1u), false, largest, local).x;
  let tie_weight = weight_of(threshold, largest);
  var ties = VOCAB_SIZE;
  if (tie_weight * f32(VOCAB_SIZE) > wanted - above) {
    // The quotient's rounding must not cost a tie: four equal weights are a quarter of sixteen, not five.
    ties = max(u32(ceil((wanted - above) / tie_weight * (1.0 - 1e-6))), 1u);
  }
  return Kept(threshold, select(ties, min(ties, kept.ties), threshold == kept.threshold));
}

// Min-p: a ratio of probabilities is a difference of logits, so the floor needs no sum over the tokens.
fn keep_range(range: f32, kept: Kept, largest: f32) -> Kept {
  let floor = key_of(bitcast<u32>(largest - range));
  if (floor <= kept.threshold) {
    return kept;
  }
  return Kept(floor - 1u, 0u);
}

// The first kept token, in the order of ids, with which the running weight exceeds `unit` of the whole; else the last one with weight.
// A search in levels: each thread sums a span of tokens, thread 0 finds the span with the goal, and the next level divides that.
fn inverse_cdf(unit: f32, kept: Kept, largest: f32, local: u32) -> u32 {
  let tie_weight = tie_weight_of(kept, largest);
  var place = Search(0u, kept.ties, 0.0, -1.0);
  var span = VOCAB_SIZE;
  while (span > 1u) {
    let end = min(place.start + span, VOCAB_SIZE);
    span = (span + THREADS - 1u) / THREADS;
    var mass = 0.0;
    var tie_count = 0u;
    let own_start = place.start + local * span;
    for (var id = own_start; id < min(own_start + span, end); id++) {
      let key = key_of(logits[id]);
      if (key > kept.threshold) {
        mass += weight_of(key, largest);
      } else if (key == kept.threshold) {
        tie_count += 1u;
      }
    }
    masses[local] = mass;
    tie_counts[local] = tie_count;
    workgroupBarrier();
    if (local == 0u) {
      if (place.goal < 0.0) {
        var total = 0.0;
        var ties = place.ties;
        for (var i = 0u; i < THREADS; i++) {
          let used = min(tie_counts[i], ties);
          total += masses[i] + f32(used) * tie_weight;
          ties -= used;
        }
        place.goal = unit * total;
      }
      var next = place;
      search = place;
      for (var i = 0u; i < THREADS; i++) {
        let used = min(tie_counts[i], next.ties);
        let own = masses[i] + f32(used) * tie_weight;
        if (own > 0.0) {
          next.start = place.start + i * span;
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
  for (var id = local; id < VOCAB_SIZE; id += THREADS) {
    let bits = logits[id];
    if (bits == 0x7f800000u || (bits & 0x7fffffffu) > 0x7f800000u) {
      atomicMin(&bad_logit, id);
    } else if (own_likeliest == NOWHERE || key_of(bits) > own_key) {
      own_key = key_of(bits);
      own_likeliest = id;
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
  if (options.temperature != 0.0 && options.top_k != 1u) {
    let largest = logit_of(atomicLoad(&largest_key));
    var kept = Kept(0u, 0u);
    if (options.top_k > 0u && options.top_k < VOCAB_SIZE) {
      kept = keep_top_k(options.top_k, largest, local);
    }
    if (options.top_p < 1.0) {
      kept = keep_top_p(options.top_p, kept, largest, local);
    }
    if (options.logit_range < 3e38) {
      kept = keep_range(options.logit_range, kept, largest);
    }
    id = inverse_cdf(random_unit(options.seed, position), kept, largest, local);
  }
  if (local == 0u) {
    let bad = atomicLoad(&bad_logit);
    ids[0] = select(id, 0u, bad != NOWHERE);
    ring[options.ring_index] = select(id, BAD_LOGIT | bad, bad != NOWHERE);
    step.position = position;
    step.ring_index = options.ring_index + 1u;
  }
}
