// matvec.wgsl for many tokens: the products of a tile of weight rows with a tile of tokens, through workgroup memory.
//
// A step takes 16 columns. The workgroup widens the rows' weights and loads the tokens' inputs once, transposed, so that a thread reads
// vec4s of neighbouring rows and of neighbouring tokens; a thread then adds the outer products of its 8 rows with its 4·QUADS tokens.
// So a weight is widened once for all tokens of the tile, and a thread's 8 + 4·QUADS reads serve 32·QUADS multiplications.
// The sums of squares of RMSNorm are taken when the inputs are loaded: see matvec.wgsl, which says what the kernel declares.

override WORKGROUP: u32 = 64;    // threads: ROW_THREADS · threads over the tokens
override ROW_THREADS: u32 = 8;   // threads over the rows, at most 8
override QUADS: u32 = 2;         // quads of tokens a thread: 2, or 4 where registers are plenty or memory all the same
const STEP: u32 = 4;             // vec4s of columns a step
const MAX_QUADS: u32 = 16;       // quads of rows, or of tokens, a workgroup

var<workgroup> row_tile: array<vec4<f32>, 16 * MAX_QUADS>;    // (16 columns, quads of rows)
var<workgroup> token_tile: array<vec4<f32>, 16 * MAX_QUADS>;  // (16 columns, quads of tokens)
var<workgroup> squares: array<vec4<f32>, STEP * MAX_QUADS>;   // (quads of tokens, STEP): sums over every STEP-th vec4 of the input

// Weights 4i … 4i + 3 of a pair's first row.
fn weights_a(row: u32, i: u32) -> vec4<f32> {
  let start = row * weight_stride(width_in());
  if (WEIGHT_DTYPE >= Q8_0) {
    let packed = packed_a(start + quants_index(i));
    return quants4(packed, packed, i % 8u) * scale_of(packed_a(start + scale_index(width_in(), i)), i / 8u);
  }
  return unpack_weights(packed_a(start + weight_index(i)), i);
}

// Weights 4i … 4i + 3 of its second row.
fn weights_b(row: u32, i: u32) -> vec4<f32> {
  let start = row * weight_stride(width_in());
  if (WEIGHT_DTYPE >= Q8_0) {
    let packed = packed_b(start + quants_index(i));
    return quants4(packed, packed, i % 8u) * scale_of(packed_b(start + scale_index(width_in(), i)), i / 8u);
  }
  return unpack_weights(packed_b(start + weight_index(i)), i);
}

// Columns 4i … 4i + 3 of two pairs of rows: a column of the matrix a row.
fn row_quad(pair: u32, i: u32) -> mat4x4<f32> {
  let last = n_pairs() - 1u;
  let first = rows_of(min(pair, last));
  let second = rows_of(min(pair + 1u, last));
  return mat4x4<f32>(weights_a(first.x, i), weights_b(first.y, i), weights_a(second.x, i), weights_b(second.y, i));
}

// Columns 4i … 4i + 3 of four tokens' inputs; tokens at or after n_tokens read the last one's.
fn token_quad(token: u32, i: u32) -> mat4x4<f32> {
  let last = step.n_tokens - 1u;
  return mat4x4<f32>(input4(min(token, last), i), input4(min(token + 1u, last), i),
                     input4(min(token + 2u, last), i), input4(min(token + 3u, last), i));
}

// Rows × tokens: a column of the result a row, its components the tokens.
fn outer(rows: vec4<f32>, tokens: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(rows.x * tokens, rows.y * tokens, rows.z * tokens, rows.w * tokens);
}

// One pair's products with the four tokens of `quad`, scaled by RMSNorm's factor.
fn store_scaled(pair: u32, token: u32, quad: u32, a: vec4<f32>, b: vec4<f32>) {
  if (pair >= n_pairs() || token >= step.n_tokens) {
    return;
  }
  var scale = vec4<f32>(1.0);
  if (NORM) {
    let start = STEP * quad;
    let total = squares[start] + squares[start + 1u] + squares[start + 2u] + squares[start + 3u];
    scale = inverseSqrt(total / f32(width_in()) + NORM_EPS);
  }
  store(pair, token, min(step.n_tokens - token, 4u), a * scale, b * scale);
}

