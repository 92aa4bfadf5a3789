//! Writing Hugging Face's `tokenizer.json`, so that the tokenizer runs wherever theirs does.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::byte_level::spell;
use crate::tokenizer::Tokenizer;

/// Everything of the file that is the same for every tokenizer of ours. `tokenizers` 0.23.3 writes the same for a
/// ByteLevel pre-tokenizer with `add_prefix_space=False` and a ByteLevel decoder.
const PIPELINE: &str = r#""normalizer": null,
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
  "post_processor": null,
  "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}"#;

impl Tokenizer {
    /// The tokenizer as a `tokenizer.json` that Hugging Face's `tokenizers` loads, and that gives equal ids and texts.
    ///
    /// Their `encode` looks for special tokens in the text, as [`Tokenizer::encode_with_special`] does.
    pub fn to_hf_json(&self) -> String {
        let added = self.special_tokens().map(|(id, text)| {
            let content = quote(text);
            format!(
                r#"{{"id": {id}, "content": {content}, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}}"#
            )
        });
        let spellings: Vec<String> = self
            .tokens
            .iter()
            .enumerate()
            .map(|(id, bytes)| self.hf_name(id as u32, bytes))
            .collect();
        let vocab = spellings
            .iter()
            .enumerate()
            .map(|(id, spelling)| format!("{spelling}: {id}"));
        let merges = self.merges().map(|(left, right, _)| {
            format!(
                "[{}, {}]",
                spellings[left as usize], spellings[right as usize]
            )
        });
        format!(
            r#"{{
  "version": "1.0",
  "truncation": null,
  "padding": null,
  "added_tokens": [{}],
  {PIPELINE},
  "model": {{
    "type": "BPE",
    "dropout": null,
    "unk_token": null,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": false,
    "byte_fallback": false,
    "ignore_merges": false,
    "vocab": {{{}}},
    "merges": [{}]
  }}
}}
"#,
            join_lines(added, 4),
            join_lines(vocab, 6),
            join_lines(merges, 6),
        )
    }

    /// The quoted name of a token in the vocabulary: a special token's text, any other's bytes in GPT-2's spelling.
    fn hf_name(&self, id: u32, bytes: &[u8]) -> String {
        match core::str::from_utf8(bytes) {
            Ok(text) if self.is_special(id) => quote(text),
            _ => quote(&spell(bytes)),
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
