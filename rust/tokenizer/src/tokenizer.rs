//! The vocabulary and its merges, checked once when a [`Tokenizer`] is made, so that nothing after that can fail but
//! an unknown id.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::added::{self, AddedToken, Matcher};
use crate::automaton::sorted_by_text;
use crate::byte_pairs::BytePairs;
use crate::error::TokenizerError;
use crate::normalize::{Nfc, Normalizer};
use crate::parts::{Merge, MergeOrder, NO_TOKEN, Parts};
use crate::split::Split;
use crate::table::{Flaw, PairTable, TokenTable, table_flaw, token_flaw};
use crate::vocabulary::Vocabulary;

/// The largest vocabulary: ids fit in 24 bits.
pub const MAX_VOCAB_SIZE: u32 = 1 << 24;

/// A byte-level BPE tokenizer.
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
    pub(crate) parts: Parts,
    pub(crate) token_table: TokenTable,
    pub(crate) pairs: PairTable,
    /// The id of each byte; [`NO_TOKEN`] for one that no token stands for.
    pub(crate) byte_ids: [u32; 256],
    /// The merges of two bytes, at 256 times the first plus the second; none where some byte has no token.
    pub(crate) byte_pairs: BytePairs,
    pub(crate) nfc: Nfc,
    /// Added tokens that are found in the text as it stands.
    pub(crate) before_normalizing: Option<Matcher>,
    /// Those that are found in the normalised text.
    pub(crate) after_normalizing: Option<Matcher>,
}

/// The look-up tables of a file: (places, attempt) of the tokens and of the pairs.
#[derive(Clone, Copy)]
pub(crate) struct ReadTables<'d> {
    pub tokens: (&'d [u32], u32),
    pub pairs: (&'d [u32], u32),
}

impl Tokenizer {
    /// Put a tokenizer together and check every promise that the rest of the crate relies on.
    ///
    /// The vocabulary's `ends` do not descend and end at the length of its bytes. `read`: a file's tables, which are checked; without them
    /// they are made.
    pub(crate) fn new(
        parts: Parts,
        read: Option<ReadTables<'_>>,
        nfc: Nfc,
    ) -> Result<Self, TokenizerError> {
        let vocabulary = &parts.vocabulary;
        added::check(vocabulary, &parts.added)?;
        check_added_differ(vocabulary, &parts.added)?;
        if parts.normalizer != Normalizer::None {
            check_added_normalized(&parts, nfc)?;
        }
        let in_model = |id| parts.is_in_model(id);
        let read_tokens = read.map(|tables| tables.tokens);
        let token_table = TokenTable::new(vocabulary, in_model, read_tokens).map_err(token_flaw)?;

        let mut byte_ids = [NO_TOKEN; 256];
        for (bytes, id) in vocabulary.iter().zip(0..) {
            if let &[byte] = bytes
                && in_model(id)
            {
                byte_ids[byte as usize] = id;
            }
        }
        let two_bytes = check_merges(&parts)?;
        let pairs = PairTable::new(&parts.merges, read.map(|tables| tables.pairs))
            .map_err(|flaw| pair_flaw(&parts, flaw))?;
        let byte_pairs = BytePairs::new(&parts, &byte_ids, &two_bytes);
        let matcher = |normalized: bool| {
            let tokens = parts
                .added
                .iter()
                .filter(|token| token.normalized == normalized);
            Matcher::new(
                tokens.filter_map(|token| Some((vocabulary.get(token.id)?.to_vec(), *token))),
            )
        };
        Ok(Self {
            before_normalizing: matcher(false)?,
            after_normalizing: matcher(true)?,
            token_table,
            pairs,
            byte_ids,
            byte_pairs,
            nfc,
            parts,
        })
    }

    /// The number of ids; every id is below it. Ids may have gaps.
    pub fn vocab_size(&self) -> u32 {
        self.parts.vocabulary.len()
    }

    /// The bytes that token `id` stands for (an added token: its text), or `None` for an unknown id.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.parts.vocabulary.get(id)
    }

    /// The id of the model's token with these bytes. Added tokens are found by [`Tokenizer::added_tokens`].
    pub fn token_id(&self, bytes: &[u8]) -> Option<u32> {
        let hash = self.token_table.hash(bytes);
        self.token_table.get(&self.parts.vocabulary, bytes, hash)
    }

    /// How text is cut into pieces.
    pub fn split(&self) -> &Split {
        &self.parts.split
    }

    /// What is done to text before it is split.
    pub fn normalizer(&self) -> Normalizer {
        self.parts.normalizer
    }

    /// Whether a piece that is a token is that token, whatever the merges would make of it.
    pub fn ignores_merges(&self) -> bool {
        self.parts.ignore_merges
    }

    /// Which of several merges applies first.
    pub fn merge_order(&self) -> MergeOrder {
        self.parts.order
    }

    /// The added tokens and their texts, by ascending id.
    pub fn added_tokens(&self) -> impl Iterator<Item = (AddedToken, &str)> {
        self.parts.added.iter().filter_map(|token| {
            let text = core::str::from_utf8(self.token_bytes(token.id)?).ok()?;
            Some((*token, text))
        })
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
        self.added_tokens()
            .filter_map(|(token, text)| token.special.then_some((token.id, text)))
    }

    /// Whether `id` is a special token's.
    pub fn is_special(&self, id: u32) -> bool {
        self.parts.added(id).is_some_and(|token| token.special)
    }

    /// The merges: (left, right, result), those that apply first at the beginning.
    pub fn merges(&self) -> impl ExactSizeIterator<Item = (u32, u32, u32)> {
        self.parts
            .merges
            .iter()
            .map(|merge| (merge.left, merge.right, merge.result))
    }
}

