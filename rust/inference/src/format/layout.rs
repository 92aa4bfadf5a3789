//! A checked header and the place of everything in the file: all that can be known without the sections' bytes.
//!
//! Places are u64 and are computed, then compared with the header's: a file may be longer than the memory of this machine.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use super::config::Config;
use super::digest::check_digest;
use super::dtype::Dtype;
use super::family::expected_tensors;
use super::field::shown;
use super::header::{Header, Place, SectionEntry, TensorEntry, check_header_nbytes};
use super::prefix::{Prefix, align256};
use crate::error::FormatError;

const MAX_GOLDEN_IDS: usize = 64;
/// A longer shape is counted in a message, not printed.
const MAX_SHOWN_SIZES: usize = 8;
/// The sections that `training/FORMAT.md` §2 defines.
pub(super) const CHAT_TEMPLATE: &str = "chat_template";
const KNOWN_SECTIONS: [&str; 3] = [CHAT_TEMPLATE, "evaluation", "samples"];

/// Where everything of a `model.bin` lies.
///
/// It needs the file's length and its first `64 + header_nbytes` bytes, which [`read`](Self::read) asks for by
/// [`FormatError::Truncated`] where it is given fewer.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The hyperparameters.
    pub config: Config,
    /// Of the golden prompt, 1 to 64.
    pub golden_ids: Vec<u32>,
    /// The JSON header, counted from the start of the file.
    pub header: Range<u64>,
    /// The tokenizer's own flat form.
    pub tokenizer: Place,
    /// (V) f32 values.
    pub golden_logits: Place,
    /// The optional sections with their names.
    pub sections: Vec<(String, Place)>,
    /// All tensors, in the file's order.
    pub tensors: Vec<TensorPlace>,
    /// Length of the file.
    pub file_nbytes: u64,
}

/// Where a tensor lies.
#[derive(Debug, Clone)]
pub struct TensorPlace {
    /// Hugging Face's name.
    pub name: String,
    /// How the values are stored.
    pub dtype: Dtype,
    /// Rows, then columns; gains and biases have one dimension.
    pub shape: Vec<u64>,
    /// Its section.
    pub place: Place,
}

impl Layout {
    /// Check the prefix and the header of a file of `file_nbytes` bytes that begins with `head`.
    ///
    /// # Errors
    /// [`FormatError`], the first of `training/FORMAT.md` §4 that applies, as far as the header alone tells.
    pub fn read(head: &[u8], file_nbytes: u64) -> Result<Self, FormatError> {
        let prefix = Prefix::parse(head, file_nbytes)?;
        check_header_nbytes(prefix.header_nbytes)?;
        let range = prefix.header();
        // The header has at most 4 MiB, so its end fits any usize.
        let Some(json) = head.get(range.start as usize..range.end as usize) else {
            return Err(FormatError::Truncated {
                what: "header",
                expected: range.end,
                got: head.len() as u64,
            });
        };
        check_digest(json, &prefix.header_sha256, |expected, got| {
            FormatError::HeaderChecksum { expected, got }
        })?;
        let header = Header::parse(json)?;
        header.config.check()?;
        check_golden_ids(&header)?;
        check_known_sections(&header.sections)?;
        let dtypes = check_tensor_list(&header)?;
        let tensors: Vec<TensorPlace> = header
            .tensors
            .into_iter()
            .zip(dtypes)
            .map(|(entry, dtype)| TensorPlace {
                name: entry.name,
                dtype,
                shape: entry.shape,
                place: entry.place,
            })
            .collect();
        let layout = Self {
            config: header.config,
            golden_ids: header.golden_ids,
            header: range,
            tokenizer: header.tokenizer,
            golden_logits: header.golden_logits,
            sections: header
                .sections
                .into_iter()
                .map(|section| (section.name, section.place))
                .collect(),
            tensors,
            file_nbytes,
        };
        layout.check_places(prefix.data_offset)?;
        Ok(layout)
    }

    /// All sections in the file's order, with the name that an error gives them: tokenizer, golden logits, optional sections, tensors.
    pub fn places(&self) -> impl Iterator<Item = (String, &Place)> {
        let first = [
            ("tokenizer".to_owned(), &self.tokenizer),
            ("golden.logits".to_owned(), &self.golden_logits),
        ];
        let sections = self.sections.iter();
        let sections = sections.map(|(name, place)| (format!("section {name}"), place));
        let tensors = self.tensors.iter();
        let tensors = tensors.map(|tensor| (tensor.name.clone(), &tensor.place));
        first.into_iter().chain(sections).chain(tensors)
    }

