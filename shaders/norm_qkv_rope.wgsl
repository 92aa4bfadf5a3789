// RMSNorm, the three projections with their biases, and RoPE on q and k; k and v go into the layer's cache at their positions.
// Without ROPE q and k stay as they are, k behind q, for qk_norm_rope.
// A slot owns rows j and j + D/2 of one head: the two that RoPE rotates together (Hugging Face's rotate_half).
// Dispatch: the grid of matvec.wgsl or matmul.wgsl over (H + 2G)·D/2 pairs. Uses: matvec.wgsl or matmul.wgsl. Oracle: tests/shaders/oracles.py:norm_qkv_rope

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;             // (T, vec4s(C))
@group(0) @binding(2) var<storage, read> gain: array<vec4<f32>>;          // (vec4s(C))
@group(0) @binding(3) var<storage, read> w_qkv: array<vec4<u32>>;         // ((H + 2G)·D, weight_stride(C)): q's rows, k's, v's
@group(0) @binding(4) var<storage, read> rope: array<vec2<f32>>;          // (S, D/2), cosine and sine
@group(0) @binding(5) var<storage, read_write> q: array<f32>;             // (T, H, D̂), written; without ROPE then (T, G, D̂), written
@group(0) @binding(6) var<storage, read_write> k_cache: array<u32>;       // (G, S, 4·cached_vec4s()), T rows a head written with ROPE
@group(0) @binding(7) var<storage, read_write> v_cache: array<u32>;       // (G, S, 4·cached_vec4s()), T rows a head written
@group(0) @binding(8) var<storage, read> bias: array<f32>;                // ((H + 2G)·D): q's, k's, v's; anything without QKV_BIAS

override QKV_BIAS: bool = false;
override ROPE: bool = true;
const NORM: bool = true;

fn width_in() -> u32 {
  return D_MODEL;
}

fn input4(token: u32, i: u32) -> vec4<f32> {
  return x[token * vec4s(D_MODEL) + i];
}

fn gain4(i: u32) -> vec4<f32> {
  return gain[i];
}

fn packed_a(i: u32) -> vec4<u32> {
  return w_qkv[i];
}

fn packed_b(i: u32) -> vec4<u32> {
  return w_qkv[i];
}

fn n_pairs() -> u32 {
  return (N_HEAD + 2u * N_KV_HEAD) * (D_HEAD / 2u);
}

fn rows_of(pair: u32) -> vec2<u32> {
  let half = D_HEAD / 2u;
  let row = pair / half * D_HEAD + pair % half;
  return vec2<u32>(row, row + half);
}

fn store(pair: u32, first_token: u32, n: u32, a: vec4<f32>, b: vec4<f32>) {
  let half = D_HEAD / 2u;
  let head = pair / half;
  let j = pair % half;
  let half_stride = 4u * half_vec4s();
  var bias_low = 0.0;
  var bias_high = 0.0;
  if (QKV_BIAS) {
    bias_low = bias[head * D_HEAD + j];
    bias_high = bias[head * D_HEAD + j + half];
  }
  for (var t = 0u; t < n; t++) {
    let token = first_token + t;
    let position = step.position + token;
    let low = a[t] + bias_low;
    let high = b[t] + bias_high;
    if (head >= N_HEAD + N_KV_HEAD) {
      let at = ((head - N_HEAD - N_KV_HEAD) * CTX_LEN + position) * 4u * cached_vec4s() + j;
      if (CACHE_DTYPE == F16) {
        v_cache[at] = pack_pair(low, high);
      } else {
        v_cache[at] = bitcast<u32>(low);
        v_cache[at + half_stride] = bitcast<u32>(high);
      }
      continue;
    }
    var angle = vec2<f32>(1.0, 0.0);
    if (ROPE) {
      angle = rope[position * half + j];
    }
    let rotated_low = low * angle.x - high * angle.y;
    let rotated_high = high * angle.x + low * angle.y;
    if (ROPE && head >= N_HEAD) {
      let at = ((head - N_HEAD) * CTX_LEN + position) * 4u * cached_vec4s() + j;
      if (CACHE_DTYPE == F16) {
        k_cache[at] = pack_pair(rotated_low, rotated_high);
      } else {
        k_cache[at] = bitcast<u32>(rotated_low);
        k_cache[at + half_stride] = bitcast<u32>(rotated_high);
      }
    } else {
      var row = token * N_HEAD + head;
      if (head >= N_HEAD) {
        row = step.n_tokens * N_HEAD + token * N_KV_HEAD + head - N_HEAD;
      }
      let at = row * 2u * half_stride + j;
      q[at] = rotated_low;
      q[at + half_stride] = rotated_high;
    }
  }
}

@compute @workgroup_size(WORKGROUP)
fn norm_qkv_rope(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  products(workgroup, grid, local);
}
