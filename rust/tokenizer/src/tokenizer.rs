//! The vocabulary and its merges, checked once when a [`Tokenizer`] is made, so that nothing after that can fail but
//! an unknown id.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::byte_level;
use crate::error::TokenizerError;
use crate::hash::PairMap;
use crate::special::SpecialMatcher;

/// The largest vocabulary: ids fit in 24 bits.
pub const MAX_VOCAB_SIZE: u32 = 1 << 24;

/// A byte-level BPE tokenizer with GPT-2's split.
///
/// ```
/// # use pocketlm_tokenizer::{Tokenizer, train::{TrainConfig, train}};
/// # let config = TrainConfig { vocab_size: 260, ..TrainConfig::default() };
/// let tokenizer = train(["to be or not to be"], &config)?;
/// let ids = tokenizer.encode("to be");
/// assert_eq!(tokenizer.decode(&ids)?, b"to be");
/// assert_eq!(tokenizer.special_id("<|endoftext|>"), Some(0));
/// # Ok::<(), pocketlm_tokenizer::TokenizerError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tokenizer {
    pub(crate) tokens: Tokens,
    /// Ids of the special tokens, ascending.
    pub(crate) specials: Vec<u32>,
    pub(crate) special_matcher: SpecialMatcher,
    /// The id of each byte.
    pub(crate) byte_ids: [u32; 256],
    /// By rank.
    pub(crate) merges: Vec<Merge>,
    /// From a pair of ids to its rank in `merges`.
    pub(crate) ranks: PairMap<u32>,
}

/// `left` followed by `right` becomes `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    pub left: u32,
    pub right: u32,
    pub result: u32,
}

/// The bytes of every token, one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens {
    pub bytes: Vec<u8>,
    /// Where each token ends in `bytes`; it begins where the one before it ends.
    pub ends: Vec<u32>,
}

impl Tokens {
    /// The number of tokens.
    pub fn len(&self) -> u32 {
        self.ends.len() as u32
    }

    /// The bytes of token `id`.
    #[inline]
    pub fn get(&self, id: u32) -> Option<&[u8]> {
        let id = id as usize;
        let end = *self.ends.get(id)? as usize;
        let start = if id == 0 {
            0
        } else {
            self.ends[id - 1] as usize
        };
        Some(&self.bytes[start..end])
    }

    /// Every token's bytes, by id.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = core::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.bytes[start as usize..end as usize])
    }
}

/// From a token's bytes to its id: the ids in the order of their bytes.
///
/// Sorted, not hashed: a file can hold any number of tokens of one hash, and reading them took a time that grew with its square (0.5 s for
/// 20,000). This is O(bytes · log tokens) whatever they are.
struct TokenIndex<'t> {
    tokens: &'t Tokens,
    ids: Vec<u32>,
}

impl<'t> TokenIndex<'t> {
    /// Index `tokens`; an error if two of them are the same.
    fn new(tokens: &'t Tokens) -> Result<Self, TokenizerError> {
        let mut ids: Vec<u32> = (0..tokens.len()).collect();
        ids.sort_by(|a, b| tokens.get(*a).cmp(&tokens.get(*b)));
        // The sort is stable, so equal tokens stand by id; the pair with the smallest second id is named.
        let same = ids
            .windows(2)
            .filter(|pair| tokens.get(pair[0]) == tokens.get(pair[1]))
            .min_by_key(|pair| pair[1]);
        match same {
            Some(pair) => Err(TokenizerError::DuplicateToken {
                first: pair[0],
                second: pair[1],
            }),
            None => Ok(Self { tokens, ids }),
        }
    }

    /// The id of the token that is `left` followed by `right`.
    fn get_joined(&self, left: &[u8], right: &[u8]) -> Option<u32> {
        let order = |id: &u32| {
            let token = self.tokens.get(*id).unwrap_or_default();
            let (start, end) = token.split_at(token.len().min(left.len()));
            start.cmp(left).then_with(|| end.cmp(right))
        };
        self.ids
            .binary_search_by(order)
            .ok()
            .map(|place| self.ids[place])
    }
}

impl Tokenizer {
    /// As [`Tokenizer::from_parts`], from a list of tokens.
    #[cfg(feature = "std")]
    pub(crate) fn from_tokens(
        tokens: &[Vec<u8>],
        specials: Vec<u32>,
        pairs: &[(u32, u32)],
    ) -> Result<Self, TokenizerError> {
        let bytes = tokens.concat();
        let limit = u64::from(u32::MAX);
        if bytes.len() as u64 > limit {
            return Err(TokenizerError::TooLarge {
                what: "the tokens, in bytes",
                got: bytes.len() as u64,
                limit,
            });
        }
        let mut end = 0;
        let ends = tokens.iter().map(|token| {
            end += token.len() as u32;
            end
        });
        Self::from_parts(
            Tokens {
                ends: ends.collect(),
                bytes,
            },
            specials,
            pairs,
        )
    }

