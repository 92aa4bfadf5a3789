//! Reading Hugging Face's `tokenizer.json`: byte-level BPE with a split that this crate has. What it cannot do is refused by name.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::Value;

use crate::added::AddedToken;
use crate::byte_level::byte_of;
use crate::error::TokenizerError;
use crate::normalize::Normalizer;
use crate::parts::{Merge, MergeOrder, Parts};
use crate::split::Split;
use crate::tokenizer::Tokenizer;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Added>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    decoder: Option<Value>,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    vocab: BTreeMap<String, u32>,
    merges: Vec<MergePair>,
}

/// A merge is a pair of tokens, or a text with a space between them.
#[derive(Deserialize)]
#[serde(untagged)]
enum MergePair {
    Pair(String, String),
    Joined(String),
}

impl Tokenizer {
    /// Read a `tokenizer.json`. Ids are those of Hugging Face's `encode` with `add_special_tokens=False`: what a post-processor puts before and
    /// after a text is left out.
    ///
    /// ```
    /// # use pocketlm_tokenizer::{Tokenizer, train::{TrainConfig, train}};
    /// # let config = TrainConfig { vocab_size: 260, ..TrainConfig::default() };
    /// # let tokenizer = train(["to be or not to be"], &config)?;
    /// let again = Tokenizer::from_hf_json(&tokenizer.to_hf_json())?;
    /// assert_eq!(again.to_bytes(), tokenizer.to_bytes());
    /// # Ok::<(), pocketlm_tokenizer::TokenizerError>(())
    /// ```
    ///
    /// # Errors
    /// [`TokenizerError::BadFile`] for what is no such file, or has a part that this crate cannot do; else as [`Tokenizer::from_bytes`].
    pub fn from_hf_json(json: &str) -> Result<Self, TokenizerError> {
        let file: File = serde_json::from_str(json)
            .map_err(|error| bad(format!("not a tokenizer.json: {error}")))?;
        let model = &file.model;
        if model.kind.as_deref().is_some_and(|kind| kind != "BPE") {
            return Err(unsupported("model.type", &model.kind));
        }
        if model.byte_fallback {
            return Err(bad(
                "model.byte_fallback is true: SentencePiece's algorithm is another",
            ));
        }
        if model.dropout.is_some_and(|dropout| dropout != 0.0) {
            return Err(unsupported("model.dropout", &model.dropout));
        }
        for (name, text) in [
            (
                "continuing_subword_prefix",
                &model.continuing_subword_prefix,
            ),
            ("end_of_word_suffix", &model.end_of_word_suffix),
        ] {
            if text.as_deref().is_some_and(|text| !text.is_empty()) {
                return Err(unsupported(name, text));
            }
        }
        if let Some(decoder) = file
            .decoder
            .as_ref()
            .filter(|decoder| kind_of(decoder) != "ByteLevel")
        {
            return Err(unsupported("decoder", decoder));
        }
        let split = split_of(file.pre_tokenizer.as_ref())?;
        let normalizer = normalizer_of(file.normalizer.as_ref())?;
        let merges = merges_of(model)?;
        let added = added_of(&file.added_tokens, model, &merges)?;

        let own: BTreeSet<u32> = added
            .iter()
            .filter(|(token, _)| !token.in_model)
            .map(|(token, _)| token.id)
            .collect();
        let model_tokens = model.vocab.iter().filter(|(_, id)| !own.contains(id));
        let mut tokens: Vec<(u32, Vec<u8>)> = model_tokens
            .map(|(name, &id)| (id, bytes_of(name)))
            .collect();
        tokens.extend(
            added
                .iter()
                .filter(|(token, _)| !token.in_model)
                .map(|(token, text)| (token.id, text.as_bytes().to_vec())),
        );
        Self::new(
            Parts {
                vocabulary: super::vocabulary(tokens)?,
                added: added.into_iter().map(|(token, _)| token).collect(),
                merges,
                order: MergeOrder::ByList,
                split,
                normalizer,
                ignore_merges: model.ignore_merges,
            },
            None,
            crate::nfc,
        )
    }
}

/// The bytes that a name in the vocabulary spells; its own where it spells none, as their decoder has it.
fn bytes_of(name: &str) -> Vec<u8> {
    let spelled: Option<Vec<u8>> = name.chars().map(byte_of).collect();
    spelled.unwrap_or_else(|| name.as_bytes().to_vec())
}

