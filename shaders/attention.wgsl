// Causal attention over the cache, softmax in f32, for a few tokens. One workgroup a head, a token, a split, and THREADS vec4s of half the
// head's width; with each comes its like of the other half.
//
// Positions come in tiles: scores, LANES threads side by side on a key and four keys at a time; then weights; then the weighted sum of
// values, threads side by side on a value. Between tiles the running maximum, total and sum are rescaled (online softmax, Milakov &
// Gimelshein 2018, arXiv:1805.02867), so the context's length is not bounded by workgroup memory.
// Dispatch (H, T, splits · ⌈half_vec4s()/THREADS⌉). Uses: splits.wgsl. Oracle: tests/shaders/oracles.py:attention

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;               // (T, H, 2·half_vec4s())
@group(0) @binding(2) var<storage, read> k_cache: array<vec4<u32>>;         // (G, S, cached_vec4s())
@group(0) @binding(3) var<storage, read> v_cache: array<vec4<u32>>;         // (G, S, cached_vec4s())
@group(0) @binding(4) var<storage, read_write> out: array<f32>;             // (T, row of H·D padded to vec4s), written if there is one split
@group(0) @binding(5) var<storage, read_write> partials: array<vec4<f32>>;  // (splits, T, H, 2·half_vec4s() + 1), written if there are more

override THREADS: u32 = 64;  // at most MAX_THREADS; fewer on a CPU adapter, which pays for each thread at each barrier
override LANES: u32 = 1;     // threads a key: a power of two that divides THREADS; 1 on a CPU adapter, for which no read is coalesced
const MAX_THREADS: u32 = 64;
const MAX_SCORES: u32 = 2048;  // a tile's positions · LANES

var<workgroup> scores: array<f32, MAX_SCORES>;  // (positions, LANES); the weight is the first lane's
var<workgroup> per_thread: array<f32, MAX_THREADS>;
var<workgroup> sums_low: array<vec4<f32>, MAX_THREADS>;
var<workgroup> sums_high: array<vec4<f32>, MAX_THREADS>;

// Vec4 i of both halves of the key whose first vec4<u32> is at `row`.
fn key(row: u32, i: u32) -> Halves {
  return unpack_halves(k_cache[row + i], k_cache[row + i + cached_vec4s() - half_vec4s()]);
}

// The same of a value.
fn value(row: u32, i: u32) -> Halves {
  return unpack_halves(v_cache[row + i], v_cache[row + i + cached_vec4s() - half_vec4s()]);
}

