// RMSNorm, then the output projection; a family that caps its logits has LOGIT_CAP · tanh(z / LOGIT_CAP) in place of each
// (Gemma Team 2024, arXiv:2408.00118). A slot owns rows 2p and 2p + 1.
//
// Rows of logits count from the last token backwards: row r is token T − 1 − r. So `sample` always reads row 0, and one row is
// computed after a prefill (grid z = 1) where T are when every token's logits are wanted (grid z = ⌈T/TILE⌉).
// Dispatch: the grid of matvec.wgsl or matmul.wgsl over ⌈V/2⌉ pairs. Uses: matvec.wgsl or matmul.wgsl. Oracle: tests/shaders/oracles.py:norm_logits

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // (T, vec4s(C))
@group(0) @binding(2) var<storage, read> gain: array<vec4<f32>>;      // (vec4s(C))
@group(0) @binding(3) var<storage, read> w: array<vec4<u32>>;         // (V, weight_stride(C))
@group(0) @binding(4) var<storage, read_write> logits: array<f32>;    // (rows, V), written

override LOGIT_CAP: f32 = 0;  // 0: none

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

// tanh(|z|) = (1 − e^−2|z|) / (1 + e^−2|z|): nothing overflows, where a driver's tanh may.
fn capped(logit: f32) -> f32 {
  if (LOGIT_CAP == 0.0) {
    return logit;
  }
  let shrunk = exp(-2.0 * abs(logit / LOGIT_CAP));
  return sign(logit) * LOGIT_CAP * (1.0 - shrunk) / (1.0 + shrunk);
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
    logits[start] = capped(a[t]);
    if (row + 1u < VOCAB_SIZE) {
      logits[start + 1u] = capped(b[t]);
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
