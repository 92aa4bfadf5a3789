//! The merge loop: take the most frequent pair, merge it in every word that holds it, update the counts it changed.
//!
//! Each pair's count is kept exact; the heap is lazy: an entry whose count is out of date is put back with today's when
//! it comes up. An entry carries the words to look at, so a merge touches only those. Changes of one merge are gathered
//! by neighbour in dense arrays, so that the hash map is asked once a distinct pair, not once an occurrence.
//!
//! What a merge makes is always a new token: inside a token's bytes the same merges apply wherever it stands, since none
//! crossed its ends, so its last merge is the same everywhere. Hence a pair with the new id cannot have been counted or
//! queued before, and a pair is queued once.

use alloc::collections::BinaryHeap;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::mem::take;
use std::collections::{HashMap, HashSet};

use super::config::TrainConfig;
use super::hash::PairHasher;
use super::watch::{WORDS_BETWEEN_LOOKS, Watch};
use super::words::WordCounts;
use crate::byte_level;
use crate::error::TokenizerError;
use crate::table::pair_key;

/// What a merge costs beside its words, in words.
const WORDS_A_MERGE: usize = 16;

/// Learn merges until `tokens` (special tokens, then the 256 bytes) has grown to the vocabulary's size or the pairs run
/// out; the merged pairs by rank.
pub(super) fn learn(
    words: &WordCounts,
    tokens: &mut Vec<Vec<u8>>,
    special_count: u32,
    config: &TrainConfig,
    watch: &mut Watch<'_>,
) -> Result<Vec<(u32, u32)>, TokenizerError> {
    let mut corpus = Corpus::new(words, special_count);
    let mut queue = Queue::default();
    corpus.count_pairs(&mut queue, watch)?;

    let specials: HashSet<Vec<u8>> = tokens[..special_count as usize].iter().cloned().collect();
    let mut neighbours = Neighbours::default();
    let mut merges = Vec::new();
    while tokens.len() < config.vocab_size as usize {
        let Some((pair, word_list)) = queue.pop(&corpus.pair_counts, config.min_frequency) else {
            break;
        };
        let (left, right) = pair;
        let joined = [tokens[left as usize].as_slice(), &tokens[right as usize]].concat();
        if specials.contains(&joined) {
            let token = String::from_utf8_lossy(&joined).into_owned();
            let problem = "merges make the same text; choose one that the split never leaves whole, such as <|name|>";
            return Err(TokenizerError::BadSpecial { token, problem });
        }
        let id = tokens.len() as u32;
        tokens.push(joined);
        merges.push(pair);
        neighbours.make_room(tokens.len());
        for some in word_list.chunks(WORDS_BETWEEN_LOOKS) {
            for &word in some {
                corpus.merge_in_word(word, pair, id, &mut neighbours);
            }
            watch.worked(some.len() + WORDS_A_MERGE, tokens.len())?;
        }
        let allowed =
            |other: u32| config.allows(tokens[other as usize].len() + tokens[id as usize].len());
        neighbours.apply(pair, id, &mut corpus.pair_counts, &mut queue, allowed);
    }
    Ok(merges)
}

type PairCounts = HashMap<u64, u64, PairHasher>;

/// The distinct words as lists of ids that shrink.
struct Corpus {
    symbols: Vec<u32>,
    /// (start in `symbols`, length now)
    spans: Vec<(u32, u32)>,
    /// How often each word occurs.
    counts: Vec<u64>,
    /// By `pair_key`.
    pair_counts: PairCounts,
}

impl Corpus {
    fn new(words: &WordCounts, special_count: u32) -> Self {
        let mut byte_ids = [0; 256];
        for (place, byte) in byte_level::alphabet().into_iter().enumerate() {
            byte_ids[byte as usize] = special_count + place as u32;
        }
        let mut symbols = Vec::with_capacity(words.arena_len());
        let mut spans = Vec::with_capacity(words.len());
        let mut counts = Vec::with_capacity(words.len());
        for (word, count) in words.iter() {
            spans.push((symbols.len() as u32, word.len() as u32));
            counts.push(count);
            symbols.extend(word.iter().map(|&byte| byte_ids[byte as usize]));
        }
        Self {
            symbols,
            spans,
            counts,
            pair_counts: PairCounts::default(),
        }
    }

    /// Count every pair of the words and queue it.
    fn count_pairs(
        &mut self,
        queue: &mut Queue,
        watch: &mut Watch<'_>,
    ) -> Result<(), TokenizerError> {
        let mut lists: HashMap<u64, Vec<u32>, PairHasher> = HashMap::default();
        for (word, &(start, len)) in self.spans.iter().enumerate() {
            let symbols = &self.symbols[start as usize..][..len as usize];
            for pair in symbols.windows(2) {
                let key = pair_key(pair[0], pair[1]);
                *self.pair_counts.entry(key).or_insert(0) += self.counts[word];
                push_new(lists.entry(key).or_default(), word as u32);
            }
            watch.worked(1, 0)?;
        }
        for (key, list) in lists {
            queue.push(self.pair_counts[&key], key, list);
        }
        Ok(())
    }

