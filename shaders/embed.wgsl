// Look up the embedding's rows. A thread a vec4. Dispatch (⌈vec4s(C)/64⌉, T, 1). Oracle: tests/shaders/oracles.py:embed

@group(0) @binding(0) var<storage, read> ids: array<u32>;               // (T)
@group(0) @binding(1) var<storage, read> embedding: array<vec4<u32>>;   // (V, weight_stride(C))
@group(0) @binding(2) var<storage, read_write> x: array<vec4<f32>>;     // (T, vec4s(C)), written

@compute @workgroup_size(64)
fn embed(@builtin(global_invocation_id) thread: vec3<u32>) {
  let i = thread.x;
  let token = thread.y;
  if (i >= vec4s(D_MODEL)) {
    return;
  }
  let row = ids[token] * weight_stride(D_MODEL);
  let out = token * vec4s(D_MODEL) + i;
  if (WEIGHT_DTYPE >= Q8_0) {
    let block = i / 8u;
    let quants = row + block * quant_vec4s();
    let scale = scale_of(embedding[row + D_MODEL / 32u * quant_vec4s() + block / 8u], block);
    x[out] = scale * quants4(embedding[quants], embedding[quants + quant_vec4s() - 1u], i % 8u);
  } else {
    x[out] = unpack_weights(embedding[row + weight_index(i)], i);
  }
}
