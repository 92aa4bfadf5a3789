//! The flat form: FORMAT.md says what each byte means.

use alloc::vec::Vec;

use crate::added::AddedToken;
use crate::error::TokenizerError;
use crate::normalize::{Nfc, Normalizer};
use crate::parts::{Merge, MergeOrder, Parts};
use crate::split::Split;
use crate::table::{ATTEMPTS, places_for};
use crate::tokenizer::{MAX_VOCAB_SIZE, ReadTables, Tokenizer};
use crate::vocabulary::Vocabulary;

const MAGIC: [u8; 8] = *b"PLMTOKEN";
const VERSION: u32 = 2;
/// The only algorithm there is: byte-level BPE.
const BYTE_LEVEL_BPE: u32 = 1;
const HEADER_LEN: usize = 72;
/// The longest name of a split that a reader takes for one.
const MAX_SPLIT_BYTES: u32 = 1 << 16;

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
        let Parts {
            vocabulary,
            added,
            merges,
            order,
            split,
            normalizer,
            ignore_merges,
        } = &self.parts;
        let token_places: Vec<u32> = self.token_table.places().collect();
        let header = Header {
            ignore_merges: *ignore_merges,
            normalizer: *normalizer,
            order: *order,
            vocab_size: vocabulary.len(),
            added_count: added.len() as u32,
            merge_count: merges.len() as u32,
            token_attempt: self.token_table.attempt(),
            pair_attempt: self.pairs.attempt(),
            token_places: token_places.len() as u32,
            token_bytes: vocabulary.bytes.len() as u32,
            split_bytes: split.name().len() as u32,
        };
        let mut out = header.to_bytes();
        let added = added.iter().flat_map(|token| [token.id, token.flags()]);
        let merges = merges
            .iter()
            .flat_map(|merge| [merge.left, merge.right, merge.result]);
        let words = vocabulary.ends.iter().copied().chain(added).chain(merges);
        for word in words.chain(token_places).chain(self.pairs.places()) {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&vocabulary.bytes);
        out.extend_from_slice(split.name().as_bytes());
        out
    }

    /// Read the flat form, and check all of it. Nothing is sorted.
    ///
    /// Memory stays proportional to `data`, whatever its header says.
    ///
    /// # Errors
    /// Every flaw has its own: [`TokenizerError::Truncated`], [`TokenizerError::TrailingBytes`],
    /// [`TokenizerError::BadMagic`], [`TokenizerError::BadVersion`], [`TokenizerError::BadField`],
    /// [`TokenizerError::BadTokenEnd`], [`TokenizerError::DuplicateToken`], [`TokenizerError::AddedOrder`],
    /// [`TokenizerError::BadSpecial`], [`TokenizerError::BadMerge`], [`TokenizerError::BadTable`],
    /// [`TokenizerError::UnknownId`] for an added token that the vocabulary does not hold.
    #[cfg(feature = "nfc")]
    pub fn from_bytes(data: &[u8]) -> Result<Self, TokenizerError> {
        Self::from_bytes_with(data, crate::nfc)
    }

    /// [`Tokenizer::from_bytes`] with a function that normalises: in a browser its own, which is a seventh of a wasm module less.
    ///
    /// # Errors
    /// As there.
    pub fn from_bytes_with(data: &[u8], nfc: Nfc) -> Result<Self, TokenizerError> {
        let header = Header::parse(data)?;
        let mut rest = &data[HEADER_LEN..];
        let mut words = |count: u32| -> Vec<u32> {
            let (section, after) = rest.split_at(4 * count as usize);
            rest = after;
            let words = section.as_chunks::<4>().0.iter();
            words.map(|&word| u32::from_le_bytes(word)).collect()
        };
        let ends = words(header.vocab_size);
        let added = words(2 * header.added_count);
        let merges = words(3 * header.merge_count);
        let token_places = words(header.token_places);
        let pair_places = words(places_for(header.merge_count as usize) as u32);
        let (token_bytes, split_name) = rest.split_at(header.token_bytes as usize);

        check_ends(&ends, token_bytes.len())?;
        let added = added.as_chunks::<2>().0.iter().map(|&[id, flags]| {
            AddedToken::from_flags(id, flags).ok_or(bad_field(
                "added flags",
                flags.into(),
                "a sum of 1, 2, 4, 8, 16, 32",
            ))
        });
        let added = added.collect::<Result<Vec<_>, _>>()?;
        let merges = merges.as_chunks::<3>().0.iter();
        let parts = Parts {
            vocabulary: Vocabulary {
                bytes: token_bytes.to_vec(),
                ends,
            },
            added,
            merges: merges
                .map(|&[left, right, result]| Merge {
                    left,
                    right,
                    result,
                })
                .collect(),
            order: header.order,
            split: named_split(split_name)?,
            normalizer: header.normalizer,
            ignore_merges: header.ignore_merges,
        };
        let tables = ReadTables {
            tokens: (&token_places, header.token_attempt),
            pairs: (&pair_places, header.pair_attempt),
        };
        Self::new(parts, Some(tables), nfc)
    }
}

/// Check that each token ends where it begins (an id without a token) or after, and that the last one ends with the token bytes.
fn check_ends(ends: &[u32], token_bytes: usize) -> Result<(), TokenizerError> {
    let mut start = 0;
    for (id, &end) in ends.iter().enumerate() {
        if end < start || end as usize > token_bytes {
            return Err(TokenizerError::BadTokenEnd {
                id: id as u32,
                start,
                end,
            });
        }
        start = end;
    }
    if start as usize != token_bytes {
        return Err(bad_field(
            "token_bytes",
            token_bytes as u64,
            "where the last token ends",
        ));
    }
    Ok(())
}

