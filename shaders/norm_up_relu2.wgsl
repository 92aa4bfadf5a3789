// RMSNorm, then relu(x · upᵀ)². A slot owns rows 2p and 2p + 1.
// Dispatch: the grid of matvec.wgsl or matmul.wgsl over ⌈F/2⌉ pairs. Uses: matvec.wgsl or matmul.wgsl. Oracle: tests/shaders/oracles.py:norm_up_relu2
// Source: So et al. 2021, arXiv:2109.08668.

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // (T, vec4s(C))
@group(0) @binding(2) var<storage, read> gain: array<vec4<f32>>;      // (vec4s(C))
@group(0) @binding(3) var<storage, read> w_up: array<vec4<u32>>;      // (F, weight_stride(C))
@group(0) @binding(4) var<storage, read_write> hidden: array<f32>;    // (T, F̂), written

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
  return w_up[i];
}

fn packed_b(i: u32) -> vec4<u32> {
  return w_up[i];
}

fn n_pairs() -> u32 {
  return (D_FF + 1u) / 2u;
}

fn rows_of(pair: u32) -> vec2<u32> {
  return vec2<u32>(2u * pair, min(2u * pair + 1u, D_FF - 1u));
}

fn store(pair: u32, token: u32, n: u32, a: vec4<f32>, b: vec4<f32>) {
  let row = 2u * pair;
  let a_positive = max(a, vec4<f32>());
  let b_positive = max(b, vec4<f32>());
  for (var t = 0u; t < n; t++) {
    let start = (token + t) * 4u * vec4s(D_FF) + row;
    hidden[start] = a_positive[t] * a_positive[t];
    if (row + 1u < D_FF) {
      hidden[start + 1u] = b_positive[t] * b_positive[t];
    }
  }
}

@compute @workgroup_size(WORKGROUP)
fn norm_up_relu2(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  products(workgroup, grid, local);
}
