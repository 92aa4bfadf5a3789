// Combine what `attention` or `attention_tiled` left of each split. One workgroup a head and a token. Only where there are several splits.
//
// Dispatch (H, T, 1). Uses: splits.wgsl. Oracle: tests/shaders/oracles.py:attention, after the kernel before

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> partials: array<vec4<f32>>;  // (splits, T, H, 2·half_vec4s() + 1)
@group(0) @binding(2) var<storage, read_write> out: array<f32>;       // (T, row of H·D padded to vec4s), written

override THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn attention_reduce(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let head = workgroup.x;
  let token = workgroup.y;
  let splits = count_splits(step.position, step.n_tokens);
  var largest = LOWEST;
  for (var s = 0u; s < splits; s++) {
    largest = max(largest, partials[partial_index(s, token, head, step.n_tokens)].x);
  }
  for (var i = local; i < 2u * half_vec4s(); i += THREADS) {
    var total = 0.0;
    var sum = vec4<f32>();
    for (var s = 0u; s < splits; s++) {
      let row = partial_index(s, token, head, step.n_tokens);
      let part = partials[row];
      // A split that lies in a token's future is empty.
      if (part.y > 0.0) {
        let weight = exp(max(part.x - largest, -87.0));
        total += weight * part.y;
        sum += weight * partials[row + 1u + i];
      }
    }
    sum /= total;
    let half = D_HEAD / 2u;
    let first = 4u * (i % half_vec4s());
    let start = token * 4u * vec4s(N_HEAD * D_HEAD) + head * D_HEAD + i / half_vec4s() * half + first;
    for (var c = 0u; c < 4u && first + c < half; c++) {
      out[start + c] = sum[c];
    }
  }
}
