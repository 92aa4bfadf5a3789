// RMSNorm, then relu(x · upᵀ)². A slot owns rows 2p and 2p + 1.
// Dispatch: matvec.wgsl's grid over ⌈F/2⌉ pairs. Uses: matvec.wgsl. Oracle: tests/shaders/oracles.py:norm_up_relu2
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

@compute @workgroup_size(WORKGROUP)
fn norm_up_relu2(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let slot = slot_of(workgroup, grid, local);
  let row = 2u * slot.pair;
  let last = D_FF - 1u;
  let sums = slot_sums(min(row, last), min(row + 1u, last), slot, step.n_tokens, local);
  if (slot.lane != 0u || row > last) {
    return;
  }
  let a = max(sums.a, vec4<f32>());
  let b = max(sums.b, vec4<f32>());
  for (var t = 0u; t < TILE && slot.token + t < step.n_tokens; t++) {
    let start = (slot.token + t) * 4u * vec4s(D_FF) + row;
    hidden[start] = a[t] * a[t];
    if (row < last) {
      hidden[start + 1u] = b[t] * b[t];
    }
  }
}
