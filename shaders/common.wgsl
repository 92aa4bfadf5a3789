// What every kernel shares: the step, the model's sizes, and how a weight is read.
//
// The text of a kernel is common.wgsl, then matvec.wgsl or, for many tokens, matmul.wgsl where its header says that it uses them, then its
// own file. Rust (rust/inference/src/gpu/kernels.rs) and Python (tests/shaders/harness.py) join the same files.
//
// Shapes: T tokens of this submission, C D_MODEL, H N_HEAD, G N_KV_HEAD, D D_HEAD, F D_FF, V VOCAB_SIZE, S CTX_LEN.
// A row of f32 values is padded with zeros to whole vec4s; `vec4s(n)` is its length. A capital with a hat, as Ĉ, is a padded length.
// A head of a query, key or value lies as two halves, each padded so: whoever rotates components j and j + D/2 together finds and
// leaves them at one place of both, and in an f16 cache a word is such a pair.

// One submission's state. The host writes it before the submission; `sample` advances it between the tokens of one submission.
struct Step {
  position: u32,     // positions in the KV cache before this step's tokens
  n_tokens: u32,     // T; 1 when decoding
  ring_index: u32,   // where `sample` writes its next token id
  top_k: u32,        // 0 keeps all
  temperature: f32,  // 0 is argmax
  top_p: f32,        // 1 keeps all
  seed: u32,
  logit_range: f32,  // how far below the largest a kept logit may lie; 3e38 and more keeps all
}

override D_MODEL: u32 = 4;
override N_HEAD: u32 = 1;
override N_KV_HEAD: u32 = 1;
override D_HEAD: u32 = 4;
override D_FF: u32 = 4;
override VOCAB_SIZE: u32 = 4;
override CTX_LEN: u32 = 4;
override NORM_EPS: f32 = 1e-5;
override WEIGHT_DTYPE: u32 = 0;  // of the kernel's matrices: F32, F16, Q8_0 or Q4_0
override CACHE_DTYPE: u32 = 0;   // of the keys and values in the cache: F32 or F16

const F32: u32 = 0u;   // IEEE binary32, four to a vec4<u32>
const F16: u32 = 1u;   // IEEE binary16, eight to a vec4<u32>
const Q8_0: u32 = 2u;  // blocks of 32: 32 signed bytes in two vec4<u32>s
const Q4_0: u32 = 3u;  // blocks of 32: 32 four-bit values, 8 more than the quant, in one vec4<u32>; byte j: weight j low, j + 16 high

// -inf would turn masked differences into NaN, and WGSL lets a compiler assume that infinities do not occur.
const LOWEST: f32 = -3e38;

// Whole vec4s that hold n floats.
fn vec4s(n: u32) -> u32 {
  return (n + 3u) / 4u;
}

// vec4s of half a head: of D̂/2.
fn half_vec4s() -> u32 {
  return vec4s(D_HEAD / 2u);
}

// vec4<u32>s of a cached key or value.
fn cached_vec4s() -> u32 {
  return select(2u, 1u, CACHE_DTYPE == F16) * half_vec4s();
}

// Components j and j + D/2 as a word of an f16 cache. What a half cannot hold would become anything, so it is kept as the largest.
fn pack_pair(low: f32, high: f32) -> u32 {
  return pack2x16float(clamp(vec2<f32>(low, high), vec2<f32>(-65504.0), vec2<f32>(65504.0)));
}

struct Halves {
  low: vec4<f32>,   // components 4i … 4i + 3
  high: vec4<f32>,  // components D/2 + 4i … D/2 + 4i + 3
}

// Out of vec4<u32>s i and i + cached_vec4s() - half_vec4s() of a cached key or value: of one in f16.
fn unpack_halves(first: vec4<u32>, second: vec4<u32>) -> Halves {
  if (CACHE_DTYPE == F16) {
    let a = unpack2x16float(first.x);
    let b = unpack2x16float(first.y);
    let c = unpack2x16float(first.z);
    let d = unpack2x16float(first.w);
    return Halves(vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(a.y, b.y, c.y, d.y));
  }
  return Halves(bitcast<vec4<f32>>(first), bitcast<vec4<f32>>(second));
}

// vec4<u32>s in a weight row of n weights. In a block format the row's quants come first, then its scales, eight to a vec4<u32>.
fn weight_stride(n: u32) -> u32 {
  switch (WEIGHT_DTYPE) {
    case F16: { return (n + 7u) / 8u; }
    case Q8_0, Q4_0: { return n / 32u * quant_vec4s() + (n / 32u + 7u) / 8u; }
    default: { return (n + 3u) / 4u; }
  }
}

// vec4<u32>s of the quants of a block.
fn quant_vec4s() -> u32 {
  return select(2u, 1u, WEIGHT_DTYPE == Q4_0);
}

// Index, in a weight row of a block format, of the vec4<u32> with quants 4i … 4i + 3.
fn quants_index(i: u32) -> u32 {
  return select(i / 8u, i / 4u, WEIGHT_DTYPE == Q8_0);
}

// Index, in such a row of n weights, of the vec4<u32> with the scale of weights 4i … 4i + 3.
fn scale_index(n: u32, i: u32) -> u32 {
  return n / 32u * quant_vec4s() + i / 64u;
}

// Quants 4k … 4k + 3 of the block whose quants are `first` and, in q8_0, `second`; k below 8.
fn quants4(first: vec4<u32>, second: vec4<u32>, k: u32) -> vec4<f32> {
  let word = select(first, second, WEIGHT_DTYPE == Q8_0 && k >= 4u)[k % 4u];
  if (WEIGHT_DTYPE == Q8_0) {
    return vec4<f32>(vec4<i32>(vec4<u32>(word << 24u, word << 16u, word << 8u, word)) >> vec4<u32>(24u));
  }
  let bytes = vec4<u32>(word, word >> 8u, word >> 16u, word >> 24u) >> vec4<u32>(k / 4u * 4u);
  return vec4<f32>(bytes & vec4<u32>(15u)) - 8.0;
}

// The scale of a block out of the vec4<u32> that holds it among its row's.
fn scale_of(packed: vec4<u32>, block: u32) -> f32 {
  let pair = unpack2x16float(packed[block / 2u % 4u]);
  return select(pair.x, pair.y, (block & 1u) == 1u);
}

// Index, in a weight row of f32 or f16, of the vec4<u32> with weights 4i … 4i + 3.
fn weight_index(i: u32) -> u32 {
  return select(i, i / 2u, WEIGHT_DTYPE == F16);
}

// Weights 4i … 4i + 3 out of the vec4<u32> at weight_index(i). unpack2x16float is core WGSL: no shader-f16 feature.
fn unpack_weights(packed: vec4<u32>, i: u32) -> vec4<f32> {
  if (WEIGHT_DTYPE == F16) {
    let halves = select(packed.xy, packed.zw, (i & 1u) == 1u);
    return vec4<f32>(unpack2x16float(halves.x), unpack2x16float(halves.y));
  }
  return bitcast<vec4<f32>>(packed);
}
