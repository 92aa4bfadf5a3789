//! The ids of a chat's prompt: text that a template wrote, in which special tokens count, and text that a person wrote, in which they do not.

use alloc::string::String;
use alloc::vec::Vec;

use super::Encoder;
use crate::added::Specials;
use crate::tokenizer::Tokenizer;

impl Tokenizer {
    /// The ids of a text that comes in parts, by turns: a template's (the first, the third, …), in which special tokens become their ids, and
    /// a person's, in which they are ordinary text. A special token that only the two together make is ordinary text too.
    ///
    /// What lies between two special tokens is encoded as one text, whatever parts it comes in: where a person wrote no special token, the
    /// ids are those of [`Tokenizer::encode_with_special`] of the whole.
    ///
    /// ```
    /// # use pocketlm_tokenizer::{Tokenizer, train::{TrainConfig, train}};
    /// # let config = TrainConfig { vocab_size: 260, ..TrainConfig::default() };
    /// # let tokenizer = train(["to be or not to be"], &config)?;
    /// let ids = tokenizer.encode_by_turns(&["<|endoftext|>", "<|endoftext|>"]);
    /// assert_eq!(ids[0], 0);
    /// assert_eq!(ids[1..], tokenizer.encode("<|endoftext|>"));
    /// # Ok::<(), pocketlm_tokenizer::TokenizerError>(())
    /// ```
    pub fn encode_by_turns(&self, parts: &[impl AsRef<str>]) -> Vec<u32> {
        let mut encoder = Encoder::new(self);
        let (mut ids, mut between) = (Vec::new(), String::new());
        for (number, part) in parts.iter().enumerate() {
            let text = part.as_ref();
            let mut from = 0;
            if number % 2 == 0 {
                for (start, end, id) in self.special_places(text) {
                    if start < from {
                        continue;
                    }
                    between += &text[from..start];
                    encoder.encode(&between, &mut ids);
                    between.clear();
                    ids.push(id);
                    from = end;
                }
            }
            between += &text[from..];
        }
        encoder.encode(&between, &mut ids);
        ids
    }

    /// Where special tokens begin and end in `text`, and their ids, from left to right.
    fn special_places(&self, text: &str) -> Vec<(usize, usize, u32)> {
        let [mut some, mut others] =
            [&self.before_normalizing, &self.after_normalizing].map(|matcher| {
                let found = matcher
                    .iter()
                    .flat_map(|matcher| matcher.find(text, Specials::All));
                let special = found.filter(|found| self.is_special(found.id));
                special
                    .map(|found| (found.start, found.end, found.id))
                    .peekable()
            });
        // Each kind's places come from left to right.
        let first = |place: Option<&(usize, usize, u32)>| {
            place.map_or((usize::MAX, 0), |&(start, end, _)| {
                (start, usize::MAX - end)
            })
        };
        core::iter::from_fn(|| {
            if first(some.peek()) <= first(others.peek()) {
                some.next()
            } else {
                others.next()
            }
        })
        .collect()
    }
}
