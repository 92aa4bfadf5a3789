// RMSNorm, then the output projection; a family that caps its logits has LOGIT_CAP · tanh(z / LOGIT_CAP) in place of each
// (Gemma Team 2024, arXiv:2408.00118). A slot owns rows 2p and 2p + 1.
//
// Rows of logits count from the last token backwards: row r is token T − 1 − r. So `sample` always reads row 0, and one row is
// computed after a prefill (grid z = 1) where T are when every token's logits are wanted (grid z = ⌈T/TILE⌉).
// Dispatch: matvec.wgsl's grid over ⌈V/2⌉ pairs. Uses: matvec.wgsl. Oracle: tests/shaders/oracles.py:norm_logits

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

@compute @workgroup_size(WORKGROUP)
fn norm_logits(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let slot = slot_of(workgroup, grid, local);
  let row = 2u * slot.pair;
  let last = VOCAB_SIZE - 1u;
  let sums = slot_sums(min(row, last), min(row + 1u, last), slot, step.n_tokens, local);
  if (slot.lane != 0u || row > last) {
    return;
  }
  for (var t = 0u; t < TILE && slot.token + t < step.n_tokens; t++) {
    let start = (slot.token + t) * VOCAB_SIZE + row;
    logits[start] = capped(sums.a[t]);
    if (row < last) {
      logits[start + 1u] = capped(sums.b[t]);
    }
  }
}