fn merges_of(model: &Model) -> Result<Vec<Merge>, TokenizerError> {
    let id = |name: &str| {
        let found = model.vocab.get(name).copied();
        found.ok_or_else(|| bad(format!("model.merges: {name:?} is not in model.vocab")))
    };
    let merges = model.merges.iter().map(|merge| {
        let (left, right) = match merge {
            MergePair::Pair(left, right) => (left.as_str(), right.as_str()),
            MergePair::Joined(both) => both
                .split_once(' ')
                .ok_or_else(|| bad(format!("model.merges: {both:?} has no space in it")))?,
        };
        Ok(Merge {
            left: id(left)?,
            right: id(right)?,
            result: id(&[left, right].concat())?,
        })
    });
    merges.collect()
}

/// The added tokens by ascending id, and their texts. One that is in the model's vocabulary has its id there.
fn added_of<'f>(
    added: &'f [Added],
    model: &Model,
    merges: &[Merge],
) -> Result<Vec<(AddedToken, &'f str)>, TokenizerError> {
    let made: BTreeSet<u32> = merges.iter().map(|merge| merge.result).collect();
    let mut tokens = BTreeMap::new();
    for token in added {
        let in_vocab = model.vocab.get(&token.content).copied();
        let id = in_vocab.unwrap_or(token.id);
        let reached = |id| model.ignore_merges || made.contains(&id) || token.content.len() == 1;
        let in_model =
            in_vocab.is_some_and(reached) && bytes_of(&token.content) == token.content.as_bytes();
        let entry = AddedToken {
            id,
            special: token.special,
            single_word: token.single_word,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
            normalized: token.normalized,
            in_model,
        };
        if tokens.insert(id, (entry, token.content.as_str())).is_some() {
            return Err(bad(format!("added_tokens: the id {id} is given twice")));
        }
    }
    Ok(tokens.into_values().collect())
}

fn normalizer_of(value: Option<&Value>) -> Result<Normalizer, TokenizerError> {
    let Some(value) = value else {
        return Ok(Normalizer::None);
    };
    match (
        kind_of(value),
        value["normalizers"].as_array().map(Vec::as_slice),
    ) {
        ("NFC", _) => Ok(Normalizer::Nfc),
        ("Sequence", Some([])) => Ok(Normalizer::None),
        ("Sequence", Some([only])) => normalizer_of(Some(only)),
        _ => Err(unsupported("normalizer", value)),
    }
}

fn split_of(value: Option<&Value>) -> Result<Split, TokenizerError> {
    let value =
        value.ok_or_else(|| bad("pre_tokenizer is null: expected one that ends in ByteLevel"))?;
    let refused = || unsupported("pre_tokenizer", value);
    // Whether it is a ByteLevel that splits by GPT-2's pattern, or that does not split.
    let byte_level = |value: &Value, splits: bool| {
        kind_of(value) == "ByteLevel"
            && !value["add_prefix_space"].as_bool().unwrap_or(true)
            && value["use_regex"].as_bool().unwrap_or(true) == splits
    };
    let steps = match kind_of(value) {
        "Sequence" => value["pretokenizers"]
            .as_array()
            .ok_or_else(refused)?
            .as_slice(),
        _ => core::slice::from_ref(value),
    };
    match steps {
        [only] if byte_level(only, true) => Ok(Split::Gpt2),
        [digits, last] if kind_of(digits) == "Digits" && byte_level(last, true) => {
            match digits["individual_digits"].as_bool() {
                Some(true) => Ok(Split::Smollm2),
                _ => Err(refused()),
            }
        }
        [first, last] if kind_of(first) == "Split" && byte_level(last, false) => {
            let isolated = first["behavior"] == "Isolated" && first["invert"] != true;
            let pattern = first["pattern"]["Regex"].as_str().filter(|_| isolated);
            Split::of_pattern(pattern.ok_or_else(refused)?)
        }
        _ => Err(refused()),
    }
}

fn kind_of(value: &Value) -> &str {
    value["type"].as_str().unwrap_or_default()
}

fn bad(problem: impl Into<String>) -> TokenizerError {
    TokenizerError::BadFile {
        problem: problem.into(),
    }
}

fn unsupported(what: &str, value: &impl serde::Serialize) -> TokenizerError {
    let value = serde_json::to_string(value).unwrap_or_else(|error| error.to_string());
    bad(format!("{what} {value} is not supported"))
}