/// The split that the file names.
fn named_split(name: &[u8]) -> Result<Split, TokenizerError> {
    let name = alloc::string::String::from_utf8_lossy(name);
    Split::named(&name)
}

/// The header's fields that the rest is read with.
struct Header {
    ignore_merges: bool,
    normalizer: Normalizer,
    order: MergeOrder,
    vocab_size: u32,
    added_count: u32,
    merge_count: u32,
    token_attempt: u32,
    pair_attempt: u32,
    token_places: u32,
    token_bytes: u32,
    split_bytes: u32,
}

impl Header {
    /// The length of the flat form in bytes; it cannot overflow.
    fn total_len(&self) -> u64 {
        let words = u64::from(self.vocab_size)
            + 2 * u64::from(self.added_count)
            + 3 * u64::from(self.merge_count)
            + u64::from(self.token_places)
            + places_for(self.merge_count as usize) as u64;
        HEADER_LEN as u64 + 4 * words + u64::from(self.token_bytes) + u64::from(self.split_bytes)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let total = self.total_len();
        let mut out = Vec::with_capacity(total as usize);
        out.extend_from_slice(&MAGIC);
        for field in [
            VERSION,
            BYTE_LEVEL_BPE,
            u32::from(self.ignore_merges),
            u32::from(self.normalizer == Normalizer::Nfc),
            u32::from(self.order == MergeOrder::ByResult),
            self.vocab_size,
            self.added_count,
            self.merge_count,
            self.token_attempt,
            self.pair_attempt,
            self.token_places,
            self.token_bytes,
            self.split_bytes,
            0, // scores
        ] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&total.to_le_bytes());
        out
    }

    /// Check the header and that the data has exactly the length that follows from it.
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
        // The version first: another one's header may be shorter.
        let field = |at: usize| -> Option<u32> {
            Some(u32::from_le_bytes(*data.get(at..)?.first_chunk()?))
        };
        if let Some(version) = field(8)
            && version != VERSION
        {
            return Err(TokenizerError::BadVersion {
                expected: VERSION,
                got: version,
            });
        }
        if data.len() < HEADER_LEN {
            return Err(truncated("the header", HEADER_LEN as u64));
        }
        let field = |at: usize| field(at).unwrap_or_default();
        let one_of = |name, at, count: u32, expected| match field(at) {
            value if value < count => Ok(value),
            value => Err(bad_field(name, value.into(), expected)),
        };
        if field(12) != BYTE_LEVEL_BPE {
            return Err(bad_field(
                "algorithm",
                field(12).into(),
                "1 (byte-level BPE)",
            ));
        }
        let header = Self {
            ignore_merges: one_of("ignore_merges", 16, 2, "0 or 1")? == 1,
            normalizer: [Normalizer::None, Normalizer::Nfc]
                [one_of("normalizer", 20, 2, "0 (none) or 1 (NFC)")? as usize],
            order: [MergeOrder::ByList, MergeOrder::ByResult]
                [one_of("merge_order", 24, 2, "0 (by the list) or 1 (by the result)")? as usize],
            vocab_size: field(28),
            added_count: field(32),
            merge_count: field(36),
            token_attempt: one_of("token_attempt", 40, ATTEMPTS, "0 to 31")?,
            pair_attempt: one_of("pair_attempt", 44, ATTEMPTS, "0 to 31")?,
            token_places: field(48),
            token_bytes: field(52),
            split_bytes: field(56),
        };
        header.check_counts(field(60))?;
        let stated = u64::from(field(64)) | u64::from(field(68)) << 32;
        let total = header.total_len();
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
        Ok(header)
    }

    /// Check that the counts can be.
    fn check_counts(&self, score_count: u32) -> Result<(), TokenizerError> {
        if !(1..=MAX_VOCAB_SIZE).contains(&self.vocab_size) {
            return Err(bad_field("vocab_size", self.vocab_size.into(), "1 to 2^24"));
        }
        if self.added_count > self.vocab_size {
            return Err(bad_field(
                "added_count",
                self.added_count.into(),
                "at most vocab_size",
            ));
        }
        // Which of the ids are in the table is known only after they are read: here its size, so that the lengths can be.
        let most = places_for(self.vocab_size as usize) as u32;
        if !self.token_places.is_power_of_two() || !(16..=most).contains(&self.token_places) {
            return Err(bad_field(
                "token_places",
                self.token_places.into(),
                "a power of two that fits vocab_size",
            ));
        }
        if self.merge_count > 1 << 30 {
            return Err(bad_field(
                "merge_count",
                self.merge_count.into(),
                "at most 2^30",
            ));
        }
        if self.split_bytes > MAX_SPLIT_BYTES {
            return Err(bad_field(
                "split_bytes",
                self.split_bytes.into(),
                "at most 2^16",
            ));
        }
        if score_count != 0 {
            return Err(bad_field(
                "score_count",
                score_count.into(),
                "0: byte-level BPE has none",
            ));
        }
        Ok(())
    }
}

fn bad_field(field: &'static str, got: u64, expected: &'static str) -> TokenizerError {
    TokenizerError::BadField {
        field,
        got,
        expected,
    }
}
