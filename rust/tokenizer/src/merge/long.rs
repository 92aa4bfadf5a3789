//! Merging a long piece: O(n log n) for any, and far less for one byte again and again (spaces, dashes).

use alloc::collections::BinaryHeap;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::{NO_MERGE, NO_PRIORITY};
use crate::parts::NO_TOKEN;
use crate::tokenizer::Tokenizer;

/// More runs than these are left to the heap, and more steps.
const MOST_RUNS: usize = 64;
const MOST_STEPS: usize = 4096;

/// The place of a part in a piece, in as few bytes as its length allows.
trait Place: Copy {
    /// A priority and a place: the smallest comes first.
    type Key: Copy + Ord;

    fn new(at: usize) -> Self;
    fn at(self) -> usize;
    fn key(self, priority: u32) -> Self::Key;
    fn of_key(key: Self::Key) -> (u32, usize);
}

impl Place for u32 {
    type Key = u64;

    fn new(at: usize) -> Self {
        at as u32
    }

    fn at(self) -> usize {
        self as usize
    }

    fn key(self, priority: u32) -> u64 {
        u64::from(priority) << 32 | u64::from(self)
    }

    fn of_key(key: u64) -> (u32, usize) {
        ((key >> 32) as u32, key as u32 as usize)
    }
}

impl Place for usize {
    type Key = (u32, usize);

    fn new(at: usize) -> Self {
        at
    }

    fn at(self) -> usize {
        self
    }

    fn key(self, priority: u32) -> (u32, usize) {
        (priority, self)
    }

    fn of_key(key: (u32, usize)) -> (u32, usize) {
        key
    }
}

impl Tokenizer {
    /// Append the ids that merging makes of a piece of any length but 0.
    pub(super) fn merge_long(&self, piece: &[u8], ids: &mut Vec<u32>) {
        let one_byte = piece.iter().all(|&byte| byte == piece[0]);
        if let Some(runs) = one_byte
            .then(|| self.merge_run(piece[0], piece.len()))
            .flatten()
        {
            for (token, count) in runs {
                ids.extend(core::iter::repeat_n(token, count));
            }
        } else if u32::try_from(piece.len()).is_ok() {
            self.merge_by_heap::<u32>(piece, ids);
        } else {
            self.merge_by_heap::<usize>(piece, ids);
        }
    }

    /// Merge with a heap of (priority, place) over a linked list of parts.
    fn merge_by_heap<P: Place>(&self, piece: &[u8], ids: &mut Vec<u32>) {
        let mut parts = vec![0; piece.len()];
        let mut merges = vec![NO_MERGE; piece.len() + 1];
        let len = self.begin(piece, &mut parts, |at, merge| merges[at] = merge);
        let mut next: Vec<P> = (1..=len).map(P::new).collect();
        let mut previous: Vec<P> = (0..len).map(|at| P::new(at.saturating_sub(1))).collect();
        let key = |merge: u64, at| Reverse(P::new(at).key((merge >> 32) as u32));
        let mut heap: BinaryHeap<Reverse<P::Key>> = merges
            .iter()
            .enumerate()
            .filter(|&(_, &merge)| merge != NO_MERGE)
            .map(|(at, &merge)| key(merge, at))
            .collect();

        while let Some(Reverse(first)) = heap.pop() {
            let (priority, at) = P::of_key(first);
            if (merges[at] >> 32) as u32 != priority {
                continue; // the pair that this entry was for is gone
            }
            let removed = next[at].at();
            let after = next[removed].at();
            parts[at] = merges[at] as u32; // the low half is the result
            next[at] = P::new(after);
            merges[removed] = NO_MERGE;
            merges[at] = NO_MERGE;
            if after < len {
                previous[after] = P::new(at);
                merges[at] = self.merge_of(parts[at], parts[after]);
                if merges[at] != NO_MERGE {
                    heap.push(key(merges[at], at));
                }
            }
            if at > 0 {
                let before = previous[at].at();
                merges[before] = self.merge_of(parts[before], parts[at]);
                if merges[before] != NO_MERGE {
                    heap.push(key(merges[before], before));
                }
            }
        }
        let mut at = 0;
        while at < len {
            ids.push(parts[at]);
            at = next[at].at();
        }
    }

