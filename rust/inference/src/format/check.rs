//! The checks of `training/FORMAT.md` §4 that look at the whole file: the prefix, the tensor list, the layout, the padding, the
//! digests and the values. Those of the header's text are in `canonical.rs` and `header.rs`, those of the configuration in `config.rs`.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::ops::Range;

use sha2::{Digest, Sha256};

use super::header::{Header, SectionEntry, TensorEntry, shown};
use super::layout::{Dtype, align256, expected_tensors};
use crate::error::FormatError;

const MAGIC: &[u8; 8] = b"POCKETLM";
const VERSION: u32 = 1;
const PREFIX_BYTES: u64 = 64;
const MAX_GOLDEN_IDS: usize = 64;
/// A longer shape is counted in a message, not printed.
const MAX_SHOWN_SIZES: usize = 8;

/// The first 64 bytes, consistent with each other and with the file's length.
pub(super) struct Prefix {
    pub header_nbytes: u64,
    pub data_offset: u64,
    pub file_nbytes: u64,
    pub header_sha256: String,
}

impl Prefix {
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let got = bytes.len() as u64;
        let Some((prefix, _)) = bytes.split_first_chunk::<{ PREFIX_BYTES as usize }>() else {
            return Err(FormatError::Truncated {
                what: "prefix",
                expected: PREFIX_BYTES,
                got,
            });
        };
        let magic: [u8; 8] = field(prefix, 0);
        if &magic != MAGIC {
            return Err(FormatError::BadMagic { got: magic });
        }
        let version = u32::from_le_bytes(field(prefix, 8));
        if version.swap_bytes() == VERSION {
            return Err(FormatError::ByteOrder { got: version });
        }
        if version != VERSION {
            return Err(FormatError::UnsupportedVersion {
                expected: VERSION,
                got: version,
            });
        }
        let header_nbytes = u64::from(u32::from_le_bytes(field(prefix, 12)));
        let data_offset = u64::from_le_bytes(field(prefix, 16));
        let file_nbytes = u64::from_le_bytes(field(prefix, 24));
        let expected = align256(PREFIX_BYTES + header_nbytes);
        if data_offset != expected {
            return Err(FormatError::BadLength {
                what: "data_offset",
                expected,
                got: data_offset,
            });
        }
        if file_nbytes < data_offset {
            return Err(FormatError::BadLength {
                what: "file_nbytes",
                expected: data_offset,
                got: file_nbytes,
            });
        }
        if got < PREFIX_BYTES + header_nbytes {
            return Err(FormatError::Truncated {
                what: "header",
                expected: PREFIX_BYTES + header_nbytes,
                got,
            });
        }
        if got < file_nbytes {
            return Err(FormatError::Truncated {
                what: "file",
                expected: file_nbytes,
                got,
            });
        }
        if got > file_nbytes {
            return Err(FormatError::BadLength {
                what: "the file",
                expected: file_nbytes,
                got,
            });
        }
        let header_sha256 = hex(&prefix[32..]);
        Ok(Self {
            header_nbytes,
            data_offset,
            file_nbytes,
            header_sha256,
        })
    }

    /// Where the JSON lies; the file was checked to be that long.
    pub fn header(&self) -> Range<usize> {
        PREFIX_BYTES as usize..(PREFIX_BYTES + self.header_nbytes) as usize
    }
}

/// `N` bytes of the prefix.
fn field<const N: usize>(prefix: &[u8; PREFIX_BYTES as usize], offset: usize) -> [u8; N] {
    core::array::from_fn(|i| prefix[offset + i])
}

pub(super) fn check_golden_ids(header: &Header) -> Result<(), FormatError> {
    let most = MAX_GOLDEN_IDS.min(header.config.ctx_len as usize);
    let ids = &header.golden_ids;
    if !(1..=most).contains(&ids.len()) {
        return Err(bad_config(
            "golden.ids",
            format!("1 to {most} ids"),
            ids.len().to_string(),
        ));
    }
    match ids
        .iter()
        .enumerate()
        .find(|(_, id)| **id >= header.config.vocab_size)
    {
        Some((index, id)) => {
            let expected = format!("an id < vocab_size = {}", header.config.vocab_size);
            Err(bad_config(
                &format!("golden.ids[{index}]"),
                expected,
                id.to_string(),
            ))
        }
        None => Ok(()),
    }
}