    /// Put a tokenizer together and check every promise that the rest of the crate relies on.
    ///
    /// `pairs` are the merges by rank. `tokens.ends` ascend strictly and end at `tokens.bytes.len()`.
    pub(crate) fn from_parts(
        tokens: Tokens,
        specials: Vec<u32>,
        pairs: &[(u32, u32)],
    ) -> Result<Self, TokenizerError> {
        let special_texts = check_specials(&tokens, &specials)?;
        let is_special = |id: u32| specials.binary_search(&id).is_ok();
        let index = TokenIndex::new(&tokens)?;

        let mut byte_ids = [u32::MAX; 256];
        for (id, bytes) in tokens.iter().enumerate() {
            if let &[byte] = bytes {
                byte_ids[byte as usize] = id as u32;
            }
        }
        if let Some(byte) = byte_ids
            .iter()
            .position(|&id| id == u32::MAX || is_special(id))
        {
            return Err(TokenizerError::MissingByte { byte: byte as u8 });
        }

        let mut merges = Vec::with_capacity(pairs.len());
        let mut ranks = PairMap::with_capacity(pairs.len());
        for (rank, &(left, right)) in pairs.iter().enumerate() {
            let rank = rank as u32;
            let bad = |problem| TokenizerError::BadMerge {
                rank,
                left,
                right,
                problem,
            };
            let (Some(left_bytes), Some(right_bytes)) = (tokens.get(left), tokens.get(right))
            else {
                return Err(bad("a token of it is not in the vocabulary"));
            };
            if is_special(left) || is_special(right) {
                return Err(bad("a token of it is special"));
            }
            let result = index
                .get_joined(left_bytes, right_bytes)
                .ok_or_else(|| bad("what it makes is not in the vocabulary"))?;
            if is_special(result) {
                return Err(bad("what it makes is special"));
            }
            if ranks.insert(left, right, rank).is_some() {
                return Err(bad("the same pair has an earlier merge"));
            }
            merges.push(Merge {
                left,
                right,
                result,
            });
        }
        let special_matcher =
            SpecialMatcher::new(special_texts.into_iter().zip(specials.iter().copied()));
        Ok(Self {
            tokens,
            specials,
            special_matcher,
            byte_ids,
            merges,
            ranks,
        })
    }

    /// The number of tokens; ids are below it.
    pub fn vocab_size(&self) -> u32 {
        self.tokens.len()
    }

    /// The bytes that token `id` stands for (a special token: its text), or `None` for an unknown id.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.tokens.get(id)
    }

    /// The id of the special token `name`.
    pub fn special_id(&self, name: &str) -> Option<u32> {
        self.special_tokens()
            .find_map(|(id, text)| (text == name).then_some(id))
    }

    /// The special tokens, by ascending id.
    ///
    /// ```
    /// # use pocketlm_tokenizer::train::{TrainConfig, train};
    /// # let config = TrainConfig { vocab_size: 260, ..TrainConfig::default() };
    /// let tokenizer = train(["to be or not to be"], &config)?;
    /// assert_eq!(tokenizer.special_tokens().collect::<Vec<_>>(), [(0, "<|endoftext|>")]);
    /// # Ok::<(), pocketlm_tokenizer::TokenizerError>(())
    /// ```
    pub fn special_tokens(&self) -> impl Iterator<Item = (u32, &str)> {
        self.specials.iter().filter_map(|&id| {
            let text = core::str::from_utf8(self.tokens.get(id)?).ok()?;
            Some((id, text))
        })
    }

    /// Whether `id` is a special token's.
    pub fn is_special(&self, id: u32) -> bool {
        self.specials.binary_search(&id).is_ok()
    }

    /// The merges by rank: (left, right, result).
    pub fn merges(&self) -> impl ExactSizeIterator<Item = (u32, u32, u32)> {
        self.merges
            .iter()
            .map(|merge| (merge.left, merge.right, merge.result))
    }
}

/// Check that `specials` ascend and name tokens that can be special; their texts.
fn check_specials(tokens: &Tokens, specials: &[u32]) -> Result<Vec<Vec<u8>>, TokenizerError> {
    for pair in specials.windows(2) {
        if pair[0] >= pair[1] {
            return Err(TokenizerError::SpecialOrder {
                previous: pair[0],
                id: pair[1],
            });
        }
    }
    let mut texts = Vec::with_capacity(specials.len());
    for &id in specials {
        let bytes = tokens.get(id).ok_or(TokenizerError::UnknownId {
            id,
            vocab_size: tokens.len(),
        })?;
        let bad = |problem| TokenizerError::BadSpecial {
            token: String::from_utf8_lossy(bytes).into_owned(),
            problem,
        };
        let text = core::str::from_utf8(bytes).map_err(|_| bad("it is not UTF-8"))?;
        check_special_text(text)?;
        texts.push(text.as_bytes().to_vec());
    }
    Ok(texts)
}

/// Whether `text` can name a special token such that Hugging Face's decoder gives the same text back.
pub(crate) fn check_special_text(text: &str) -> Result<(), TokenizerError> {
    let bad = |problem| {
        Err(TokenizerError::BadSpecial {
            token: text.to_string(),
            problem,
        })
    };
    if text.is_empty() {
        return bad("it is empty");
    }
    // Hugging Face's ByteLevel decoder takes a token whose characters all spell bytes for those bytes, special or not.
    if !text.is_ascii() && text.chars().all(|c| byte_level::byte_of(c).is_some()) {
        return bad("Hugging Face's decoder would read its characters as spellings of other bytes");
    }
    Ok(())
}
