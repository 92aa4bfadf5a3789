// How attention is split over the cache, as rust/inference/src/gpu/tuning.rs:Splitting has it too.
//
// Heads × tokens may be too few workgroups for a GPU while the cache is long. Then several workgroups take a share of the positions each and
// leave their maximum, their total and their sum of values in `partials`, which `attention_reduce` combines
// (Dao et al. 2023, "Flash-Decoding for long-context inference").

override WORKGROUPS: u32 = 1;     // wanted at least; 1 never splits
override LEAST_SPLIT: u32 = 64;   // positions, but in the last split
override TILE_TOKENS: u32 = 1;    // tokens a workgroup of `attention_tiled`, where there is one
const TILED_FROM: u32 = 8;        // tokens from which it takes the place of `attention`

fn positions_a_split(position: u32, n_tokens: u32) -> u32 {
  let tile = select(1u, TILE_TOKENS, n_tokens >= TILED_FROM);
  let most = max(WORKGROUPS / (N_HEAD * ((n_tokens + tile - 1u) / tile)), 1u);
  return max((position + n_tokens + most - 1u) / most, LEAST_SPLIT);
}

fn count_splits(position: u32, n_tokens: u32) -> u32 {
  let size = positions_a_split(position, n_tokens);
  return (position + n_tokens + size - 1u) / size;
}

// Of a split, a token and a head: the index of (maximum, total, 0, 0), after which come the 2·half_vec4s() of the sum.
fn partial_index(split: u32, token: u32, head: u32, n_tokens: u32) -> u32 {
  return ((split * n_tokens + token) * N_HEAD + head) * (2u * half_vec4s() + 1u);
}
