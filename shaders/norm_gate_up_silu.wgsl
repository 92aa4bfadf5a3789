// RMSNorm, then silu(x · gateᵀ) ⊙ (x · upᵀ), silu(z) = z / (1 + e^−z). A slot owns row p of both matrices.
// Dispatch: the grid of matvec.wgsl or matmul.wgsl over F pairs. Uses: matvec.wgsl or matmul.wgsl. Oracle: tests/shaders/oracles.py:norm_gate_up_silu
// Source: Shazeer 2020, arXiv:2002.05202.

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // (T, vec4s(C))
@group(0) @binding(2) var<storage, read> gain: array<vec4<f32>>;      // (vec4s(C))
@group(0) @binding(3) var<storage, read> w_gate: array<vec4<u32>>;    // (F, weight_stride(C))
@group(0) @binding(4) var<storage, read> w_up: array<vec4<u32>>;      // (F, weight_stride(C))
@group(0) @binding(5) var<storage, read_write> hidden: array<f32>;    // (T, F̂), written

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
  return w_gate[i];
}

fn packed_b(i: u32) -> vec4<u32> {
  return w_up[i];
}

fn n_pairs() -> u32 {
  return D_FF;
}

fn rows_of(pair: u32) -> vec2<u32> {
  return vec2<u32>(pair);
}

fn store(pair: u32, token: u32, n: u32, a: vec4<f32>, b: vec4<f32>) {
  for (var t = 0u; t < n; t++) {
    let gate = a[t];  // below −80 silu is 0 in f32, and exp would overflow
    hidden[(token + t) * 4u * vec4s(D_FF) + pair] = gate / (1.0 + exp(-max(gate, -80.0))) * b[t];
  }
}

@compute @workgroup_size(WORKGROUP)
fn norm_gate_up_silu(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  products(workgroup, grid, local);
}
