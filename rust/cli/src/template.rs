//! Chat templates: messages in, a prompt in parts out, of which only the template's own may hold special tokens.
//!
//! Before it is rendered, each special token that a message contains is put out of force: a mark that nobody can guess stands in its place.
//! The rendered text is cut at the marks, and the tokens come back as a person's text. So the template sees every other message as it is.
//! Python (training/chat.py) and the page (web/src/package/chat.ts) do the same; `tests/vectors/chat_templates.json` holds all three to it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use anyhow::Context;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value, context};

/// What a message may cost to render, in minijinja's instructions: far more than any published template takes.
const FUEL: u64 = 10_000_000;

/// What a template needs to know of its model.
pub struct Template<'m> {
    pub text: &'m str,
    pub bos_token: String,
    pub eos_token: String,
    pub special_tokens: Vec<&'m str>,
}

/// One message of a conversation.
#[derive(Clone)]
pub struct Message {
    /// "system", "user" or "assistant".
    pub role: &'static str,
    pub content: String,
}

impl Template<'_> {
    /// The prompt that asks for the next answer: parts by turns, the template's first.
    ///
    /// # Errors
    /// What the template is wrong in, or refuses.
    pub fn prompt(&self, messages: &[Message]) -> anyhow::Result<Vec<String>> {
        let messages: Vec<(&str, &str)> = messages
            .iter()
            .map(|message| (message.role, message.content.as_str()))
            .collect();
        let nonce = [(); 2].map(|()| format!("{:016x}", RandomState::new().hash_one(0)));
        self.render(&messages, &nonce.concat())
    }

    fn render(&self, messages: &[(&str, &str)], nonce: &str) -> anyhow::Result<Vec<String>> {
        let mut longest_first = self.special_tokens.clone();
        longest_first.sort_by_key(|token| usize::MAX - token.len());
        let mark = format!("\u{E000}{nonce}:");
        let messages: Vec<Value> = messages // each a map, as a template wants it
            .iter()
            .map(|(role, content)| {
                context! { role => *role, content => without_special(content, &longest_first, &mark) }
            })
            .collect();
        let mut environment = Environment::new();
        let white_space = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?;
        environment.set_syntax(white_space);
        environment.set_fuel(Some(FUEL));
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<(), Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        let text = environment
            .template_from_str(self.text)
            .and_then(|template| {
                template.render(context! {
                    messages,
                    add_generation_prompt => true,
                    bos_token => self.bos_token.as_str(),
                    eos_token => self.eos_token.as_str(),
                })
            })
            .context("the chat template cannot be used")?;
        let mut pieces = text.split(mark.as_str());
        let mut parts = vec![pieces.next().unwrap_or_default().to_owned()];
        for piece in pieces {
            let (number, rest) = piece.split_once('\u{E001}').context("a mark was cut")?;
            let token = longest_first
                .get(number.parse::<usize>()?)
                .context("a mark was changed")?;
            parts.extend([(*token).to_owned(), rest.to_owned()]);
        }
        Ok(parts)
    }
}

/// `text` with a mark and a number in place of each special token.
fn without_special(text: &str, longest_first: &[&str], mark: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match longest_first
            .iter()
            .position(|token| rest.starts_with(token))
        {
            Some(number) => {
                safe += &format!("{mark}{number}\u{E001}");
                rest = &rest[longest_first[number].len()..];
            }
            None => {
                safe.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Template;

    #[test]
    fn the_shared_vectors() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../tests/vectors/chat_templates.json"))
                .expect("JSON");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for case in vectors["cases"].as_array().expect("cases") {
            let source = text(&vectors["templates"][text(&case["template"])]);
            let special: Vec<String> = case["special_tokens"]
                .as_array()
                .expect("tokens")
                .iter()
                .map(text)
                .collect();
            let template = Template {
                text: &source,
                bos_token: text(&case["bos_token"]),
                eos_token: text(&case["eos_token"]),
                special_tokens: special.iter().map(String::as_str).collect(),
            };
            let messages: Vec<(String, String)> = case["messages"]
                .as_array()
                .expect("messages")
                .iter()
                .map(|message| (text(&message["role"]), text(&message["content"])))
                .collect();
            let messages: Vec<(&str, &str)> = messages
                .iter()
                .map(|(a, b)| (a.as_str(), b.as_str()))
                .collect();
            let name = text(&case["name"]);
            match (template.render(&messages, "nonce"), case["error"].as_str()) {
                (Ok(parts), None) => assert_eq!(json!(parts), case["parts"], "{name}"),
                (Err(error), Some(expected)) => {
                    assert!(format!("{error:#}").contains(expected), "{name}: {error:#}");
                }
                (got, _) => panic!("{name}: {got:?}"),
            }
        }
    }
}
