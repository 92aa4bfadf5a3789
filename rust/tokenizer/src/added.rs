//! Added tokens: texts that are found in a text before it is split, such as `<|endoftext|>`. The semantics are Hugging Face's.
//!
//! First those that are matched as they stand are looked for in the text; then what is left is normalised, and the others are looked
//! for in it. Where several begin, the longest wins. A search looks at a byte at most once for each byte of the longest token, however
//! many there are ([`automaton`](crate::automaton)).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;

use crate::automaton::Automaton;
use crate::error::TokenizerError;
use crate::unicode::{Kind, is_in_words, kind_of};
use crate::vocabulary::Vocabulary;

/// What is particular about an added token; its text is the vocabulary's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddedToken {
    /// Its id.
    pub id: u32,
    /// Ordinary text where special tokens are not asked for.
    pub special: bool,
    /// Found only where no character of a word stands beside it.
    pub single_word: bool,
    /// Takes in the white space before it.
    pub lstrip: bool,
    /// Takes in the white space after it.
    pub rstrip: bool,
    /// Looked for in the normalised text, by its own normalised text.
    pub normalized: bool,
    /// Also one of the model's own tokens: merges may make it.
    pub in_model: bool,
}

impl AddedToken {
    /// The flags as the flat form has them.
    pub(crate) fn flags(&self) -> u32 {
        let flags = [
            self.special,
            self.single_word,
            self.lstrip,
            self.rstrip,
            self.normalized,
            self.in_model,
        ];
        flags
            .into_iter()
            .rev()
            .fold(0, |word, flag| word << 1 | u32::from(flag))
    }

    /// The token of an id and its flags; `None` if a flag is set that there is not.
    pub(crate) fn from_flags(id: u32, flags: u32) -> Option<Self> {
        let flag = |bit: u32| flags >> bit & 1 != 0;
        (flags < 1 << 6).then(|| Self {
            id,
            special: flag(0),
            single_word: flag(1),
            lstrip: flag(2),
            rstrip: flag(3),
            normalized: flag(4),
            in_model: flag(5),
        })
    }
}

/// Finds added tokens of one kind: those matched before normalising, or those matched after it.
#[derive(Clone)]
pub(crate) struct Matcher {
    automaton: Automaton,
    /// By the automaton's pattern number.
    tokens: Vec<AddedToken>,
    /// Whether one of them is not special.
    any_ordinary: bool,
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matcher")
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}

/// An added token that was found: where it begins and ends, stripped white space included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub start: usize,
    pub end: usize,
    pub id: u32,
}

impl Matcher {
    /// A matcher of tokens by their texts; `None` where there are none.
    pub(crate) fn new(
        tokens: impl Iterator<Item = (Vec<u8>, AddedToken)>,
    ) -> Result<Option<Self>, TokenizerError> {
        let (texts, tokens): (Vec<_>, Vec<_>) = tokens.unzip();
        if tokens.is_empty() {
            return Ok(None);
        }
        let (got, limit) = (
            texts.iter().map(Vec::len).sum::<usize>() as u64,
            i32::MAX as u64,
        );
        if got > limit {
            let what = "the added tokens, in bytes";
            return Err(TokenizerError::TooLarge { what, got, limit });
        }
        Ok(Some(Self {
            automaton: Automaton::new(&texts),
            any_ordinary: tokens.iter().any(|token| !token.special),
            tokens,
        }))
    }

    /// Whether it finds anything.
    pub(crate) fn finds_any(&self, specials: Specials<'_>) -> bool {
        self.any_ordinary || !matches!(specials, Specials::None)
    }

    /// The added tokens in `text` from left to right; special ones only if they are of `specials`.
    pub(crate) fn find<'t>(
        &'t self,
        text: &'t str,
        specials: Specials<'t>,
    ) -> impl Iterator<Item = Found> + 't {
        let mut free_from = 0;
        let mut search_from = 0;
        core::iter::from_fn(move || {
            loop {
                let (found, pattern) = self.automaton.find(text.as_bytes(), search_from)?;
                search_from = found.end;
                let token = &self.tokens[pattern];
                if token.special && !specials.holds(token.id) {
                    // tiktoken goes on behind the first byte, Hugging Face behind the token.
                    if let Specials::Some(_) = specials {
                        search_from = found.start + 1;
                    }
                    continue;
                }
                let (mut start, mut end) = (found.start, found.end);
                let (before, after) = (&text[..start], &text[end..]);
                let in_word = |c: Option<char>| c.is_some_and(is_in_words);
                if token.single_word
                    && (in_word(before.chars().next_back()) || in_word(after.chars().next()))
                {
                    continue;
                }
                if token.lstrip {
                    start = before.trim_end_matches(is_space).len().max(free_from);
                }
                if token.rstrip {
                    end += after.len() - after.trim_start_matches(is_space).len();
                }
                free_from = end;
                return Some(Found {
                    start,
                    end,
                    id: token.id,
                });
            }
        })
    }
}

/// The special tokens that are found in a text; the others are ordinary text there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Specials<'a> {
    None,
    All,
    /// Those with these ids.
    Some(&'a BTreeSet<u32>),
}

impl Specials<'_> {
    pub(crate) fn all_if(all: bool) -> Self {
        if all { Self::All } else { Self::None }
    }

    fn holds(self, id: u32) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(ids) => ids.contains(&id),
        }
    }
}

fn is_space(c: char) -> bool {
    kind_of(c) == Kind::Space
}

/// Check that `added` ascend and are tokens that can be added ones.
pub(crate) fn check(vocabulary: &Vocabulary, added: &[AddedToken]) -> Result<(), TokenizerError> {
    for pair in added.windows(2) {
        if pair[0].id >= pair[1].id {
            return Err(TokenizerError::AddedOrder {
                previous: pair[0].id,
                id: pair[1].id,
            });
        }
    }
    for token in added {
        let bytes = vocabulary.get(token.id).ok_or(TokenizerError::UnknownId {
            id: token.id,
            vocab_size: vocabulary.len(),
        })?;
        check_text(bytes)?;
    }
    Ok(())
}

/// Check that `bytes` can be an added token such that Hugging Face's decoder gives the same text back.
pub(crate) fn check_text(bytes: &[u8]) -> Result<(), TokenizerError> {
    let bad = |problem| {
        Err(TokenizerError::BadSpecial {
            token: alloc::string::String::from_utf8_lossy(bytes).into_owned(),
            problem,
        })
    };
    match core::str::from_utf8(bytes) {
        Err(_) => bad("it is not UTF-8"),
        Ok("") => bad("it is empty"),
        // Hugging Face's ByteLevel decoder takes a token whose characters all spell bytes for those bytes, special or not.
        Ok(text)
            if !text.is_ascii()
                && text
                    .chars()
                    .all(|c| crate::byte_level::byte_of(c).is_some()) =>
        {
            bad("Hugging Face's decoder would read its characters as spellings of other bytes")
        }
        Ok(_) => Ok(()),
    }
}
