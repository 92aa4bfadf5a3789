//! Where in a text each of its tokens is.

use alloc::vec::Vec;

use super::Encoder;
use crate::added::{Matcher, Specials};
use crate::error::TokenizerError;

impl Encoder<'_> {
    /// Append the ids of `text` to `ids`, as [`Encoder::encode`] or [`Encoder::encode_with_special`], and to `offsets` the place of each:
    /// where it begins and ends in the bytes of the text. White space that an added token takes in is a part of it.
    ///
    /// ```
    /// # use pocketlm_tokenizer::{Encoder, train::{TrainConfig, train}};
    /// # let config = TrainConfig { vocab_size: 257, ..TrainConfig::default() };
    /// # let tokenizer = train(["to be"], &config)?;
    /// let (mut ids, mut offsets) = (Vec::new(), Vec::new());
    /// let text = "é<|endoftext|>";
    /// Encoder::new(&tokenizer).encode_with_offsets(text, true, &mut ids, &mut offsets)?;
    /// assert_eq!(offsets, [(0, 1), (1, 2), (2, 15)]); // the two bytes of é are two tokens here
    /// # Ok::<(), pocketlm_tokenizer::TokenizerError>(())
    /// ```
    ///
    /// # Errors
    /// [`TokenizerError::NoOffsets`] where the tokens are not those of the text as it stands: where normalising changes it, or a byte of it has
    /// no token. `ids` and `offsets` are then as they were.
    pub fn encode_with_offsets(
        &mut self,
        text: &str,
        special: bool,
        ids: &mut Vec<u32>,
        offsets: &mut Vec<(usize, usize)>,
    ) -> Result<(), TokenizerError> {
        let tokenizer = self.tokenizer;
        if tokenizer.normalizer().apply(text, tokenizer.nfc) != text {
            return Err(TokenizerError::NoOffsets {
                problem: "normalising changes the text: normalise it first",
            });
        }
        let before = (ids.len(), offsets.len());
        let specials = Specials::all_if(special);
        let matchers = [
            tokenizer.before_normalizing.as_ref(),
            tokenizer.after_normalizing.as_ref(),
        ];
        let complete = self.with_offsets((text, 0), specials, &matchers, (ids, offsets));
        if !complete {
            ids.truncate(before.0);
            offsets.truncate(before.1);
            return Err(TokenizerError::NoOffsets {
                problem: "a byte of the text has no token",
            });
        }
        Ok(())
    }

    /// Encode a text that begins at a place of the whole, of which the first of `matchers` finds tokens and the others more between them.
    /// Whether the tokens cover it.
    fn with_offsets(
        &mut self,
        (text, at): (&str, usize),
        specials: Specials<'_>,
        matchers: &[Option<&Matcher>],
        (ids, offsets): (&mut Vec<u32>, &mut Vec<(usize, usize)>),
    ) -> bool {
        let Some((matcher, others)) = matchers.split_first() else {
            let first = ids.len();
            self.encode_pieces(text, ids);
            let mut start = at;
            offsets.extend(ids[first..].iter().map(|&id| {
                let len = self.tokenizer.token_bytes(id).map_or(0, <[u8]>::len);
                start += len;
                (start - len, start)
            }));
            return start == at + text.len();
        };
        let mut from = 0;
        let mut complete = true;
        let found = matcher.filter(|matcher| matcher.finds_any(specials));
        for found in found
            .iter()
            .flat_map(|matcher| matcher.find(text, specials))
        {
            let between = (&text[from..found.start], at + from);
            complete &= self.with_offsets(between, specials, others, (ids, offsets));
            ids.push(found.id);
            offsets.push((at + found.start, at + found.end));
            from = found.end;
        }
        complete & self.with_offsets((&text[from..], at + from), specials, others, (ids, offsets))
    }
}

/// The places that `offsets`, which ascend, are in `text`, counted in characters instead of bytes: of each token the first character that it has
/// a byte of, and the one after the last.
///
/// ```
/// use pocketlm_tokenizer::character_offsets;
/// assert_eq!(character_offsets("né!", &[(0, 2), (2, 3), (3, 4)]), [(0, 2), (1, 2), (2, 3)]);
/// ```
pub fn character_offsets(text: &str, offsets: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let (mut before_starts, mut before_ends) = (characters_before(text), characters_before(text));
    let of = |&(start, end): &(usize, usize)| (before_starts(start + 1) - 1, before_ends(end));
    offsets.iter().map(of).collect()
}

/// The number of characters that begin before a place; to be asked for places that do not descend.
fn characters_before(text: &str) -> impl FnMut(usize) -> usize {
    let mut starts = text.char_indices().map(|(start, _)| start).peekable();
    let mut count = 0;
    move |place| {
        while starts.next_if(|&start| start < place).is_some() {
            count += 1;
        }
        count
    }
}
