//! The flat form: FORMAT.md says what each byte means.

use alloc::vec::Vec;

use crate::error::TokenizerError;
use crate::tokenizer::{MAX_VOCAB_SIZE, Tokenizer, Tokens};

const MAGIC: [u8; 8] = *b"PLMTOKEN";
const VERSION: u32 = 1;
/// The only split there is: GPT-2's.
const SPLIT_GPT2: u32 = 1;
const HEADER_LEN: usize = 40;

impl Tokenizer {
    /// Write the flat form.
    ///
    /// ```
    /// # use pocketlm_tokenizer::{Tokenizer, train::{TrainConfig, train}};
    /// # let config = TrainConfig { vocab_size: 260, ..TrainConfig::default() };
    /// # let tokenizer = train(["to be or not to be"], &config)?;
    /// let bytes = tokenizer.to_bytes();
    /// assert_eq!(Tokenizer::from_bytes(&bytes)?.to_bytes(), bytes);
    /// # Ok::<(), pocketlm_tokenizer::TokenizerError>(())
    /// ```
    pub fn to_bytes(&self) -> Vec<u8> {
        let counts = [
            self.tokens.len(),
            self.specials.len() as u32,
            self.merges.len() as u32,
        ];
        let token_bytes = self.tokens.bytes.len() as u32;
        let total = total_len(counts, token_bytes);
        let mut out = Vec::with_capacity(total as usize);
        out.extend_from_slice(&MAGIC);
        for field in [
            VERSION,
            SPLIT_GPT2,
            counts[0],
            counts[1],
            counts[2],
            token_bytes,
        ] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&total.to_le_bytes());
        let pairs = self
            .merges
            .iter()
            .flat_map(|merge| [merge.left, merge.right]);
        for word in self
            .tokens
            .ends
            .iter()
            .chain(&self.specials)
            .copied()
            .chain(pairs)
        {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.tokens.bytes);
        out
    }

    /// Read the flat form, and check all of it.
    ///
    /// Memory stays proportional to `data`, whatever its header says.
    ///
    /// # Errors
    /// Every flaw has its own: [`TokenizerError::Truncated`], [`TokenizerError::TrailingBytes`],
    /// [`TokenizerError::BadMagic`], [`TokenizerError::BadVersion`], [`TokenizerError::BadField`],
    /// [`TokenizerError::BadTokenEnd`], [`TokenizerError::DuplicateToken`], [`TokenizerError::MissingByte`],
    /// [`TokenizerError::SpecialOrder`], [`TokenizerError::BadSpecial`], [`TokenizerError::BadMerge`],
    /// [`TokenizerError::UnknownId`] for a special token beyond the vocabulary.
    pub fn from_bytes(data: &[u8]) -> Result<Self, TokenizerError> {
        let header = Header::parse(data)?;
        let [vocab_size, special_count, merge_count] = header.counts.map(|count| count as usize);
        let (words, token_bytes) =
            data[HEADER_LEN..].split_at(4 * (vocab_size + special_count + 2 * merge_count));
        let mut words = words
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&word| u32::from_le_bytes(word));

        let ends: Vec<u32> = words.by_ref().take(vocab_size).collect();
        let specials = words.by_ref().take(special_count).collect();
        let rest: Vec<u32> = words.collect();
        let pairs: Vec<_> = rest
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&[left, right]| (left, right))
            .collect();

        let mut start = 0;
        for (id, &end) in ends.iter().enumerate() {
            if end <= start || end as usize > token_bytes.len() {
                return Err(TokenizerError::BadTokenEnd {
                    id: id as u32,
                    start,
                    end,
                });
            }
            start = end;
        }
        if start as usize != token_bytes.len() {
            return Err(bad_field(
                "token_bytes",
                token_bytes.len() as u64,
                "where the last token ends",
            ));
        }
        Self::from_parts(
            Tokens {
                bytes: token_bytes.to_vec(),
                ends,
            },
            specials,
            &pairs,
        )
    }
}

/// The header's fields that the rest is read with.
struct Header {
    /// vocab_size, special_count, merge_count
    counts: [u32; 3],
}

impl Header {
    /// Check the 40 bytes and that the data has exactly the length that follows from them.
    fn parse(data: &[u8]) -> Result<Self, TokenizerError> {
        let got = data.len() as u64;
        let truncated = |what, expected| TokenizerError::Truncated {
            what,
            expected,
            got,
        };
        if let Some(magic) = data.first_chunk::<8>()
            && *magic != MAGIC
        {
            return Err(TokenizerError::BadMagic { got: *magic });
        }
        let header = data
            .get(..HEADER_LEN)
            .ok_or_else(|| truncated("the header", HEADER_LEN as u64))?;
        let field =
            |i: usize| u32::from_le_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
        if field(8) != VERSION {
            return Err(TokenizerError::BadVersion {
                expected: VERSION,
                got: field(8),
            });
        }
        if field(12) != SPLIT_GPT2 {
            return Err(bad_field("split", field(12).into(), "1 (GPT-2)"));
        }
        let counts = [field(16), field(20), field(24)];
        if !(256..=MAX_VOCAB_SIZE).contains(&counts[0]) {
            return Err(bad_field("vocab_size", counts[0].into(), "256 to 2^24"));
        }
        if counts[1] > counts[0] - 256 {
            return Err(bad_field(
                "special_count",
                counts[1].into(),
                "at most vocab_size - 256",
            ));
        }
        let stated = u64::from(field(32)) | u64::from(field(36)) << 32;
        let total = total_len(counts, field(28));
        if stated != total {
            return Err(bad_field(
                "total_bytes",
                stated,
                "the length that follows from the other fields",
            ));
        }
        if got < total {
            return Err(truncated("the tokenizer", total));
        }
        if got > total {
            return Err(TokenizerError::TrailingBytes {
                expected: total,
                got,
            });
        }
        Ok(Self { counts })
    }
}

/// The length of the flat form in bytes; it cannot overflow.
fn total_len([vocab_size, special_count, merge_count]: [u32; 3], token_bytes: u32) -> u64 {
    let words = u64::from(vocab_size) + u64::from(special_count) + 2 * u64::from(merge_count);
    HEADER_LEN as u64 + 4 * words + u64::from(token_bytes)
}

fn bad_field(field: &'static str, got: u64, expected: &'static str) -> TokenizerError {
    TokenizerError::BadField {
        field,
        got,
        expected,
    }
}