    /// Merge `pair` into `id` wherever it stands in `word`, left to right, and note what that changes.
    fn merge_in_word(
        &mut self,
        word: u32,
        (left, right): (u32, u32),
        id: u32,
        neighbours: &mut Neighbours,
    ) {
        let (start, len) = self.spans[word as usize];
        let count = self.counts[word as usize];
        let symbols = &mut self.symbols[start as usize..][..len as usize];
        let (mut read, mut write) = (0, 0);
        while read < symbols.len() {
            if symbols[read] != left || symbols.get(read + 1) != Some(&right) {
                symbols[write] = symbols[read];
                (read, write) = (read + 1, write + 1);
                continue;
            }
            if write > 0 {
                neighbours.before(symbols[write - 1], word, count);
            }
            if let Some(&after) = symbols.get(read + 2) {
                neighbours.after(after, word, count);
            }
            symbols[write] = id;
            (read, write) = (read + 2, write + 1);
        }
        self.spans[word as usize].1 = write as u32;
    }
}

/// Append `word` unless it is the last one already.
#[inline]
fn push_new(list: &mut Vec<u32>, word: u32) {
    if list.last() != Some(&word) {
        list.push(word);
    }
}

/// What one merge of (left, right) into id changes, by the neighbouring symbol.
///
/// A symbol x before it: (x, left) is lost and (x, id) gained; a symbol y after it: (right, y) lost and (id, y) gained.
#[derive(Default)]
struct Neighbours {
    before: Side,
    after: Side,
}

/// One side's changes: dense arrays by symbol, and which symbols are in use.
#[derive(Default)]
struct Side {
    changes: Vec<u64>,
    words: Vec<Vec<u32>>,
    used: Vec<u32>,
}

impl Side {
    fn make_room(&mut self, symbols: usize) {
        self.changes.resize(symbols, 0);
        self.words.resize_with(symbols, Vec::new);
    }

    #[inline]
    fn note(&mut self, symbol: u32, word: u32, count: u64) {
        let list = &mut self.words[symbol as usize];
        if list.is_empty() {
            self.used.push(symbol);
        }
        push_new(list, word);
        self.changes[symbol as usize] += count;
    }
}

impl Neighbours {
    /// Let there be `symbols` different ones.
    fn make_room(&mut self, symbols: usize) {
        self.before.make_room(symbols);
        self.after.make_room(symbols);
    }

    #[inline]
    fn before(&mut self, symbol: u32, word: u32, count: u64) {
        self.before.note(symbol, word, count);
    }

    #[inline]
    fn after(&mut self, symbol: u32, word: u32, count: u64) {
        self.after.note(symbol, word, count);
    }

    /// Move the changes into `pair_counts` and queue the pairs that were gained, those of id and a symbol that is `allowed` beside it. The
    /// others are counted, and never merged.
    fn apply(
        &mut self,
        (left, right): (u32, u32),
        id: u32,
        pair_counts: &mut PairCounts,
        queue: &mut Queue,
        allowed: impl Fn(u32) -> bool,
    ) {
        // All gains before all losses: a pair that is both must not pass below zero on the way.
        for &x in &self.before.used {
            *pair_counts.entry(pair_key(x, id)).or_insert(0) += self.before.changes[x as usize];
        }
        for &y in &self.after.used {
            *pair_counts.entry(pair_key(id, y)).or_insert(0) += self.after.changes[y as usize];
        }
        let mut lose = |key, count| {
            *pair_counts
                .get_mut(&key)
                .expect("a pair that is lost was counted") -= count;
        };
        for &x in &self.before.used {
            lose(
                pair_key(x, left),
                take(&mut self.before.changes[x as usize]),
            );
        }
        for &y in &self.after.used {
            lose(
                pair_key(right, y),
                take(&mut self.after.changes[y as usize]),
            );
        }
        let gained_before = self
            .before
            .used
            .drain(..)
            .map(|x| (x, pair_key(x, id), take(&mut self.before.words[x as usize])));
        let gained_after = self
            .after
            .used
            .drain(..)
            .map(|y| (y, pair_key(id, y), take(&mut self.after.words[y as usize])));
        for (other, key, list) in gained_before.chain(gained_after) {
            let count = pair_counts[&key];
            if count > 0 && allowed(other) {
                queue.push(count, key, list);
            }
        }
    }
}

/// Pairs by count, the most frequent first, then by ids, the smallest first.
#[derive(Default)]
struct Queue {
    /// (count, pair, index into `lists`)
    heap: BinaryHeap<(u64, Reverse<u64>, Reverse<u32>)>,
    lists: Vec<Vec<u32>>,
    free: Vec<u32>,
}

impl Queue {
    fn push(&mut self, count: u64, key: u64, words: Vec<u32>) {
        let list = self.free.pop().unwrap_or_else(|| {
            self.lists.push(Vec::new());
            self.lists.len() as u32 - 1
        });
        self.lists[list as usize] = words;
        self.heap.push((count, Reverse(key), Reverse(list)));
    }

    /// The most frequent pair and the words to look at; `None` when what is left is too rare.
    fn pop(
        &mut self,
        pair_counts: &PairCounts,
        min_frequency: u64,
    ) -> Option<((u32, u32), Vec<u32>)> {
        loop {
            let mut top = self.heap.peek_mut()?;
            let (count, Reverse(key), Reverse(list)) = *top;
            let today = pair_counts[&key];
            if today != count {
                top.0 = today;
                continue;
            }
            if count < min_frequency.max(1) {
                return None;
            }
            alloc::collections::binary_heap::PeekMut::pop(top);
            self.free.push(list);
            return Some((
                ((key >> 32) as u32, key as u32),
                take(&mut self.lists[list as usize]),
            ));
        }
    }
}
