// RMSNorm of each head's query and key over the head's own width, then RoPE, in place: what Qwen 3 does between the projections and
// attention. A workgroup a head and a token. Dispatch (H + G, T, 1). Oracle: tests/shaders/oracles.py:qk_norm_rope

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> gains: array<f32>;            // (2, D̂): the queries' norm, the keys'
@group(0) @binding(2) var<storage, read> rope: array<vec2<f32>>;       // (S, D/2), cosine and sine
@group(0) @binding(3) var<storage, read_write> q: array<f32>;          // (T, H, D̂), updated
@group(0) @binding(4) var<storage, read_write> k_cache: array<f32>;    // (G, S, D̂), T rows a head updated

override THREADS: u32 = 64;  // at most MAX_THREADS; fewer on a CPU adapter, which pays for each thread at each barrier
const MAX_THREADS: u32 = 64;

var<workgroup> squares: array<f32, MAX_THREADS>;

@compute @workgroup_size(THREADS)
fn qk_norm_rope(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let token = workgroup.y;
  let position = step.position + token;
  let stride = 4u * vec4s(D_HEAD);
  let half = D_HEAD / 2u;
  let is_key = workgroup.x >= N_HEAD;
  var start = (token * N_HEAD + workgroup.x) * stride;
  if (is_key) {
    start = ((workgroup.x - N_HEAD) * CTX_LEN + position) * stride;
  }

  var own = 0.0;
  for (var j = local; j < D_HEAD; j += THREADS) {
    let value = component(is_key, start + j);
    own += value * value;
  }
  squares[local] = own;
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < THREADS; i++) {
    total += squares[i];
  }
  let scale = inverseSqrt(total / f32(D_HEAD) + NORM_EPS);

  let gain = select(0u, stride, is_key);
  for (var j = local; j < half; j += THREADS) {
    let low = component(is_key, start + j) * scale * gains[gain + j];
    let high = component(is_key, start + j + half) * scale * gains[gain + j + half];
    let angle = rope[position * half + j];
    set_component(is_key, start + j, low * angle.x - high * angle.y);
    set_component(is_key, start + j + half, high * angle.x + low * angle.y);
  }
}

fn component(is_key: bool, i: u32) -> f32 {
  if (is_key) {
    return k_cache[i];
  }
  return q[i];
}

fn set_component(is_key: bool, i: u32, value: f32) {
  if (is_key) {
    k_cache[i] = value;
  } else {
    q[i] = value;
  }
}