/// Check that no two added tokens have the same text.
fn check_added_differ(vocabulary: &Vocabulary, added: &[AddedToken]) -> Result<(), TokenizerError> {
    let ids = added.iter().map(|token| token.id);
    let ids = sorted_by_text(ids, |id| vocabulary.get(id).unwrap_or_default());
    // Equal ones stand by id; the pair with the smallest second id is named.
    let same = ids
        .windows(2)
        .filter(|pair| vocabulary.get(pair[0]) == vocabulary.get(pair[1]))
        .min_by_key(|pair| pair[1]);
    same.map_or(Ok(()), |pair| {
        Err(TokenizerError::DuplicateToken {
            first: pair[0],
            second: pair[1],
        })
    })
}

/// Check that the tokens that are looked for in normalised text can be found there.
fn check_added_normalized(parts: &Parts, nfc: Nfc) -> Result<(), TokenizerError> {
    for token in parts.added.iter().filter(|token| token.normalized) {
        let bytes = parts.vocabulary.get(token.id).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes);
        if parts.normalizer.apply(&text, nfc) != text {
            return Err(TokenizerError::BadSpecial {
                token: text.to_string(),
                problem: "it is looked for in normalised text, but is not normalised itself",
            });
        }
    }
    Ok(())
}

/// Check the merges one by one; the places in the list of those that make two bytes.
fn check_merges(parts: &Parts) -> Result<Vec<u32>, TokenizerError> {
    let mut two_bytes = Vec::new();
    // Some at once: where their tokens are, and what they are, is called for before it is looked at.
    for (from, some) in parts.merges.chunks(32).enumerate() {
        let tokens = || {
            some.iter()
                .flat_map(|merge| [merge.left, merge.right, merge.result])
        };
        tokens().for_each(|id| parts.vocabulary.prefetch_end(id));
        tokens().for_each(|id| parts.vocabulary.prefetch_bytes(id));
        for (place, merge) in (from * 32..).zip(some) {
            if check_merge(parts, place, merge)? == 2 {
                two_bytes.push(place as u32);
            }
        }
    }
    Ok(two_bytes)
}

/// Check the merge at `place` of the list; the number of bytes that it makes.
fn check_merge(parts: &Parts, place: usize, merge: &Merge) -> Result<usize, TokenizerError> {
    let &Merge {
        left,
        right,
        result,
    } = merge;
    let bad = |problem| TokenizerError::BadMerge {
        rank: place as u32,
        left,
        right,
        problem,
    };
    let token = |id| parts.vocabulary.get(id);
    let (Some(left_bytes), Some(right_bytes)) = (token(left), token(right)) else {
        return Err(bad("a token of it is not in the vocabulary"));
    };
    let Some(joined) = token(result) else {
        return Err(bad("what it makes is not in the vocabulary"));
    };
    if ![left, right, result]
        .iter()
        .all(|&id| parts.is_in_model(id))
    {
        return Err(bad("a token of it is an added one"));
    }
    let (start, end) = joined.split_at(joined.len().min(left_bytes.len()));
    if start != left_bytes || end != right_bytes {
        return Err(bad("what it makes is not its two tokens, joined"));
    }
    if parts.order == MergeOrder::ByResult
        && place > 0
        && (parts.merges[place - 1].result, parts.merges[place - 1].left) >= (result, left)
    {
        return Err(bad(
            "it does not come after the one before it by result and left token",
        ));
    }
    Ok(joined.len())
}

/// The error of the pair table's flaw.
fn pair_flaw(parts: &Parts, flaw: Flaw) -> TokenizerError {
    match flaw {
        Flaw::Same(_, rank) => {
            let Merge { left, right, .. } = parts.merges[rank as usize];
            TokenizerError::BadMerge {
                rank,
                left,
                right,
                problem: "the same pair has an earlier merge",
            }
        }
        flaw => table_flaw("pair", flaw),
    }
}
