// RMSNorm of each head's query and key over the head's own width, then RoPE: what Qwen 3 does between the projections and attention. The
// keys, which norm_qkv_rope left behind the queries, go into the layer's cache.
// A workgroup a head and a token. Dispatch (H + G, T, 1). Oracle: tests/shaders/oracles.py:qk_norm_rope

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> gains: array<f32>;            // (2, row of D padded to vec4s): the queries' norm, the keys'
@group(0) @binding(2) var<storage, read> rope: array<vec2<f32>>;       // (S, D/2), cosine and sine
@group(0) @binding(3) var<storage, read_write> q: array<f32>;          // (T, H, D̂), updated, then (T, G, D̂): the keys
@group(0) @binding(4) var<storage, read_write> k_cache: array<u32>;    // (G, S, 4·cached_vec4s()), T rows a head written

override THREADS: u32 = 64;  // at most MAX_THREADS; fewer on a CPU adapter, which pays for each thread at each barrier
const MAX_THREADS: u32 = 64;

var<workgroup> squares: array<f32, MAX_THREADS>;

@compute @workgroup_size(THREADS)
fn qk_norm_rope(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let token = workgroup.y;
  let position = step.position + token;
  let half_stride = 4u * half_vec4s();
  let half = D_HEAD / 2u;
  let is_key = workgroup.x >= N_HEAD;
  let key_head = workgroup.x - N_HEAD;
  let row = select(token * N_HEAD + workgroup.x, step.n_tokens * N_HEAD + token * N_KV_HEAD + key_head, is_key);
  let start = row * 2u * half_stride;

  var own = 0.0;
  for (var j = local; j < half; j += THREADS) {
    let low = q[start + j];
    let high = q[start + half_stride + j];
    own += low * low + high * high;
  }
  squares[local] = own;
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < THREADS; i++) {
    total += squares[i];
  }
  let scale = inverseSqrt(total / f32(D_HEAD) + NORM_EPS);

  let gain = select(0u, 4u * vec4s(D_HEAD), is_key);
  for (var j = local; j < half; j += THREADS) {
    let low = q[start + j] * scale * gains[gain + j];
    let high = q[start + half_stride + j] * scale * gains[gain + j + half];
    let angle = rope[position * half + j];
    let rotated_low = low * angle.x - high * angle.y;
    let rotated_high = high * angle.x + low * angle.y;
    let at = (key_head * CTX_LEN + position) * 4u * cached_vec4s() + j;
    if (!is_key) {
      q[start + j] = rotated_low;
      q[start + half_stride + j] = rotated_high;
    } else if (CACHE_DTYPE == F16) {
      k_cache[at] = pack_pair(rotated_low, rotated_high);
    } else {
      k_cache[at] = bitcast<u32>(rotated_low);
      k_cache[at + half_stride] = bitcast<u32>(rotated_high);
    }
  }
}
