// What every kernel shares: the step, the model's sizes, and how a weight is read.
//
// The text of a kernel is common.wgsl, then matvec.wgsl where its header says `Uses: matvec.wgsl`, then its own file. Rust
// (rust/inference/src/gpu/kernels.rs) and Python (tests/shaders/harness.py) join the same files.
//
// Shapes: T tokens of this submission, C D_MODEL, H N_HEAD, G N_KV_HEAD, D D_HEAD, F D_FF, V VOCAB_SIZE, S CTX_LEN.
// A row of f32 values is padded with zeros to whole vec4s; `vec4s(n)` is its length. A capital with a hat, as Ĉ, is a padded length.

// One submission's state. The host writes it before the submission; `sample` advances it between the tokens of one submission.
struct Step {
  position: u32,     // positions in the KV cache before this step's tokens
  n_tokens: u32,     // T; 1 when decoding
  ring_index: u32,   // where `sample` writes its next token id
  top_k: u32,        // 0 keeps all
  temperature: f32,  // 0 is argmax
  top_p: f32,        // 1 keeps all
  seed: u32,
  padding: u32,
}

override D_MODEL: u32 = 4;
override N_HEAD: u32 = 1;
override N_KV_HEAD: u32 = 1;
override D_HEAD: u32 = 4;
override D_FF: u32 = 4;
override VOCAB_SIZE: u32 = 4;
override CTX_LEN: u32 = 4;
override NORM_EPS: f32 = 1e-5;
override WEIGHT_F16: bool = false;  // weights are packed IEEE binary16, eight to a vec4<u32>; else binary32, four

// -inf would turn masked differences into NaN, and WGSL lets a compiler assume that infinities do not occur.
const LOWEST: f32 = -3e38;

// Whole vec4s that hold n floats.
fn vec4s(n: u32) -> u32 {
  return (n + 3u) / 4u;
}

// vec4<u32>s in a weight row of n weights.
fn weight_stride(n: u32) -> u32 {
  return select((n + 3u) / 4u, (n + 7u) / 8u, WEIGHT_F16);
}

// Index, in a weight row, of the vec4<u32> with weights 4i … 4i + 3.
fn weight_index(i: u32) -> u32 {
  return select(i, i / 2u, WEIGHT_F16);
}

// Weights 4i … 4i + 3 out of the vec4<u32> at weight_index(i). unpack2x16float is core WGSL: no shader-f16 feature.
fn unpack_weights(packed: vec4<u32>, i: u32) -> vec4<f32> {
  if (WEIGHT_F16) {
    let halves = select(packed.xy, packed.zw, (i & 1u) == 1u);
    return vec4<f32>(unpack2x16float(halves.x), unpack2x16float(halves.y));
  }
  return bitcast<vec4<f32>>(packed);
}
