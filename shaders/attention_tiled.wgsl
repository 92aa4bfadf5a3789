// `attention` for many tokens: a tile of queries shares each key and value that is read (Dao et al. 2022, "FlashAttention",
// arXiv:2205.14135). One workgroup a head, 4·ROWS tokens, a split, and 16 vec4s of the head's width, 8 of each half; both halves' vec4s i
// stand side by side in a tile.
//
// A tile of as many positions: the products of 4 queries with 4 keys a thread, 8 vec4s of the width at a time through workgroup memory; the
// online softmax of a thread's 4 queries; then the products of the weights with a tile of values, 4 queries by 16/ROWS vec4s a thread.
// A mat4x4 here has a column a key (or a vec4 of the sum's width), its components the 4 queries (or the columns the queries).
// Dispatch (H, ⌈T/(4·ROWS)⌉, splits · ⌈half_vec4s()/8⌉). Uses: splits.wgsl. Oracle: tests/shaders/oracles.py:attention

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;               // (T, H, 2·half_vec4s())
@group(0) @binding(2) var<storage, read> k_cache: array<vec4<u32>>;         // (G, S, cached_vec4s())
@group(0) @binding(3) var<storage, read> v_cache: array<vec4<u32>>;         // (G, S, cached_vec4s())
@group(0) @binding(4) var<storage, read_write> out: array<f32>;             // (T, row of H·D padded to vec4s), written if there is one split
@group(0) @binding(5) var<storage, read_write> partials: array<vec4<f32>>;  // (splits, T, H, 2·half_vec4s() + 1), written if there are more

override ROWS: u32 = 8;      // threads over the queries, and over the keys: 8, or 4 on a CPU adapter; the workgroup has ROWS²
const MAX_ROWS: u32 = 8;
const COLUMNS: u32 = 8;      // vec4s of queries and keys at a time
const STRIDE: u32 = 9;       // of a row of them, so that neighbouring rows lie in other banks
const VALUES: u32 = 16;      // vec4s of values

var<workgroup> tile: array<vec4<f32>, 8 * MAX_ROWS * STRIDE>;        // queries, then keys; or values
var<workgroup> weights: array<vec4<f32>, 4 * MAX_ROWS * MAX_ROWS>;   // (positions, ROWS), the components 4 queries
var<workgroup> per_thread: array<vec4<f32>, MAX_ROWS * MAX_ROWS>;    // (ROWS queries, ROWS keys), the components 4 queries

// Of 4 queries: the most or the sum over the threads that share them.
fn most_of(own: vec4<f32>, local: u32) -> vec4<f32> {
  per_thread[local] = own;
  workgroupBarrier();
  var most = own;
  for (var i = 0u; i < ROWS; i++) {
    most = max(most, per_thread[local / ROWS * ROWS + i]);
  }
  return most;
}

// exp of what is at most 0, exactly 0 far below.
fn exp_of(x: vec4<f32>) -> vec4<f32> {
  return select(exp(max(x, vec4<f32>(-87.0))), vec4<f32>(), x < vec4<f32>(-87.0));
}

