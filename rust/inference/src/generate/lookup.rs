//! Guesses of what comes next: what followed the last tokens where they stood before.
//!
//! Source: Saxena 2023, "Prompt Lookup Decoding"; O(S) a guess for a window of S tokens, which is nothing beside a token's products.

/// So many last tokens are looked for, the more first: a single one stands in too many places to say what follows.
const LENGTHS: [usize; 2] = [3, 2];

/// Up to `most` tokens that followed the last ones of `ids` where those stood before: the latest place with so many after it, or the
/// one with the most. Empty where there is none.
pub(super) fn guess(ids: &[u32], most: usize) -> &[u32] {
    for length in LENGTHS {
        let Some(before) = ids.len().checked_sub(length) else {
            continue;
        };
        let mut found: &[u32] = &[];
        for start in (0..before).rev() {
            if found.len() == most {
                break;
            }
            let end = start + length;
            if ids[start..end] == ids[before..] {
                found = &ids[end..ids.len().min(end + most)];
            }
        }
        if !found.is_empty() {
            return found;
        }
    }
    &[]
}
