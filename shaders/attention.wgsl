// Causal attention over the cache, softmax in f32, for a few tokens. One workgroup a head, a token, a split, and THREADS vec4s of the
// head's width.
//
// Positions come in tiles: scores, LANES threads side by side on a key and four keys at a time; then weights; then the weighted sum of
// values, threads side by side on a value. Between tiles the running maximum, total and sum are rescaled (online softmax, Milakov &
// Gimelshein 2018, arXiv:1805.02867), so the context's length is not bounded by workgroup memory.
// Dispatch (H, T, splits · ⌈vec4s(D)/THREADS⌉). Uses: splits.wgsl. Oracle: tests/shaders/oracles.py:attention

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;               // (T, H, vec4s(D))
@group(0) @binding(2) var<storage, read> k_cache: array<vec4<f32>>;         // (G, S, vec4s(D))
@group(0) @binding(3) var<storage, read> v_cache: array<vec4<f32>>;         // (G, S, vec4s(D))
@group(0) @binding(4) var<storage, read_write> out: array<f32>;             // (T, row of H·D padded to vec4s), written if there is one split
@group(0) @binding(5) var<storage, read_write> partials: array<vec4<f32>>;  // (splits, T, H, vec4s(D) + 1), written if there are more

override THREADS: u32 = 64;  // at most MAX_THREADS; fewer on a CPU adapter, which pays for each thread at each barrier
override LANES: u32 = 1;     // threads a key: a power of two that divides THREADS; 1 on a CPU adapter, for which no read is coalesced
const MAX_THREADS: u32 = 64;
const MAX_SCORES: u32 = 2048;  // a tile's positions · LANES

var<workgroup> scores: array<f32, MAX_SCORES>;  // (positions, LANES); the weight is the first lane's
var<workgroup> per_thread: array<f32, MAX_THREADS>;
var<workgroup> sums: array<vec4<f32>, MAX_THREADS>;

@compute @workgroup_size(THREADS)
fn attention(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let head = workgroup.x;
  let token = workgroup.y;
  let width = vec4s(D_HEAD);
  let blocks = (width + THREADS - 1u) / THREADS;
  let split = workgroup.z / blocks;
  let query = (token * N_HEAD + head) * width;
  let cache = head / (N_HEAD / N_KV_HEAD) * CTX_LEN * width;
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
  var sum = vec4<f32>();
  for (var tile = start; tile < end; tile += tile_size) {
    let n = min(end - tile, tile_size);
    for (var p = key_group; p < n; p += 4u * key_groups) {
      let last = n - 1u;
      let key0 = cache + (tile + p) * width;
      let key1 = cache + (tile + min(p + key_groups, last)) * width;
      let key2 = cache + (tile + min(p + 2u * key_groups, last)) * width;
      let key3 = cache + (tile + min(p + 3u * key_groups, last)) * width;
      var score = vec4<f32>();
      for (var i = key_lane; i < width; i += LANES) {
        let x = q[query + i];
        score += vec4<f32>(dot(x, k_cache[key0 + i]), dot(x, k_cache[key1 + i]),
                           dot(x, k_cache[key2 + i]), dot(x, k_cache[key3 + i]));
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
    sum *= rescale;
    for (var p = local; p < n; p += THREADS) {
      let weight = exp(scores[p * LANES] - largest);
      scores[p * LANES] = weight;
      total += weight;
    }
    workgroupBarrier();

    if (share < shares) {
      let value = cache + tile * width + first + lane;
      var p = share;
      for (; p + 3u * shares < n; p += 4u * shares) {
        let p1 = p + shares;
        let p2 = p + 2u * shares;
        let p3 = p + 3u * shares;
        sum += scores[p * LANES] * v_cache[value + p * width] + scores[p1 * LANES] * v_cache[value + p1 * width]
             + scores[p2 * LANES] * v_cache[value + p2 * width] + scores[p3 * LANES] * v_cache[value + p3 * width];
      }
      for (; p < n; p += shares) {
        sum += scores[p * LANES] * v_cache[value + p * width];
      }
    }
    workgroupBarrier();
  }

  per_thread[local] = total;
  sums[local] = sum;
  workgroupBarrier();
  if (local >= lanes) {
    return;
  }
  for (var i = 1u; i < shares; i++) {
    sum += sums[local + i * lanes];
  }
  total = 0.0;
  for (var i = 0u; i < THREADS; i++) {
    total += per_thread[i];
  }
  if (count_splits(step.position, step.n_tokens) > 1u) {
    let row = partial_index(split, token, head, step.n_tokens);
    partials[row + 1u + first + lane] = sum;
    if (first + lane == 0u) {
      partials[row] = vec4<f32>(largest, total, 0.0, 0.0);
    }
    return;
  }
  sum /= total;
  let row = token * 4u * vec4s(N_HEAD * D_HEAD) + head * D_HEAD;
  for (var c = 0u; c < 4u; c++) {
    let d = 4u * (first + lane) + c;
    if (d < D_HEAD) {
      out[row + d] = sum[c];
    }
  }
}