@compute @workgroup_size(ROWS * ROWS)
fn attention_tiled(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let head = workgroup.x;
  let threads = ROWS * ROWS;
  let size = 4u * ROWS;
  let width = half_vec4s();
  let pairs = VALUES / 2u;
  let blocks = (width + pairs - 1u) / pairs;
  let split = workgroup.z / blocks;
  let first_pair = workgroup.z % blocks * pairs;
  let first_token = workgroup.y * size;
  let cache = head / (N_HEAD / N_KV_HEAD) * CTX_LEN;
  let scale = inverseSqrt(f32(D_HEAD));
  let split_size = positions_a_split(step.position, step.n_tokens);
  let start = split * split_size;
  let end = min(start + split_size, step.position + min(first_token + size, step.n_tokens));
  let own_query = local / ROWS;  // of 4 queries
  let own_key = local % ROWS;    // own_key + ROWS·j is the j-th of the thread's keys, or of its vec4s of the sum
  // The last position that each of the thread's queries sees.
  let sees = vec4<u32>(step.position + first_token + 4u * own_query) + vec4<u32>(0u, 1u, 2u, 3u);

  var largest = vec4<f32>(LOWEST);
  var total = vec4<f32>();
  var sum0 = mat4x4<f32>();
  var sum1 = mat4x4<f32>();
  var sum2 = mat4x4<f32>();
  var sum3 = mat4x4<f32>();
  for (var first = start; first < end; first += size) {
    var score = mat4x4<f32>();
    for (var column = 0u; column < width; column += COLUMNS / 2u) {
      for (var unit = local; unit < size * COLUMNS / 2u; unit += threads) {
        let row = unit / (COLUMNS / 2u);
        let i = column + unit % (COLUMNS / 2u);
        let at = row * STRIDE + 2u * (unit % (COLUMNS / 2u));
        var x = Halves();
        if (i < width && first_token + row < step.n_tokens) {
          let query = ((first_token + row) * N_HEAD + head) * 2u * width + i;
          x = Halves(q[query], q[query + width]);
        }
        tile[at] = x.low;
        tile[at + 1u] = x.high;
        x = Halves();
        if (i < width && first + row < end) {
          let key = (cache + first + row) * cached_vec4s() + i;
          x = unpack_halves(k_cache[key], k_cache[key + cached_vec4s() - width]);
        }
        tile[size * STRIDE + at] = x.low;
        tile[size * STRIDE + at + 1u] = x.high;
      }
      workgroupBarrier();
      for (var i = 0u; i < COLUMNS; i++) {
        let at = 4u * own_query * STRIDE + i;
        let q0 = tile[at];
        let q1 = tile[at + STRIDE];
        let q2 = tile[at + 2u * STRIDE];
        let q3 = tile[at + 3u * STRIDE];
        let key = (size + own_key) * STRIDE + i;
        let k0 = tile[key];
        let k1 = tile[key + ROWS * STRIDE];
        let k2 = tile[key + 2u * ROWS * STRIDE];
        let k3 = tile[key + 3u * ROWS * STRIDE];
        score += mat4x4<f32>(vec4<f32>(dot(q0, k0), dot(q1, k0), dot(q2, k0), dot(q3, k0)),
                             vec4<f32>(dot(q0, k1), dot(q1, k1), dot(q2, k1), dot(q3, k1)),
                             vec4<f32>(dot(q0, k2), dot(q1, k2), dot(q2, k2), dot(q3, k2)),
                             vec4<f32>(dot(q0, k3), dot(q1, k3), dot(q2, k3), dot(q3, k3)));
      }
      workgroupBarrier();
    }

    var own_largest = vec4<f32>(LOWEST);
    for (var j = 0u; j < 4u; j++) {
      let position = vec4<u32>(first + own_key + ROWS * j);
      score[j] = select(vec4<f32>(LOWEST), score[j] * scale, (position <= sees) & (position < vec4<u32>(end)));
      own_largest = max(own_largest, score[j]);
    }
    for (var unit = local; unit < size * pairs; unit += threads) {
      let position = first + unit / pairs;
      let i = first_pair + unit % pairs;
      var x = Halves();
      if (i < width && position < end) {
        let value = (cache + position) * cached_vec4s() + i;
        x = unpack_halves(v_cache[value], v_cache[value + cached_vec4s() - width]);
      }
      tile[2u * unit] = x.low;
      tile[2u * unit + 1u] = x.high;
    }
    let new_largest = max(largest, most_of(own_largest, local));
    let rescale = exp_of(largest - new_largest);
    largest = new_largest;
    total *= rescale;
    for (var j = 0u; j < 4u; j++) {
      // A query that sees nothing yet has LOWEST for its largest too.
      let weight = select(exp_of(score[j] - largest), vec4<f32>(), score[j] <= vec4<f32>(LOWEST));
      weights[(own_key + ROWS * j) * ROWS + own_query] = weight;
      total += weight;
    }
    workgroupBarrier();

    sum0 = mat4x4<f32>(sum0[0] * rescale.x, sum0[1] * rescale.y, sum0[2] * rescale.z, sum0[3] * rescale.w);
    sum1 = mat4x4<f32>(sum1[0] * rescale.x, sum1[1] * rescale.y, sum1[2] * rescale.z, sum1[3] * rescale.w);
    sum2 = mat4x4<f32>(sum2[0] * rescale.x, sum2[1] * rescale.y, sum2[2] * rescale.z, sum2[3] * rescale.w);
    sum3 = mat4x4<f32>(sum3[0] * rescale.x, sum3[1] * rescale.y, sum3[2] * rescale.z, sum3[3] * rescale.w);
    for (var p = 0u; p < size; p++) {
      let weight = weights[p * ROWS + own_query];
      let value = p * VALUES + own_key;
      let v0 = tile[value];
      sum0 += mat4x4<f32>(weight.x * v0, weight.y * v0, weight.z * v0, weight.w * v0);
      let v1 = tile[value + ROWS];
      sum1 += mat4x4<f32>(weight.x * v1, weight.y * v1, weight.z * v1, weight.w * v1);
      if (ROWS < 8u) {
        let v2 = tile[value + 2u * ROWS];
        sum2 += mat4x4<f32>(weight.x * v2, weight.y * v2, weight.z * v2, weight.w * v2);
        let v3 = tile[value + 3u * ROWS];
        sum3 += mat4x4<f32>(weight.x * v3, weight.y * v3, weight.z * v3, weight.w * v3);
      }
    }
    workgroupBarrier();
  }

  per_thread[local] = total;
  workgroupBarrier();
  total = vec4<f32>();
  for (var i = 0u; i < ROWS; i++) {
    total += per_thread[own_query * ROWS + i];
  }
  let is_split = count_splits(step.position, step.n_tokens) > 1u;
  var sums = array<mat4x4<f32>, 4>(sum0, sum1, sum2, sum3);
  for (var j = 0u; j < 4u; j++) {
    let token = first_token + 4u * own_query + j;
    if (token >= step.n_tokens) {
      continue;
    }
    let partial = partial_index(split, token, head, step.n_tokens);
    if (is_split && first_pair + own_key == 0u) {
      partials[partial] = vec4<f32>(largest[j], total[j], 0.0, 0.0);
    }
    for (var v = 0u; v < VALUES / ROWS; v++) {
      let column = own_key + ROWS * v;
      let i = first_pair + column / 2u;
      let which = column % 2u;  // of the halves
      if (i >= width) {
        continue;
      }
      let sum = sums[v][j];
      if (is_split) {
        partials[partial + 1u + which * width + i] = sum;
        continue;
      }
      let half = D_HEAD / 2u;
      let start = token * 4u * vec4s(N_HEAD * D_HEAD) + head * D_HEAD + which * half + 4u * i;
      for (var c = 0u; c < 4u && 4u * i + c < half; c++) {
        out[start + c] = sum[c] / total[j];
      }
    }
  }
}
