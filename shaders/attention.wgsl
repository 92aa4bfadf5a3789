// Causal attention over the cache, softmax in f32. One workgroup a head, a token, and THREADS vec4s of the head's width.
//
// Positions come in tiles of TILE_S: scores, a thread a position; then weights; then the weighted sum of values, a thread a vec4 of
// the head and a share of the positions. Between tiles the running maximum, total and sum are rescaled (online softmax, Milakov &
// Gimelshein 2018, arXiv:1805.02867), so the context's length is not bounded by workgroup memory.
// Dispatch (H, T, ⌈vec4s(D)/THREADS⌉). Oracle: tests/shaders/oracles.py:attention

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;        // (T, H, vec4s(D))
@group(0) @binding(2) var<storage, read> k_cache: array<vec4<f32>>;  // (G, S, vec4s(D))
@group(0) @binding(3) var<storage, read> v_cache: array<vec4<f32>>;  // (G, S, vec4s(D))
@group(0) @binding(4) var<storage, read_write> out: array<f32>;      // (T, row of H·D padded to vec4s), written

override THREADS: u32 = 64;  // at most MAX_THREADS; fewer on a CPU adapter, which pays for each thread at each barrier
const MAX_THREADS: u32 = 64;
const TILE_S: u32 = 512;

var<workgroup> scores: array<f32, TILE_S>;
var<workgroup> per_thread: array<f32, MAX_THREADS>;
var<workgroup> sums: array<vec4<f32>, MAX_THREADS>;

@compute @workgroup_size(THREADS)
fn attention(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let head = workgroup.x;
  let token = workgroup.y;
  let width = vec4s(D_HEAD);
  let query = (token * N_HEAD + head) * width;
  let cache = head / (N_HEAD / N_KV_HEAD) * CTX_LEN * width;
  let seen = step.position + token + 1u;
  let scale = inverseSqrt(f32(D_HEAD));

  // Values: `lanes` threads side by side on one position's vec4s, `shares` positions at a time; the rest of the threads idle.
  let first = workgroup.z * THREADS;
  let lanes = min(width - first, THREADS);
  let shares = THREADS / lanes;
  let lane = local % lanes;
  let share = local / lanes;

  var largest = LOWEST;
  var total = 0.0;
  var sum = vec4<f32>();
  for (var tile = 0u; tile < seen; tile += TILE_S) {
    let n = min(seen - tile, TILE_S);
    var own_largest = LOWEST;
    for (var p = local; p < n; p += THREADS) {
      var score = 0.0;
      let key = cache + (tile + p) * width;
      for (var i = 0u; i < width; i++) {
        score += dot(q[query + i], k_cache[key + i]);
      }
      score *= scale;
      scores[p] = score;
      own_largest = max(own_largest, score);
    }
    per_thread[local] = own_largest;
    workgroupBarrier();

    var new_largest = largest;
    for (var i = 0u; i < min(n, THREADS); i++) {
      new_largest = max(new_largest, per_thread[i]);
    }
    let rescale = select(exp(largest - new_largest), 0.0, tile == 0u);
    largest = new_largest;
    total *= rescale;
    sum *= rescale;
    for (var p = local; p < n; p += THREADS) {
      let weight = exp(scores[p] - largest);
      scores[p] = weight;
      total += weight;
    }
    workgroupBarrier();

    if (share < shares) {
      for (var p = share; p < n; p += shares) {
        sum += scores[p] * v_cache[cache + (tile + p) * width + first + lane];
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
  sum /= total;
  let start = token * 4u * vec4s(N_HEAD * D_HEAD) + head * D_HEAD;
  for (var c = 0u; c < 4u; c++) {
    let d = 4u * (first + lane) + c;
    if (d < D_HEAD) {
      out[start + d] = sum[c];
    }
  }
}
