//! From text to ids: split, then merge within each piece; pieces seen before come from a small cache.
//!
//! The cache is direct-mapped: a piece of at most 15 bytes and 12 tokens has one place, and the last one there wins. So
//! its memory is bounded (2 MiB) whatever the text, and a lookup is one hash and one comparison of 16 bytes.

use alloc::vec;
use alloc::vec::Vec;

use crate::added::Matcher;
use crate::tokenizer::Tokenizer;

/// The longest piece that is cached, in bytes: with its length it fills a u128.
const MAX_KEY: usize = 15;
/// The largest number of tokens that is cached.
const MAX_IDS: usize = 12;
/// The largest cache, in entries: 2 MiB. Chosen by measurement (5.3 MB of plays, 1024 and 8192 tokens): half as many
/// entries were 12 % slower, entries of 4 ids (32 bytes) 5 to 15 %.
const MAX_ENTRIES: usize = 1 << 15;
/// Texts below this many bytes are encoded without a cache.
const MIN_TEXT: usize = 512;

/// A piece and its tokens: one cache line.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Entry {
    /// The piece's bytes, little-endian, and its length in the top byte; 0 is empty.
    key: u128,
    /// The ids (24 bits each); the top byte of the first is their number.
    ids: [u32; MAX_IDS],
}

const _: () = assert!(size_of::<Entry>() == 64);

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
    /// Empty, or a power of two of entries.
    cache: Vec<Entry>,
    bytes_seen: usize,
}

impl<'t> Encoder<'t> {
    /// An encoder that has seen nothing.
    pub fn new(tokenizer: &'t Tokenizer) -> Self {
        Self {
            tokenizer,
            cache: Vec::new(),
            bytes_seen: 0,
        }
    }

    /// Append the ids of `text` to `ids`; special tokens in it are ordinary text, other added tokens become their ids.
    pub fn encode(&mut self, text: &str, ids: &mut Vec<u32>) {
        self.encode_added(text, false, ids);
    }

    /// Append the ids of `text` to `ids`; added tokens in it, special or not, become their own ids.
    ///
    /// Of tokens that begin at the same place the longest wins; what is between two is split on its own.
    pub fn encode_with_special(&mut self, text: &str, ids: &mut Vec<u32>) {
        self.encode_added(text, true, ids);
    }

    /// Find the added tokens that are looked for before normalising, and encode what is between them.
    fn encode_added(&mut self, text: &str, special: bool, ids: &mut Vec<u32>) {
        let matcher = self.tokenizer.before_normalizing.as_ref();
        self.encode_between(matcher, text, special, ids, |this, between, ids| {
            let normalized = this.tokenizer.parts.normalizer.apply(between);
            let matcher = this.tokenizer.after_normalizing.as_ref();
            this.encode_between(matcher, &normalized, special, ids, Self::encode_pieces);
        });
    }

    /// Append the ids of the tokens that `matcher` finds, and what `encode` makes of the text between them.
    fn encode_between(
        &mut self,
        matcher: Option<&Matcher>,
        text: &str,
        special: bool,
        ids: &mut Vec<u32>,
        encode: impl Fn(&mut Self, &str, &mut Vec<u32>),
    ) {
        let mut from = 0;
        if let Some(matcher) = matcher.filter(|matcher| special || matcher.any_ordinary) {
            for found in matcher.find(text, special) {
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
        self.grow_cache(text.len());
        let text = text.as_bytes();
        let split = self.tokenizer.parts.split;
        let mut at = 0;
        while at < text.len() {
            let end = split.piece_end(text, at);
            self.encode_piece(text, at, end, ids);
            at = end;
        }
    }

    /// Make the cache larger as more text comes; it starts empty again then.
    fn grow_cache(&mut self, more_bytes: usize) {
        self.bytes_seen = self.bytes_seen.saturating_add(more_bytes);
        if self.bytes_seen >= MIN_TEXT {
            let wanted = (self.bytes_seen / 32).next_power_of_two().min(MAX_ENTRIES);
            if wanted >= self.cache.len() * 4
                || (wanted == MAX_ENTRIES && self.cache.len() < wanted)
            {
                self.cache = vec![Entry::default(); wanted];
            }
        }
    }

    /// Append the ids of the piece `text[start..end]`.
    #[inline]
    fn encode_piece(&mut self, text: &[u8], start: usize, end: usize, ids: &mut Vec<u32>) {
        let len = end - start;
        if len > MAX_KEY || self.cache.is_empty() {
            return self.tokenizer.merge_piece(&text[start..end], ids);
        }
        let key = piece_key(text, start, len);
        let mask = self.cache.len() - 1;
        let entry = &mut self.cache[slot_of(key) & mask];
        if entry.key == key {
            // All twelve in one copy of fixed size, then off with those that are none: faster than a copy of `count`.
            let at = ids.len();
            ids.extend_from_slice(&entry.ids);
            ids[at] &= 0xFF_FFFF;
            ids.truncate(at + (entry.ids[0] >> 24) as usize);
            return;
        }
        let before = ids.len();
        self.tokenizer.merge_piece(&text[start..end], ids);
        let added = &ids[before..];
        if added.len() <= MAX_IDS {
            entry.key = key;
            entry.ids[..added.len()].copy_from_slice(added);
            entry.ids[0] |= (added.len() as u32) << 24;
        }
    }
}

/// The piece of `len` bytes (1 to 15) at `start`, as one number.
#[inline]
fn piece_key(text: &[u8], start: usize, len: usize) -> u128 {
    let bytes = match text[start..].first_chunk::<16>() {
        Some(chunk) => *chunk,
        None => {
            let mut bytes = [0; 16];
            bytes[..len].copy_from_slice(&text[start..start + len]);
            bytes
        }
    };
    let mask = (1 << (8 * len)) - 1;
    u128::from_le_bytes(bytes) & mask | (len as u128) << 120
}

/// Where `key` goes, before the mask. The product's middle bits depend on all of its lower bits.
#[inline]
fn slot_of(key: u128) -> usize {
    let folded = (key as u64) ^ ((key >> 64) as u64).wrapping_mul(0xA24B_AED4_963E_E407);
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize
}

impl Tokenizer {
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