@compute @workgroup_size(THREADS)
fn attention(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let head = workgroup.x;
  let token = workgroup.y;
  let width = half_vec4s();
  let row = cached_vec4s();
  let blocks = (width + THREADS - 1u) / THREADS;
  let split = workgroup.z / blocks;
  let query = (token * N_HEAD + head) * 2u * width;
  let cache = head / (N_HEAD / N_KV_HEAD) * CTX_LEN * row;
  let scale = inverseSqrt(f32(D_HEAD));
  let size = positions_a_split(step.position, step.n_tokens);
  let start = split * size;
  let end = min(start + size, step.position + token + 1u);

  let key_lane = local % LANES;
  let key_group = local / LANES;
  let key_groups = THREADS / LANES;
  let tile_size = min(MAX_SCORES / LANES, 512u);
  // Values: `lanes` threads side by side on one position's vec4s, `shares` positions at a time; the rest of the threads idle.
  let first = workgroup.z % blocks * THREADS;
  let lanes = min(width - first, THREADS);
  let shares = THREADS / lanes;
  let lane = local % lanes;
  let share = local / lanes;

  var largest = LOWEST;
  var total = 0.0;
  var low = vec4<f32>();
  var high = vec4<f32>();
  for (var tile = start; tile < end; tile += tile_size) {
    let n = min(end - tile, tile_size);
    for (var p = key_group; p < n; p += 4u * key_groups) {
      let last = n - 1u;
      let key0 = cache + (tile + p) * row;
      let key1 = cache + (tile + min(p + key_groups, last)) * row;
      let key2 = cache + (tile + min(p + 2u * key_groups, last)) * row;
      let key3 = cache + (tile + min(p + 3u * key_groups, last)) * row;
      var score = vec4<f32>();
      for (var i = key_lane; i < width; i += LANES) {
        let x = Halves(q[query + i], q[query + width + i]);
        let k0 = key(key0, i);
        let k1 = key(key1, i);
        let k2 = key(key2, i);
        let k3 = key(key3, i);
        score += vec4<f32>(dot(x.low, k0.low), dot(x.low, k1.low), dot(x.low, k2.low), dot(x.low, k3.low))
               + vec4<f32>(dot(x.high, k0.high), dot(x.high, k1.high), dot(x.high, k2.high), dot(x.high, k3.high));
      }
      score *= scale;
      for (var j = 0u; j < 4u && p + j * key_groups < n; j++) {
        scores[(p + j * key_groups) * LANES + key_lane] = score[j];
      }
    }
    workgroupBarrier();

    var own_largest = LOWEST;
    for (var p = local; p < n; p += THREADS) {
      var score = scores[p * LANES];
      for (var i = 1u; i < LANES; i++) {
        score += scores[p * LANES + i];
      }
      scores[p * LANES] = score;
      own_largest = max(own_largest, score);
    }
    per_thread[local] = own_largest;
    workgroupBarrier();

    var new_largest = largest;
    for (var i = 0u; i < min(n, THREADS); i++) {
      new_largest = max(new_largest, per_thread[i]);
    }
    let rescale = select(exp(largest - new_largest), 0.0, tile == start);
    largest = new_largest;
    total *= rescale;
    low *= rescale;
    high *= rescale;
    for (var p = local; p < n; p += THREADS) {
      let weight = exp(scores[p * LANES] - largest);
      scores[p * LANES] = weight;
      total += weight;
    }
    workgroupBarrier();

    if (share < shares) {
      let values = cache + tile * row;
      var p = share;
      for (; p + 3u * shares < n; p += 4u * shares) {
        let p1 = p + shares;
        let p2 = p + 2u * shares;
        let p3 = p + 3u * shares;
        let weights = vec4<f32>(scores[p * LANES], scores[p1 * LANES], scores[p2 * LANES], scores[p3 * LANES]);
        let v0 = value(values + p * row, first + lane);
        let v1 = value(values + p1 * row, first + lane);
        let v2 = value(values + p2 * row, first + lane);
        let v3 = value(values + p3 * row, first + lane);
        low += weights.x * v0.low + weights.y * v1.low + weights.z * v2.low + weights.w * v3.low;
        high += weights.x * v0.high + weights.y * v1.high + weights.z * v2.high + weights.w * v3.high;
      }
      for (; p < n; p += shares) {
        let v = value(values + p * row, first + lane);
        low += scores[p * LANES] * v.low;
        high += scores[p * LANES] * v.high;
      }
    }
    workgroupBarrier();
  }

  per_thread[local] = total;
  sums_low[local] = low;
  sums_high[local] = high;
  workgroupBarrier();
  if (local >= lanes) {
    return;
  }
  for (var i = 1u; i < shares; i++) {
    low += sums_low[local + i * lanes];
    high += sums_high[local + i * lanes];
  }
  total = 0.0;
  for (var i = 0u; i < THREADS; i++) {
    total += per_thread[i];
  }
  if (count_splits(step.position, step.n_tokens) > 1u) {
    let partial = partial_index(split, token, head, step.n_tokens);
    partials[partial + 1u + first + lane] = low;
    partials[partial + 1u + width + first + lane] = high;
    if (first + lane == 0u) {
      partials[partial] = vec4<f32>(largest, total, 0.0, 0.0);
    }
    return;
  }
  low /= total;
  high /= total;
  let half = D_HEAD / 2u;
  let place = token * 4u * vec4s(N_HEAD * D_HEAD) + head * D_HEAD;
  for (var c = 0u; c < 4u; c++) {
    let d = 4u * (first + lane) + c;
    if (d < half) {
      out[place + d] = low[c];
      out[place + half + d] = high[c];
    }
  }
}
