//! From text to ids: split, then merge within each piece; pieces seen before come from a small cache.
//!
//! Where pieces of ASCII begin is found for 64 bytes at once ([`crate::split::Scanner::starts`]); the split's own scanner does the others.

mod cache;
mod offsets;
#[cfg(feature = "std")]
mod pool;
mod turns;
mod waiting;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;

use crate::added::{Matcher, Specials};
#[cfg(feature = "std")]
use crate::normalize::Normalizer;
use crate::split::{BLOCK, Block, Scanner, Split, scanners};
#[cfg(feature = "regex")]
use crate::split::{Searches, account};
use crate::tokenizer::Tokenizer;
use cache::{Cache, Key, MAX_SHORT, NO_KEY, key_of};
pub use offsets::character_offsets;
#[cfg(feature = "std")]
pub use pool::{Pool, all_threads};
use waiting::Waiting;

/// How many pieces are found before they are looked up, at the least. Other numbers were not tried.
const ROUND: usize = 64;
/// A block adds at most 62 pieces to fewer than ROUND.
const MAX_ROUND: usize = 2 * ROUND;

/// Encodes texts one after the other, remembering pieces from one to the next.
///
/// [`Tokenizer::encode`] makes one for each call; keep one where there are many documents.
///
/// ```
/// # use pocketlm_tokenizer::{Encoder, train::{TrainConfig, train}};
/// # let config = TrainConfig { vocab_size: 260, ..TrainConfig::default() };
/// # let tokenizer = train(["to be or not to be"], &config)?;
/// let mut encoder = Encoder::new(&tokenizer);
/// let mut ids = Vec::new();
/// for document in ["to be", "or not to be<|endoftext|>"] {
///     encoder.encode_with_special(document, &mut ids);
/// }
/// assert_eq!(tokenizer.decode(&ids)?, b"to beor not to be<|endoftext|>");
/// assert_eq!(ids.last(), Some(&0));
/// # Ok::<(), pocketlm_tokenizer::TokenizerError>(())
/// ```
#[derive(Clone)]
pub struct Encoder<'t> {
    tokenizer: &'t Tokenizer,
    memory: Box<Memory>,
}

/// What an encoder keeps from one text to the next.
#[derive(Clone)]
struct Memory {
    cache: Cache,
    /// Empty between two texts; kept because to make it takes as long as to encode a hundred bytes.
    waiting: Waiting,
}

impl Memory {
    fn new() -> Box<Self> {
        Box::new(Self {
            cache: Cache::default(),
            waiting: Waiting::new(),
        })
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cache.fmt(f)
    }
}

impl<'t> Encoder<'t> {
    /// The most memory that an encoder's cache takes, in bytes.
    pub const MAX_CACHE_NBYTES: usize = Cache::MAX_NBYTES;

    /// An encoder that has seen nothing.
    pub fn new(tokenizer: &'t Tokenizer) -> Self {
        Self {
            tokenizer,
            memory: Memory::new(),
        }
    }

    /// Append the ids of `text` to `ids`; special tokens in it are ordinary text, other added tokens become their ids.
    pub fn encode(&mut self, text: &str, ids: &mut Vec<u32>) {
        self.encode_as(text, Specials::None, ids);
    }

    /// Append the ids of `text` to `ids`; added tokens in it, special or not, become their own ids.
    ///
    /// Of tokens that begin at the same place the longest wins; what is between two is split on its own.
    pub fn encode_with_special(&mut self, text: &str, ids: &mut Vec<u32>) {
        self.encode_as(text, Specials::All, ids);
    }

    /// Append the ids of `text` to `ids`; of the special tokens in it those with an id of `allowed` become that, and the others are ordinary
    /// text. As tiktoken has it, an allowed token is also found inside of one that is not.
    pub fn encode_allowing(&mut self, text: &str, allowed: &BTreeSet<u32>, ids: &mut Vec<u32>) {
        self.encode_as(text, Specials::Some(allowed), ids);
    }

    /// Find the added tokens that are looked for before normalising, and encode what is between them.
    fn encode_as(&mut self, text: &str, specials: Specials<'_>, ids: &mut Vec<u32>) {
        let matcher = self.tokenizer.before_normalizing.as_ref();
        self.encode_between(matcher, text, specials, ids, |this, between, ids| {
            let normalized = this
                .tokenizer
                .parts
                .normalizer
                .apply(between, this.tokenizer.nfc);
            let matcher = this.tokenizer.after_normalizing.as_ref();
            this.encode_between(matcher, &normalized, specials, ids, Self::encode_pieces);
        });
    }

    /// Append the ids of the tokens that `matcher` finds, and what `encode` makes of the text between them.
    fn encode_between(
        &mut self,
        matcher: Option<&Matcher>,
        text: &str,
        specials: Specials<'_>,
        ids: &mut Vec<u32>,
        encode: impl Fn(&mut Self, &str, &mut Vec<u32>),
    ) {
        let mut from = 0;
        if let Some(matcher) = matcher.filter(|matcher| matcher.finds_any(specials)) {
            for found in matcher.find(text, specials) {
                if from < found.start {
                    encode(self, &text[from..found.start], ids);
                }
                ids.push(found.id);
                from = found.end;
            }
        }
        if from < text.len() {
            encode(self, &text[from..], ids);
        }
    }