/// An entry of `tensors` whose name, shape and dtype are the expected ones.
pub(super) struct CheckedTensor<'a> {
    pub entry: &'a TensorEntry,
    pub dtype: Dtype,
}

pub(super) fn check_tensor_list(header: &Header) -> Result<Vec<CheckedTensor<'_>>, FormatError> {
    let expected = expected_tensors(&header.config);
    if header.tensors.len() != expected.len() {
        return Err(bad_config(
            "tensors",
            format!("{} tensors", expected.len()),
            header.tensors.len().to_string(),
        ));
    }
    let matrix_dtype = &header.tensors[0].dtype;
    let mut checked = Vec::with_capacity(expected.len());
    for (index, (entry, expected)) in header.tensors.iter().zip(&expected).enumerate() {
        let path = |part: &str| format!("tensors[{index}].{part}");
        if entry.name != expected.name {
            return Err(bad_config(
                &path("name"),
                expected.name.clone(),
                shown(&entry.name),
            ));
        }
        let dtype = match entry.dtype.as_str() {
            "f32" => Dtype::F32,
            "f16" => Dtype::F16,
            reserved @ ("q8_0" | "q4_0") => {
                let got =
                    format!("{reserved}, which is reserved and not read by version {VERSION}");
                return Err(bad_config(&path("dtype"), "f32 or f16".into(), got));
            }
            other => {
                return Err(bad_config(
                    &path("dtype"),
                    "f32 or f16".into(),
                    shown(other),
                ));
            }
        };
        let expected_dtype = if expected.f32_always {
            "f32"
        } else {
            matrix_dtype
        };
        if entry.dtype != expected_dtype {
            return Err(bad_config(
                &path("dtype"),
                expected_dtype.to_owned(),
                shown(&entry.dtype),
            ));
        }
        if entry.shape != expected.shape {
            return Err(bad_config(
                &path("shape"),
                format!("{:?}", expected.shape),
                if entry.shape.len() <= MAX_SHOWN_SIZES {
                    format!("{:?}", entry.shape)
                } else {
                    format!("{} dimensions", entry.shape.len())
                },
            ));
        }
        checked.push(CheckedTensor { entry, dtype });
    }
    Ok(checked)
}

fn bad_config(path: &str, expected: String, got: String) -> FormatError {
    FormatError::BadConfig {
        path: path.to_owned(),
        expected,
        got,
    }
}

/// A section whose place was computed and found in the header.
pub(super) struct Section<'a> {
    pub name: &'a str,
    pub range: Range<usize>,
    pub sha256: &'a str,
    /// How to look for NaN and infinity; `None` for bytes.
    pub dtype: Option<Dtype>,
}

