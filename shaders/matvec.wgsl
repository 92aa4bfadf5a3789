// The loop of all weight multiplications: dot products of two weight rows with one or four tokens' inputs.
//
// A workgroup is split into slots of LANES threads. A slot owns a pair of weight rows; its lanes read them side by side, so that a
// GPU's reads are whole cache lines, and meet at one barrier. On a CPU adapter LANES = 1: a thread a pair, and no barrier at all.
// With RMSNorm, Σ w·(x·gain·r) = r · Σ w·x·gain, where r = 1/RMS(x): the sum of squares is taken in the same loop, so that
// normalising costs neither a pass, nor a buffer, nor a barrier of its own.
//
// The kernel declares: const NORM: bool; fn width_in() -> u32; fn input4(token, i) -> vec4<f32>; fn gain4(i) -> vec4<f32>;
// fn n_pairs() -> u32; fn rows_of(pair) -> vec2<u32>, the pair's rows, of which the second may be the first where there is none;
// fn packed_a(i) -> vec4<u32> and fn packed_b(i) -> vec4<u32>, element i of the matrix that the pair's first or second row is in;
// fn store(pair, token, n, a, b), which takes the products of both rows with the n tokens, at most 4, from `token` on.
// It calls `products` and does nothing else. matmul.wgsl, which takes this file's place for many tokens, declares the same function.

override WORKGROUP: u32 = 64;  // threads, at most MAX_WORKGROUP
override LANES: u32 = 8;       // threads a pair of rows; a power of two that divides WORKGROUP
override TILE: u32 = 1;        // tokens that share one reading of the weights: 1 or 4
const MAX_WORKGROUP: u32 = 64;

// Sums over the input's width. The components are the tile's tokens; where TILE = 1 only x is used.
struct Sums {
  a: vec4<f32>,        // first row
  b: vec4<f32>,        // second row
  squares: vec4<f32>,  // of the input, before gain
}

struct Slot {
  pair: u32,   // index of the pair of rows
  token: u32,  // first token of the tile
  lane: u32,
}

var<workgroup> partial_a: array<vec4<f32>, MAX_WORKGROUP>;
var<workgroup> partial_b: array<vec4<f32>, MAX_WORKGROUP>;
var<workgroup> partial_squares: array<vec4<f32>, MAX_WORKGROUP>;

// Grid: x and y together count blocks of WORKGROUP / LANES pairs (65,535 a dimension do not reach for a large vocabulary),
// z counts tiles of tokens.
fn slot_of(workgroup: vec3<u32>, grid: vec3<u32>, local: u32) -> Slot {
  let block = workgroup.y * grid.x + workgroup.x;
  return Slot(block * (WORKGROUP / LANES) + local / LANES, workgroup.z * TILE, local % LANES);
}

// This lane's share of the sums. Tokens at or after n_tokens read the last one's input.
fn lane_sums(row_a: u32, row_b: u32, slot: Slot, n_tokens: u32) -> Sums {
  if (WEIGHT_DTYPE >= Q8_0) {
    return block_sums(row_a, row_b, slot, n_tokens);
  }
  var sums = Sums(vec4<f32>(), vec4<f32>(), vec4<f32>());
  let n = vec4s(width_in());
  let start_a = row_a * weight_stride(width_in());
  let start_b = row_b * weight_stride(width_in());
  if (TILE == 1u) {
    for (var i = slot.lane; i < n; i += LANES) {
      var x = input4(slot.token, i);
      if (NORM) {
        sums.squares.x += dot(x, x);
        x *= gain4(i);
      }
      sums.a.x += dot(unpack_weights(packed_a(start_a + weight_index(i)), i), x);
      sums.b.x += dot(unpack_weights(packed_b(start_b + weight_index(i)), i), x);
    }
    return sums;
  }
  let last = n_tokens - 1u;
  let token1 = min(slot.token + 1u, last);
  let token2 = min(slot.token + 2u, last);
  let token3 = min(slot.token + 3u, last);
  for (var i = slot.lane; i < n; i += LANES) {
    var x0 = input4(slot.token, i);
    var x1 = input4(token1, i);
    var x2 = input4(token2, i);
    var x3 = input4(token3, i);
    if (NORM) {
      sums.squares += vec4<f32>(dot(x0, x0), dot(x1, x1), dot(x2, x2), dot(x3, x3));
      let gain = gain4(i);
      x0 *= gain;
      x1 *= gain;
      x2 *= gain;
      x3 *= gain;
    }
    let a = unpack_weights(packed_a(start_a + weight_index(i)), i);
    let b = unpack_weights(packed_b(start_b + weight_index(i)), i);
    sums.a += vec4<f32>(dot(a, x0), dot(a, x1), dot(a, x2), dot(a, x3));
    sums.b += vec4<f32>(dot(b, x0), dot(b, x1), dot(b, x2), dot(b, x3));
  }
  return sums;
}

