// RMSNorm, then the output projection. A slot owns rows 2p and 2p + 1.
//
// Rows of logits count from the last token backwards: row r is token T − 1 − r. So `sample` always reads row 0, and one row is
// computed after a prefill (grid z = 1) where T are when every token's logits are wanted (grid z = ⌈T/TILE⌉).
// Dispatch: the grid of matvec.wgsl or matmul.wgsl over ⌈V/2⌉ pairs. Uses: matvec.wgsl or matmul.wgsl. Oracle: tests/shaders/oracles.py:norm_logits

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // (T, vec4s(C))
@group(0) @binding(2) var<storage, read> gain: array<vec4<f32>>;      // (vec4s(C))
@group(0) @binding(3) var<storage, read> w: array<vec4<u32>>;         // (V, weight_stride(C))
@group(0) @binding(4) var<storage, read_write> logits: array<f32>;    // (rows, V), written

const NORM: bool = true;

fn width_in() -> u32 {
  return D_MODEL;
}

// `token` counts from the last one backwards here.
fn input4(token: u32, i: u32) -> vec4<f32> {
  return x[(step.n_tokens - 1u - token) * vec4s(D_MODEL) + i];
}

fn gain4(i: u32) -> vec4<f32> {
  return gain[i];
}

fn packed_a(i: u32) -> vec4<u32> {
  return w[i];
}

fn packed_b(i: u32) -> vec4<u32> {
  return w[i];
}

fn n_pairs() -> u32 {
  return (VOCAB_SIZE + 1u) / 2u;
}

fn rows_of(pair: u32) -> vec2<u32> {
  return vec2<u32>(2u * pair, min(2u * pair + 1u, VOCAB_SIZE - 1u));
}

fn store(pair: u32, token: u32, n: u32, a: vec4<f32>, b: vec4<f32>) {
  let row = 2u * pair;
  for (var t = 0u; t < n; t++) {
    let start = (token + t) * VOCAB_SIZE + row;
    logits[start] = a[t];
    if (row + 1u < VOCAB_SIZE) {
      logits[start + 1u] = b[t];
    }
  }
}

@compute @workgroup_size(WORKGROUP)
fn norm_logits(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  products(workgroup, grid, local);
}