/// Compute every offset and compare it with the header: tokenizer, golden logits, tensors in their order.
pub(super) fn check_layout<'a>(
    prefix: &Prefix,
    header: &'a Header,
    tensors: &[CheckedTensor<'a>],
) -> Result<Vec<Section<'a>>, FormatError> {
    let mut sections = Vec::with_capacity(2 + tensors.len());
    let mut end = prefix.data_offset;
    let mut place = |path: String, name, entry: &'a SectionEntry, nbytes: u64, dtype| {
        let offset = align256(end);
        for (field, expected, got) in [
            ("offset", offset, entry.offset),
            ("nbytes", nbytes, entry.nbytes),
        ] {
            if expected != got {
                return Err(FormatError::BadOffset {
                    path: format!("{path}.{field}"),
                    expected,
                    got,
                });
            }
        }
        // The tokenizer's length is the header's own word: it must not leave the file. Sums cannot overflow: sizes are bounded.
        if nbytes > prefix.file_nbytes || offset + nbytes > prefix.file_nbytes {
            let expected = prefix.file_nbytes.saturating_sub(offset);
            return Err(FormatError::BadOffset {
                path: format!("{path}.nbytes"),
                expected,
                got: nbytes,
            });
        }
        end = offset + nbytes;
        sections.push(Section {
            name,
            range: offset as usize..end as usize,
            sha256: &entry.sha256,
            dtype,
        });
        Ok(())
    };
    let tokenizer = &header.tokenizer;
    place(
        "tokenizer".into(),
        "tokenizer",
        tokenizer,
        tokenizer.nbytes,
        None,
    )?;
    let logits_nbytes = u64::from(header.config.vocab_size) * 4;
    place(
        "golden.logits".into(),
        "golden.logits",
        &header.golden_logits,
        logits_nbytes,
        Some(Dtype::F32),
    )?;
    for (index, tensor) in tensors.iter().enumerate() {
        let entry = tensor.entry;
        let nbytes = entry.shape.iter().product::<u64>() * tensor.dtype.nbytes();
        place(
            format!("tensors[{index}]"),
            &entry.name,
            &entry.section,
            nbytes,
            Some(tensor.dtype),
        )?;
    }
    let expected = align256(end);
    if prefix.file_nbytes != expected {
        return Err(FormatError::BadLength {
            what: "file_nbytes",
            expected,
            got: prefix.file_nbytes,
        });
    }
    Ok(sections)
}

pub(super) fn check_padding(
    bytes: &[u8],
    prefix: &Prefix,
    sections: &[Section<'_>],
) -> Result<(), FormatError> {
    let mut end = prefix.header().end;
    let starts = sections
        .iter()
        .map(|section| section.range.start)
        .chain([bytes.len()]);
    let ends = sections.iter().map(|section| section.range.end);
    for (start, next_end) in starts.zip(ends.chain([bytes.len()])) {
        if let Some(index) = bytes[end..start].iter().position(|byte| *byte != 0) {
            return Err(FormatError::NonZeroPadding {
                offset: (end + index) as u64,
                got: bytes[end + index],
            });
        }
        end = next_end;
    }
    Ok(())
}

pub(super) fn check_sections(bytes: &[u8], sections: &[Section<'_>]) -> Result<(), FormatError> {
    for section in sections {
        check_digest(
            &bytes[section.range.clone()],
            section.sha256,
            |expected, got| FormatError::SectionChecksum {
                section: section.name.to_owned(),
                expected,
                got,
            },
        )?;
    }
    Ok(())
}

pub(super) fn check_finite(bytes: &[u8], sections: &[Section<'_>]) -> Result<(), FormatError> {
    for section in sections {
        let bytes = &bytes[section.range.clone()];
        // All exponent bits set means NaN or infinity, in both formats.
        let found = match section.dtype {
            None => None,
            Some(Dtype::F32) => {
                let values: &[f32] = bytemuck::cast_slice(bytes);
                values
                    .iter()
                    .position(|value| !value.is_finite())
                    .map(|index| (index, values[index]))
            }
            Some(Dtype::F16) => {
                let values: &[u16] = bytemuck::cast_slice(bytes);
                let found = values.iter().position(|bits| bits & 0x7c00 == 0x7c00);
                found.map(|index| {
                    (
                        index,
                        if values[index] & 0x03ff == 0 {
                            f32::INFINITY
                        } else {
                            f32::NAN
                        },
                    )
                })
            }
        };
        if let Some((index, got)) = found {
            return Err(FormatError::NotFinite {
                section: section.name.to_owned(),
                index: index as u64,
                got,
            });
        }
    }
    Ok(())
}

pub(super) fn check_digest(
    bytes: &[u8],
    expected: &str,
    error: impl FnOnce(String, String) -> FormatError,
) -> Result<(), FormatError> {
    let got = hex(&Sha256::digest(bytes));
    if got == expected {
        Ok(())
    } else {
        Err(error(expected.to_owned(), got))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(
        String::with_capacity(bytes.len() * 2),
        |mut digits, byte| {
            write!(digits, "{byte:02x}").expect("writing to a String does not fail");
            digits
        },
    )
}
