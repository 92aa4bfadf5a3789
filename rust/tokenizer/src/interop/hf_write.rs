//! Writing Hugging Face's `tokenizer.json`, so that the tokenizer runs wherever theirs does.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::added::AddedToken;
use crate::byte_level::spell;
use crate::normalize::Normalizer;
use crate::split::Split;
use crate::tokenizer::Tokenizer;

/// What `tokenizers` 0.23.3 writes for a ByteLevel pre-tokenizer with `add_prefix_space=False`: GPT-2's split.
const BYTE_LEVEL: &str =
    r#"{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}"#;

/// The pre-tokenizer of a split.
fn pre_tokenizer(split: &Split) -> String {
    let sequence = |first: &str, second: &str| {
        format!(r#"{{"type": "Sequence", "pretokenizers": [{first}, {second}]}}"#)
    };
    match split.pattern() {
        _ if *split == Split::Gpt2 => String::from(BYTE_LEVEL),
        None => sequence(
            r#"{"type": "Digits", "individual_digits": true}"#,
            BYTE_LEVEL,
        ),
        Some(pattern) => sequence(
            &format!(
                r#"{{"type": "Split", "pattern": {{"Regex": {}}}, "behavior": "Isolated", "invert": false}}"#,
                quote(pattern)
            ),
            &BYTE_LEVEL.replace("\"use_regex\": true", "\"use_regex\": false"),
        ),
    }
}

impl Tokenizer {
    /// The tokenizer as a `tokenizer.json` that Hugging Face's `tokenizers` loads, and that gives equal ids and texts.
    ///
    /// Their `encode` looks for special tokens in the text, as [`Tokenizer::encode_with_special`] does.
    pub fn to_hf_json(&self) -> String {
        let added = self.added_tokens().map(|(token, text)| {
            let AddedToken {
                id,
                special,
                single_word,
                lstrip,
                rstrip,
                normalized,
                ..
            } = token;
            let content = quote(text);
            format!(
                r#"{{"id": {id}, "content": {content}, "single_word": {single_word}, "lstrip": {lstrip}, "rstrip": {rstrip}, "normalized": {normalized}, "special": {special}}}"#
            )
        });
        let name = |id| self.hf_name(id).unwrap_or_default();
        // Their loader numbers added tokens that are not in the model's vocabulary on from the number of those that are. So those beyond
        // the model's own are left out of it only where that gives them their ids.
        let vocabulary = &self.parts.vocabulary;
        let is_own = |&id: &u32| self.parts.is_in_model(id);
        let has_gaps = !vocabulary.ids().eq(0..vocabulary.len());
        let model_ids = match vocabulary.ids().filter(is_own).max() {
            Some(id) if !has_gaps => id + 1,
            _ => vocabulary.len(),
        };
        let ids = vocabulary.ids().take_while(|&id| id < model_ids);
        let vocab = ids.map(|id| format!("{}: {id}", name(id)));
        let merges = self
            .merges()
            .map(|(left, right, _)| format!("[{}, {}]", name(left), name(right)));
        let normalizer = match self.parts.normalizer {
            Normalizer::None => "null",
            Normalizer::Nfc => r#"{"type": "NFC"}"#,
        };
        format!(
            r#"{{
  "version": "1.0",
  "truncation": null,
  "padding": null,
  "added_tokens": [{}],
  "normalizer": {normalizer},
  "pre_tokenizer": {},
  "post_processor": null,
  "decoder": {{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}},
  "model": {{
    "type": "BPE",
    "dropout": null,
    "unk_token": null,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": false,
    "byte_fallback": false,
    "ignore_merges": {},
    "vocab": {{{}}},
    "merges": [{}]
  }}
}}
"#,
            join_lines(added, 4),
            pre_tokenizer(&self.parts.split),
            self.parts.ignore_merges,
            join_lines(vocab, 6),
            join_lines(merges, 6),
        )
    }

    /// The quoted name of a token in the vocabulary: an added token's text, any other's bytes in GPT-2's spelling.
    fn hf_name(&self, id: u32) -> Option<String> {
        let bytes = self.token_bytes(id)?;
        match core::str::from_utf8(bytes) {
            Ok(text) if !self.parts.is_in_model(id) => Some(quote(text)),
            _ => Some(quote(&spell(bytes))),
        }
    }
}

/// One item a line, indented, with commas between; nothing where there are none.
fn join_lines(items: impl Iterator<Item = String>, indent: usize) -> String {
    let lines: Vec<String> = items
        .map(|item| format!("\n{:indent$}{item}", ""))
        .collect();
    if lines.is_empty() {
        String::new()
    } else {
        format!("{}\n{:2$}", lines.join(","), "", indent - 2)
    }
}

/// `text` as a JSON string (RFC 8259, section 7).
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\0'..='\x1f' => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