    /// Compute every offset and length and compare it with the header's.
    fn check_places(&self, data_offset: u64) -> Result<(), FormatError> {
        let mut end = data_offset;
        let mut check = |path: String, place: &Place, nbytes: u64| {
            let offset = align256(end);
            for (field, expected, got) in [
                ("offset", offset, place.offset),
                ("nbytes", nbytes, place.nbytes),
            ] {
                if expected != got {
                    return Err(FormatError::BadOffset {
                        path: format!("{path}.{field}"),
                        expected,
                        got,
                    });
                }
            }
            // Some lengths are the header's own word: none may leave the file. Sums cannot overflow: sizes are bounded.
            if nbytes > self.file_nbytes || offset + nbytes > self.file_nbytes {
                return Err(FormatError::BadOffset {
                    path: format!("{path}.nbytes"),
                    expected: self.file_nbytes.saturating_sub(offset),
                    got: nbytes,
                });
            }
            end = offset + nbytes;
            Ok(())
        };
        check("tokenizer".into(), &self.tokenizer, self.tokenizer.nbytes)?;
        let logits_nbytes = u64::from(self.config.vocab_size) * 4;
        check("golden.logits".into(), &self.golden_logits, logits_nbytes)?;
        for (index, (_, place)) in self.sections.iter().enumerate() {
            check(format!("sections[{index}]"), place, place.nbytes)?;
        }
        for (index, tensor) in self.tensors.iter().enumerate() {
            let nbytes = tensor.dtype.nbytes(tensor.shape.iter().product());
            check(format!("tensors[{index}]"), &tensor.place, nbytes)?;
        }
        let expected = align256(end);
        if self.file_nbytes != expected {
            return Err(FormatError::BadLength {
                what: "file_nbytes",
                expected,
                got: self.file_nbytes,
            });
        }
        Ok(())
    }
}

fn check_golden_ids(header: &Header) -> Result<(), FormatError> {
    let most = MAX_GOLDEN_IDS.min(header.config.ctx_len as usize);
    let ids = &header.golden_ids;
    if !(1..=most).contains(&ids.len()) {
        return Err(bad_config(
            "golden.ids".into(),
            format!("1 to {most} ids"),
            ids.len().to_string(),
        ));
    }
    let vocab_size = header.config.vocab_size;
    match ids.iter().enumerate().find(|(_, id)| **id >= vocab_size) {
        Some((index, id)) => Err(bad_config(
            format!("golden.ids[{index}]"),
            format!("an id < vocab_size = {vocab_size}"),
            id.to_string(),
        )),
        None => Ok(()),
    }
}

fn check_known_sections(sections: &[SectionEntry]) -> Result<(), FormatError> {
    let is_known = |name: &str| KNOWN_SECTIONS.contains(&name);
    match sections
        .iter()
        .position(|section| section.required && !is_known(&section.name))
    {
        Some(index) => Err(FormatError::Unsupported {
            path: format!("sections[{index}].name"),
            expected: KNOWN_SECTIONS.join(", "),
            got: format!("\"{}\", which is required", sections[index].name),
        }),
        None => Ok(()),
    }
}

/// The tensors of the configuration, in the file's order; each matrix in a known dtype, gains and biases in f32.
fn check_tensor_list(header: &Header) -> Result<Vec<Dtype>, FormatError> {
    let expected = expected_tensors(&header.config);
    if header.tensors.len() != expected.len() {
        return Err(bad_config(
            "tensors".into(),
            format!("{} tensors", expected.len()),
            header.tensors.len().to_string(),
        ));
    }
    let mut dtypes = Vec::with_capacity(expected.len());
    for (index, (entry, expected)) in header.tensors.iter().zip(&expected).enumerate() {
        let path = |part: &str| format!("tensors[{index}].{part}");
        if entry.name != expected.name {
            return Err(bad_config(
                path("name"),
                expected.name.clone(),
                shown(&entry.name),
            ));
        }
        let Some(dtype) = Dtype::named(&entry.dtype) else {
            return Err(FormatError::Unsupported {
                path: path("dtype"),
                expected: Dtype::ALL.map(Dtype::name).join(", "),
                got: format!("\"{}\"", shown(&entry.dtype)),
            });
        };
        if expected.is_f32_always() && dtype != Dtype::F32 {
            return Err(bad_config(path("dtype"), "f32".into(), dtype.name().into()));
        }
        if entry.shape != expected.shape {
            return Err(bad_config(
                path("shape"),
                format!("{:?}", expected.shape),
                shown_shape(entry),
            ));
        }
        let columns = expected.shape[expected.shape.len() - 1];
        if !columns.is_multiple_of(dtype.block()) {
            let expected = format!(
                "rows of a multiple of {} weights for {}",
                dtype.block(),
                dtype.name()
            );
            return Err(bad_config(path("dtype"), expected, columns.to_string()));
        }
        dtypes.push(dtype);
    }
    Ok(dtypes)
}

fn shown_shape(entry: &TensorEntry) -> String {
    if entry.shape.len() <= MAX_SHOWN_SIZES {
        format!("{:?}", entry.shape)
    } else {
        format!("{} dimensions", entry.shape.len())
    }
}

fn bad_config(path: String, expected: String, got: String) -> FormatError {
    FormatError::BadConfig {
        path,
        expected,
        got,
    }
}