// lane_sums for a block format: a lane takes whole blocks, and multiplies by a block's scale once.
fn block_sums(row_a: u32, row_b: u32, slot: Slot, n_tokens: u32) -> Sums {
  var sums = Sums(vec4<f32>(), vec4<f32>(), vec4<f32>());
  let n = width_in() / 32u;
  let size = quant_vec4s();
  let start_a = row_a * weight_stride(width_in());
  let start_b = row_b * weight_stride(width_in());
  let last = n_tokens - 1u;
  let token1 = min(slot.token + 1u, last);
  let token2 = min(slot.token + 2u, last);
  let token3 = min(slot.token + 3u, last);
  for (var block = slot.lane; block < n; block += LANES) {
    let quants = block * size;
    let first_a = packed_a(start_a + quants);
    let second_a = packed_a(start_a + quants + size - 1u);
    let first_b = packed_b(start_b + quants);
    let second_b = packed_b(start_b + quants + size - 1u);
    var block_a = vec4<f32>();
    var block_b = vec4<f32>();
    for (var k = 0u; k < 8u; k++) {
      let i = 8u * block + k;
      let a = quants4(first_a, second_a, k);
      let b = quants4(first_b, second_b, k);
      var x0 = input4(slot.token, i);
      if (TILE == 1u) {
        if (NORM) {
          sums.squares.x += dot(x0, x0);
          x0 *= gain4(i);
        }
        block_a.x += dot(a, x0);
        block_b.x += dot(b, x0);
        continue;
      }
      var x1 = input4(token1, i);
      var x2 = input4(token2, i);
      var x3 = input4(token3, i);
      if (NORM) {
        sums.squares += vec4<f32>(dot(x0, x0), dot(x1, x1), dot(x2, x2), dot(x3, x3));
        let gain = gain4(i);
        x0 *= gain;
        x1 *= gain;
        x2 *= gain;
        x3 *= gain;
      }
      block_a += vec4<f32>(dot(a, x0), dot(a, x1), dot(a, x2), dot(a, x3));
      block_b += vec4<f32>(dot(b, x0), dot(b, x1), dot(b, x2), dot(b, x3));
    }
    let scales = n * size + block / 8u;
    sums.a += block_a * scale_of(packed_a(start_a + scales), block);
    sums.b += block_b * scale_of(packed_b(start_b + scales), block);
  }
  return sums;
}

// The slot's sums, complete in lane 0, with RMSNorm's factor applied. Every thread of the workgroup must call it.
fn slot_sums(row_a: u32, row_b: u32, slot: Slot, n_tokens: u32, local: u32) -> Sums {
  var sums = lane_sums(row_a, row_b, slot, n_tokens);
  if (LANES > 1u) {
    partial_a[local] = sums.a;
    partial_b[local] = sums.b;
    if (NORM) {
      partial_squares[local] = sums.squares;
    }
    workgroupBarrier();
    if (slot.lane == 0u) {
      for (var i = 1u; i < LANES; i++) {
        sums.a += partial_a[local + i];
        sums.b += partial_b[local + i];
        if (NORM) {
          sums.squares += partial_squares[local + i];
        }
      }
    }
  }
  if (NORM) {
    let scale = inverseSqrt(sums.squares / f32(width_in()) + NORM_EPS);
    sums.a *= scale;
    sums.b *= scale;
  }
  return sums;
}

// Compute this slot's products and give them to `store`.
fn products(workgroup: vec3<u32>, grid: vec3<u32>, local: u32) {
  let slot = slot_of(workgroup, grid, local);
  let rows = rows_of(min(slot.pair, n_pairs() - 1u));
  let sums = slot_sums(rows.x, rows.y, slot, step.n_tokens, local);
  if (slot.lane == 0u && slot.pair < n_pairs()) {
    store(slot.pair, slot.token, min(TILE, step.n_tokens - slot.token), sums.a, sums.b);
  }
}
