//! tiktoken's files: a line for each token, its bytes in base64 and its rank, which is its id. The split and the special tokens are not in
//! the file.
//!
//! Two neighbours merge where their bytes, joined, are a token, the one with the smallest rank first; a piece that is a token is that token.
//! So the merges are all pairs of tokens that make one ([`MergeOrder::ByResult`]).

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::added::AddedToken;
use crate::error::TokenizerError;
use crate::normalize::Normalizer;
use crate::parts::{Merge, MergeOrder, Parts};
use crate::split::Split;
use crate::table::{TokenTable, token_flaw};
use crate::tokenizer::Tokenizer;
use crate::vocabulary::Vocabulary;

/// A token longer than this has too many pairs to look at: the longest of any published file has 128 bytes.
const MAX_TOKEN_NBYTES: usize = 4096;

impl Tokenizer {
    /// Read a `.tiktoken` file. `special_tokens` are those that the encoding adds, with their ids.
    ///
    /// # Errors
    /// [`TokenizerError::BadFile`] with the number of the line that is not a token; else as [`Tokenizer::from_bytes`].
    pub fn from_tiktoken<'s>(
        data: &str,
        split: Split,
        special_tokens: impl IntoIterator<Item = (&'s str, u32)>,
    ) -> Result<Self, TokenizerError> {
        let lines = data.lines().zip(1..).filter(|(line, _)| !line.is_empty());
        let mut tokens = lines
            .map(|(line, number)| parse(line, number))
            .collect::<Result<Vec<_>, _>>()?;
        let mut added = BTreeMap::new();
        for (text, id) in special_tokens {
            tokens.push((id, text.as_bytes().to_vec()));
            let token = AddedToken {
                id,
                special: true,
                ..AddedToken::default()
            };
            added.insert(id, token);
        }
        let vocabulary = super::vocabulary(tokens)?;
        Self::new(
            Parts {
                merges: implied_merges(&vocabulary, |id| !added.contains_key(&id))?,
                vocabulary,
                added: added.into_values().collect(),
                order: MergeOrder::ByResult,
                split,
                normalizer: Normalizer::None,
                ignore_merges: true,
            },
            None,
            crate::nfc,
        )
    }

    /// Write a `.tiktoken` file of the model's tokens. The split and the added tokens are not in it.
    ///
    /// # Errors
    /// [`TokenizerError::BadFile`] where the file would mean other ids: tiktoken merges all pairs that make a token, by their ranks.
    pub fn to_tiktoken(&self) -> Result<String, TokenizerError> {
        let parts = &self.parts;
        let plain = parts.order == MergeOrder::ByResult
            && parts.ignore_merges
            && parts.normalizer == Normalizer::None;
        let in_model = |id| parts.is_in_model(id);
        if !plain || implied_merges(&parts.vocabulary, in_model)? != parts.merges {
            let problem = "a .tiktoken file cannot say this tokenizer's merges";
            return Err(TokenizerError::BadFile {
                problem: problem.into(),
            });
        }
        let ids = parts.vocabulary.ids().filter(|&id| in_model(id));
        let lines = ids.filter_map(|id| {
            let bytes = self.token_bytes(id)?;
            Some(format!("{} {id}\n", STANDARD.encode(bytes)))
        });
        Ok(lines.collect())
    }
}

/// The id and the bytes of a line.
fn parse(line: &str, number: usize) -> Result<(u32, Vec<u8>), TokenizerError> {
    let token = line.split_once(' ').and_then(|(token, rank)| {
        let bytes = STANDARD
            .decode(token)
            .ok()
            .filter(|bytes| !bytes.is_empty())?;
        Some((rank.trim_end().parse().ok()?, bytes))
    });
    let (rank, bytes) = token.ok_or_else(|| TokenizerError::BadFile {
        problem: format!("line {number} is not a token in base64, a space, and its rank"),
    })?;
    if bytes.len() > MAX_TOKEN_NBYTES {
        return Err(TokenizerError::TooLarge {
            what: "a token of a .tiktoken file, in bytes",
            got: bytes.len() as u64,
            limit: MAX_TOKEN_NBYTES as u64,
        });
    }
    Ok((rank, bytes))
}

/// Every pair of the model's tokens that makes one, by result, then by left token.
fn implied_merges(
    vocabulary: &Vocabulary,
    in_model: impl Fn(u32) -> bool,
) -> Result<Vec<Merge>, TokenizerError> {
    let table = TokenTable::new(vocabulary, &in_model, None).map_err(token_flaw)?;
    let id_of = |bytes: &[u8]| table.get(vocabulary, bytes, table.hash(bytes));
    let mut merges = Vec::new();
    for result in vocabulary.ids().filter(|&id| in_model(id)) {
        let bytes = vocabulary.get(result).unwrap_or_default();
        let first = merges.len();
        merges.extend((1..bytes.len()).filter_map(|at| {
            let (left, right) = bytes.split_at(at);
            Some(Merge {
                left: id_of(left)?,
                right: id_of(right)?,
                result,
            })
        }));
        merges[first..].sort_by_key(|merge| merge.left);
    }
    Ok(merges)
}