// Grid: x and y together count tiles of 8·ROW_THREADS rows, z tiles of 4·QUADS·(WORKGROUP / ROW_THREADS) tokens.
fn products(workgroup: vec3<u32>, grid: vec3<u32>, local: u32) {
  let row_quads = 2u * ROW_THREADS;
  let token_quads = QUADS * (WORKGROUP / ROW_THREADS);
  let first_pair = (workgroup.y * grid.x + workgroup.x) * 2u * row_quads;
  let first_token = workgroup.z * 4u * token_quads;
  let own_row = local % ROW_THREADS * 2u;
  let own_token = local / ROW_THREADS * QUADS;
  let n = vec4s(width_in());
  for (var unit = local; unit < STEP * token_quads; unit += WORKGROUP) {
    squares[unit] = vec4<f32>();
  }
  var a0 = mat4x4<f32>();
  var a1 = mat4x4<f32>();
  var a2 = mat4x4<f32>();
  var a3 = mat4x4<f32>();
  var b0 = mat4x4<f32>();
  var b1 = mat4x4<f32>();
  var b2 = mat4x4<f32>();
  var b3 = mat4x4<f32>();
  for (var column = 0u; column < n; column += STEP) {
    for (var unit = local; unit < STEP * row_quads; unit += WORKGROUP) {
      let i = column + unit % STEP;
      var quad = mat4x4<f32>();
      if (i < n) {
        quad = transpose(row_quad(first_pair + unit / STEP * 2u, i));
      }
      let at = unit % STEP * 4u * row_quads + unit / STEP;
      row_tile[at] = quad[0];
      row_tile[at + row_quads] = quad[1];
      row_tile[at + 2u * row_quads] = quad[2];
      row_tile[at + 3u * row_quads] = quad[3];
    }
    for (var unit = local; unit < STEP * token_quads; unit += WORKGROUP) {
      let i = column + unit % STEP;
      var quad = mat4x4<f32>();
      if (i < n) {
        quad = transpose(token_quad(first_token + unit / STEP * 4u, i));
        if (NORM) {
          squares[unit] += quad[0] * quad[0] + quad[1] * quad[1] + quad[2] * quad[2] + quad[3] * quad[3];
          let gain = gain4(i);
          quad = mat4x4<f32>(quad[0] * gain.x, quad[1] * gain.y, quad[2] * gain.z, quad[3] * gain.w);
        }
      }
      let at = unit % STEP * 4u * token_quads + unit / STEP;
      token_tile[at] = quad[0];
      token_tile[at + token_quads] = quad[1];
      token_tile[at + 2u * token_quads] = quad[2];
      token_tile[at + 3u * token_quads] = quad[3];
    }
    workgroupBarrier();
    for (var k = 0u; k < 4u * STEP; k++) {
      let row = k * row_quads + own_row;
      let token = k * token_quads + own_token;
      let a = row_tile[row];
      let b = row_tile[row + 1u];
      let x0 = token_tile[token];
      a0 += outer(a, x0);
      b0 += outer(b, x0);
      let x1 = token_tile[token + 1u];
      a1 += outer(a, x1);
      b1 += outer(b, x1);
      if (QUADS > 2u) {
        let x2 = token_tile[token + 2u];
        a2 += outer(a, x2);
        b2 += outer(b, x2);
        let x3 = token_tile[token + 3u];
        a3 += outer(a, x3);
        b3 += outer(b, x3);
      }
    }
    workgroupBarrier();
  }
  // One call in a loop: compilers that put a function's text in place of each call took five times as long for sixteen.
  var sums = array<mat4x4<f32>, 8>(a0, b0, a1, b1, a2, b2, a3, b3);
  for (var i = 0u; i < 4u * QUADS; i++) {
    let quad = own_token + i / 4u;
    let column = i % 2u * 2u;
    store_scaled(first_pair + own_row * 2u + i % 4u, first_token + 4u * quad, quad, sums[i / 2u][column], sums[i / 2u][column + 1u]);
  }
}
