// Penalties and biases: change row 0 of the logits where tokens are concerned, before `sample`. One workgroup.
//
// Repetition penalty, then frequency and presence penalty, then bias; what is not finite stays as it is. Only the tokens in the list are
// touched. The host writes the list before the submission, with what stands in the cache; a token that `sample` took within this
// submission is counted here, before the next one is sampled.
// Dispatch (1, 1, 1). Oracle: tests/shaders/oracles.py:adjust_logits

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> ids: array<u32>;                      // (1), the token that `sample` took last
@group(0) @binding(2) var<storage, read_write> adjustments: Adjustments;
@group(0) @binding(3) var<storage, read_write> logits: array<u32>;             // (V), bits of f32

const THREADS: u32 = 64;
const IN_PROMPT: u32 = 0x80000000;  // in `seen`: the token occurs before the answer; the other bits count how often in it
const FORBIDDEN: u32 = 0xff800000;  // −infinity as bits, since WGSL lets a compiler assume that there are no infinities

struct Adjustment {
  id: u32,
  seen: u32,
  bias: u32,  // bits of f32
}

struct Adjustments {
  length: u32,
  repetition: f32,
  presence: f32,
  frequency: f32,
  list: array<Adjustment>,  // (V), of which `length` are used; no id is there twice
}

var<workgroup> n_listed: u32;
var<workgroup> is_listed: atomic<u32>;

fn adjust(one: Adjustment) {
  let bits = logits[one.id];
  if ((bits & 0x7f800000u) == 0x7f800000u) {
    return;
  }
  if (one.bias == FORBIDDEN) {
    logits[one.id] = FORBIDDEN;
    return;
  }
  var logit = bitcast<f32>(bits);
  if (one.seen > 0u) {
    logit = select(logit * adjustments.repetition, logit / adjustments.repetition, logit > 0.0);
  }
  let count = one.seen & ~IN_PROMPT;
  if (count > 0u) {
    logit -= adjustments.frequency * f32(count) + adjustments.presence;
  }
  logits[one.id] = bitcast<u32>(logit + bitcast<f32>(one.bias));
}

@compute @workgroup_size(THREADS)
fn adjust_logits(@builtin(local_invocation_index) local: u32) {
  if (local == 0u) {
    n_listed = min(adjustments.length, arrayLength(&adjustments.list));
    atomicStore(&is_listed, 0u);
  }
  let listed = workgroupUniformLoad(&n_listed);
  let is_later = step.ring_index > 0u;
  let sampled = ids[0];
  for (var i = local; i < listed; i += THREADS) {
    var one = adjustments.list[i];
    if (is_later && one.id == sampled) {
      one.seen += 1u;
      adjustments.list[i].seen = one.seen;
      atomicStore(&is_listed, 1u);
    }
    adjust(one);
  }
  workgroupBarrier();
  if (local == 0u && is_later && atomicLoad(&is_listed) == 0u) {
    let one = Adjustment(sampled, 1u, 0u);
    adjustments.list[listed] = one;
    adjustments.length = listed + 1u;
    adjust(one);
  }
}