    /// What becomes of `count` times the same byte: (token, how often), from left to right. `None` where that would take long to say.
    ///
    /// Equal tokens side by side merge by twos from the left, all at once, as long as none of the pairs that this makes would come first.
    fn merge_run(&self, byte: u8, count: usize) -> Option<Vec<(u32, usize)>> {
        let token = self.byte_ids[usize::from(byte)];
        let mut runs = match token {
            NO_TOKEN => Vec::new(),
            token => vec![(token, count)],
        };
        for _ in 0..MOST_STEPS {
            let Some((merge, at, within)) = self.first_merge(&runs) else {
                return Some(runs);
            };
            let (token, count) = runs[at];
            let result = merge as u32;
            if within {
                let before = at.checked_sub(1).map(|before| (runs[before].0, result));
                let after = runs.get(at + 1).map(|next| (result, next.0));
                let inside = [Some((result, result)), Some((result, token))];
                let mut made = [before, after].into_iter().chain(inside).flatten();
                if made.any(|(left, right)| self.merge_of(left, right) >> 32 <= merge >> 32) {
                    return None;
                }
                runs.splice(at..=at, [(result, count / 2), (token, count % 2)]);
            } else {
                let (right, right_count) = runs[at + 1];
                let parts = [(token, count - 1), (result, 1), (right, right_count - 1)];
                runs.splice(at..at + 2, parts);
            }
            runs.retain(|&(_, count)| count > 0);
            runs.dedup_by(|right, left| {
                let same = right.0 == left.0;
                left.1 += if same { right.1 } else { 0 };
                same
            });
            if runs.len() > MOST_RUNS {
                return None;
            }
        }
        None
    }

    /// The merge that comes first, the run where it is, and whether it is within that run or of its last token and the next run's first.
    fn first_merge(&self, runs: &[(u32, usize)]) -> Option<(u64, usize, bool)> {
        let mut first = None;
        let mut least = NO_PRIORITY;
        for (at, &(token, count)) in runs.iter().enumerate() {
            let within = (count > 1).then_some((token, true));
            let between = runs.get(at + 1).map(|next| (next.0, false));
            for (right, within) in within.into_iter().chain(between) {
                let merge = self.merge_of(token, right);
                if merge >> 32 < least {
                    least = merge >> 32;
                    first = Some((merge, at, within));
                }
            }
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use crate::naive;
    use crate::normalize::Normalizer;
    use crate::parts::{Merge, MergeOrder, Parts};
    use crate::split::Split;
    use crate::tokenizer::Tokenizer;
    use crate::vocabulary::Vocabulary;

    const LONGEST: u32 = 9;

    /// A tokenizer of all bytes and of `aa` to `aaaaaaaaa`, with some of the merges of two of these, in any order: also such as no training makes.
    fn odd_tokenizer(random: &mut impl FnMut(usize) -> usize) -> Tokenizer {
        let mut vocabulary = Vocabulary::default();
        let singles = (0..=255_u8).map(|byte| alloc::vec![byte]);
        let tokens = singles.chain((2..=LONGEST).map(|len| alloc::vec![b'a'; len as usize]));
        for token in tokens {
            vocabulary.bytes.extend(token);
            vocabulary.ends.push(vocabulary.bytes.len() as u32);
        }
        let id = |len: u32| if len == 1 { b'a'.into() } else { 254 + len };
        let mut merges = Vec::new();
        for left in 1..LONGEST {
            for right in 1..=LONGEST - left {
                if random(3) > 0 {
                    let place = random(merges.len() + 1);
                    merges.insert(
                        place,
                        Merge {
                            left: id(left),
                            right: id(right),
                            result: id(left + right),
                        },
                    );
                }
            }
        }
        let mut order = MergeOrder::ByList;
        if random(2) > 0 {
            order = MergeOrder::ByResult;
            merges.sort_by_key(|merge| (merge.result, merge.left));
        }
        let parts = Parts {
            vocabulary,
            added: Vec::new(),
            merges,
            order,
            split: Split::Gpt2,
            normalizer: Normalizer::None,
            ignore_merges: false,
        };
        Tokenizer::new(parts, None, |_| unreachable!("nothing is normalised")).unwrap()
    }

    #[test]
    fn every_way_to_merge_gives_the_same() {
        let mut random = crate::random::numbers();
        let mut said_in_runs = 0;
        for _ in 0..400 {
            let tokenizer = odd_tokenizer(&mut random);
            for len in [1, 2, 3, 7, 63, 64, 65, 66, 97, 100 + random(60)] {
                let piece = "a".repeat(len);
                let expected = naive::encode(&tokenizer, &piece);
                let mut found = Vec::new();
                tokenizer.merge_piece(piece.as_bytes(), &mut found);
                assert_eq!(found, expected, "{len}");
                for by_heap in [
                    Tokenizer::merge_by_heap::<u32>,
                    Tokenizer::merge_by_heap::<usize>,
                ] {
                    found.clear();
                    by_heap(&tokenizer, piece.as_bytes(), &mut found);
                    assert_eq!(found, expected, "{len}");
                }
                if let Some(runs) = tokenizer.merge_run(b'a', len) {
                    let runs = runs.into_iter();
                    let said = runs.flat_map(|(token, count)| core::iter::repeat_n(token, count));
                    assert!(said.eq(expected), "{len}");
                    said_in_runs += 1;
                }
            }
        }
        assert!((400..4000).contains(&said_in_runs), "{said_in_runs}");
    }
}