    /// Split `text` and append the ids of its pieces.
    fn encode_pieces(&mut self, text: &str, ids: &mut Vec<u32>) {
        self.memory.cache.grow(text.len());
        // 3 to 4.5 bytes a token are usual; what is missing is added as it is needed.
        ids.reserve(text.len() / 4 + 16);
        match &self.tokenizer.parts.split {
            Split::Gpt2 => self.scan(&scanners::Gpt2, text, ids),
            Split::Cl100k => self.scan(&scanners::Cl100k, text, ids),
            Split::O200k => self.scan(&scanners::O200k, text, ids),
            Split::Llama3 => self.scan(&scanners::Llama3, text, ids),
            Split::Qwen2 => self.scan(&scanners::Qwen2, text, ids),
            Split::Smollm2 => self.scan(&scanners::Smollm2, text, ids),
            #[cfg(feature = "regex")]
            Split::Regex(split) => {
                let searches = Searches::new(split, account(text.len()));
                self.scan(&searches, text, ids);
            }
        }
    }

    /// As [`Self::encode_pieces`], for one split.
    ///
    /// In rounds: first the pieces of a round are found and what the cache has of them is called for, then they are looked up. Those that
    /// the cache does not know wait until there are several of them ([`Waiting`]).
    fn scan<S: Scanner>(&mut self, scanner: &S, text: &str, ids: &mut Vec<u32>) {
        let mut round = Round {
            keys: [NO_KEY; MAX_ROUND],
            ends: [0; MAX_ROUND],
            count: 0,
        };
        let tokenizer = self.tokenizer;
        let Memory { cache, waiting } = &mut *self.memory;
        let (whole, text) = (text, text.as_bytes());
        let mut start = 0;
        while start < text.len() {
            round.find(scanner, cache, whole, start);
            waiting.make_room(round.count, text, tokenizer, cache, ids);
            for (number, &key) in round.keys.iter().enumerate().take(round.count) {
                let end = round.ends[number];
                match cache.get(key) {
                    Some((found, count)) if count > 0 => waiting.push_found(&found, count),
                    None if key != NO_KEY => {
                        waiting.push_unknown((start, end, key), text, tokenizer, cache, ids);
                    }
                    _ => {
                        let room = round.count - number;
                        waiting.push_long((start, end, key), room, text, tokenizer, cache, ids);
                    }
                }
                start = end;
            }
        }
        waiting.flush(text, tokenizer, cache, ids);
    }
}

/// The pieces of a round: their keys (of longer ones [`NO_KEY`]) and ends.
struct Round {
    keys: [Key; MAX_ROUND],
    ends: [usize; MAX_ROUND],
    count: usize,
}

impl Round {
    /// Add the piece `window` begins with, which has `len` bytes and ends at `end` of the text. What `cache` has of it is brought near.
    #[inline(always)]
    fn push(&mut self, cache: &Cache, window: &[u8; 16], len: usize, end: usize) {
        let key = if len > MAX_SHORT {
            NO_KEY
        } else {
            key_of(window, len)
        };
        cache.prefetch(key);
        self.keys[self.count % MAX_ROUND] = key;
        self.ends[self.count % MAX_ROUND] = end;
        self.count += 1;
    }

    /// Find the next pieces of `text` from `at` on: [`ROUND`] or more, but where the text ends.
    #[inline(always)]
    fn find<S: Scanner>(&mut self, scanner: &S, cache: &Cache, text: &str, mut at: usize) {
        self.count = 0;
        let (whole, text) = (text, text.as_bytes());
        let mut padded = [BEYOND; BLOCK + 16];
        while self.count < ROUND && at < text.len() {
            let rest = &text[at..];
            let window = rest.first_chunk().unwrap_or_else(|| {
                padded[..rest.len()].copy_from_slice(rest);
                padded[rest.len()..].fill(BEYOND);
                &padded
            });
            let bytes = window.first_chunk::<BLOCK>().expect("it is longer");
            // A piece of text beyond ASCII, or of its last bytes, is nothing that a block knows.
            let mut starts = match bytes[1] {
                BEYOND.. => 1,
                _ => scanner.starts(&Block::new(bytes), bytes),
            };
            starts &= !1;
            if starts == 0 {
                let end = scanner.piece_end(whole, at);
                let short = window.first_chunk().expect("it is longer");
                self.push(cache, short, end - at, end);
                at = end;
                continue;
            }
            let mut start = 0;
            while starts != 0 {
                let end = starts.trailing_zeros() as usize;
                starts &= starts - 1;
                let short = window[start..start + 16].first_chunk().expect("16 bytes");
                self.push(cache, short, end - start, at + end);
                start = end;
            }
            at += start;
        }
    }
}

/// What the end of a text is filled up with: no byte of ASCII.
const BEYOND: u8 = 0x80;

impl Tokenizer {
    /// Whether the ids of a text are those of its pieces: no added token is looked for, and nothing is normalised.
    #[cfg(feature = "std")]
    fn looks_at_pieces_alone(&self, special: bool) -> bool {
        let finds = |matcher: &Option<Matcher>| {
            matcher
                .as_ref()
                .is_some_and(|matcher| matcher.finds_any(Specials::all_if(special)))
        };
        !finds(&self.before_normalizing)
            && !finds(&self.after_normalizing)
            && self.parts.normalizer == Normalizer::None
    }

    /// The ids of `text`; special tokens in it are ordinary text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        Encoder::new(self).encode(text, &mut ids);
        ids
    }

    /// The ids of `text`; special tokens in it become their own ids. See [`Encoder::encode_with_special`].
    pub fn encode_with_special(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        Encoder::new(self).encode_with_special(text, &mut ids);
        ids
    }
}
