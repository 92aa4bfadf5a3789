// x += input · wᵀ: the output projections of attention (K = H·D) and of the SwiGLU layer (K = F). A slot owns rows 2p and 2p + 1.
// Dispatch: the grid of matvec.wgsl or matmul.wgsl over ⌈C/2⌉ pairs. Uses: matvec.wgsl or matmul.wgsl. Oracle: tests/shaders/oracles.py:matmul_residual

override WIDTH_IN: u32 = 4;  // K

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>;    // (T, vec4s(K))
@group(0) @binding(2) var<storage, read> w: array<vec4<u32>>;        // (C, weight_stride(K))
@group(0) @binding(3) var<storage, read_write> x: array<f32>;        // (T, Ĉ), updated

const NORM: bool = false;

fn width_in() -> u32 {
  return WIDTH_IN;
}

fn input4(token: u32, i: u32) -> vec4<f32> {
  return input[token * vec4s(WIDTH_IN) + i];
}

fn gain4(i: u32) -> vec4<f32> {
  return vec4<f32>(1.0);
}

fn packed_a(i: u32) -> vec4<u32> {
  return w[i];
}

fn packed_b(i: u32) -> vec4<u32> {
  return w[i];
}

fn n_pairs() -> u32 {
  return (D_MODEL + 1u) / 2u;
}

fn rows_of(pair: u32) -> vec2<u32> {
  return vec2<u32>(2u * pair, min(2u * pair + 1u, D_MODEL - 1u));
}

fn store(pair: u32, token: u32, n: u32, a: vec4<f32>, b: vec4<f32>) {
  let row = 2u * pair;
  for (var t = 0u; t < n; t++) {
    let start = (token + t) * 4u * vec4s(D_MODEL) + row;
    x[start] += a[t];
    if (row + 1u < D_MODEL) {
      x[start + 1u] += b[t];
    }
  }
}

@compute @workgroup_size(WORKGROUP)
fn matmul_residual(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  products(workgroup, grid, local);
}
