//! `model.bin`, version 1: bytes in, a [`Model`] out. The specification is `training/FORMAT.md`; this is its one reader in Rust.
//!
//! Checks are made in the order of its §4, and nothing is allocated from a size that was not compared with the file's length.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::ops::Range;

use sha2::{Digest, Sha256};

mod bytes;
mod canonical;
mod config;
mod header;
mod layout;

pub use config::Config;
pub use layout::Dtype;

use crate::cpu::Weights;
use crate::error::FormatError;
use bytes::Bytes;
use header::{Header, SectionEntry, TensorEntry};
use layout::{TENSORS_A_LAYER, align256, expected_tensors};

const MAGIC: &[u8; 8] = b"POCKETLM";
const VERSION: u32 = 1;
const PREFIX_BYTES: u64 = 64;
const MAX_GOLDEN_IDS: usize = 64;

/// A checked `model.bin`. It owns the file's bytes; everything else is a view of them.
pub struct Model {
    bytes: Bytes,
    config: Config,
    header: Range<usize>,
    tokenizer: Range<usize>,
    chat_template: Option<String>,
    golden_ids: Vec<u32>,
    golden_logits: Range<usize>,
    tensors: Vec<TensorEntryChecked>,
}

struct TensorEntryChecked {
    name: String,
    dtype: Dtype,
    shape: Vec<u64>,
    range: Range<usize>,
}

/// A tensor of the file.
#[derive(Debug, Clone, Copy)]
pub struct TensorView<'a> {
    /// Hugging Face's name.
    pub name: &'a str,
    /// How the values are stored.
    pub dtype: Dtype,
    /// Rows, then columns; a gain has one dimension.
    pub shape: &'a [u64],
    /// The values' bytes, little-endian; their address is a multiple of 4.
    pub bytes: &'a [u8],
}

impl<'a> TensorView<'a> {
    /// The values, in place.
    pub fn weights(&self) -> Weights<'a> {
        match self.dtype {
            Dtype::F32 => Weights::F32(bytemuck::cast_slice(self.bytes)),
            Dtype::F16 => Weights::F16(bytemuck::cast_slice(self.bytes)),
        }
    }

    /// The values of an f32 tensor.
    fn f32_values(&self) -> &'a [f32] {
        bytemuck::cast_slice(self.bytes)
    }
}

/// A prompt and torch's logits for its last position, for an engine to check itself.
#[derive(Debug, Clone, Copy)]
pub struct Golden<'a> {
    /// Token ids, 1 to 64.
    pub ids: &'a [u32],
    /// (V)
    pub logits: &'a [f32],
}

/// The weights of one decoder layer.
#[derive(Debug, Clone, Copy)]
pub struct LayerWeights<'a> {
    /// (C)
    pub input_layernorm: &'a [f32],
    /// (H·D, C)
    pub q_proj: Weights<'a>,
    /// (G·D, C)
    pub k_proj: Weights<'a>,
    /// (G·D, C)
    pub v_proj: Weights<'a>,
    /// (C, H·D)
    pub o_proj: Weights<'a>,
    /// (C)
    pub post_attention_layernorm: &'a [f32],
    /// (F, C)
    pub gate_proj: Weights<'a>,
    /// (F, C)
    pub up_proj: Weights<'a>,
    /// (C, F)
    pub down_proj: Weights<'a>,
}

impl Model {
    /// Check every rule of `training/FORMAT.md` and take the bytes over.
    ///
    /// # Errors
    /// [`FormatError`], the first of §4's list that applies.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, FormatError> {
        let prefix = Prefix::parse(&bytes)?;
        let json = &bytes[prefix.header()];
        check_digest(json, &prefix.header_sha256, |expected, got| {
            FormatError::HeaderChecksum { expected, got }
        })?;
        let header = Header::parse(json)?;
        header.config.check()?;
        check_golden_ids(&header)?;
        let tensors = check_tensor_list(&header)?;
        let bytes = Bytes::new(bytes)?;
        let data = bytes.as_slice();
        let sections = check_layout(&prefix, &header, &tensors)?;
        check_padding(data, &prefix, &sections)?;
        check_sections(data, &sections)?;
        check_finite(data, &sections)?;
        let mut ranges = sections.iter().map(|section| section.range.clone());
        // check_layout lists the tokenizer, the golden logits and then every tensor.
        let tokenizer = ranges.next().unwrap_or_default();
        let golden_logits = ranges.next().unwrap_or_default();
        let checked = tensors
            .into_iter()
            .zip(ranges)
            .map(|(tensor, range)| TensorEntryChecked {
                name: tensor.entry.name.clone(),
                dtype: tensor.dtype,
                shape: tensor.entry.shape.clone(),
                range,
            });
        Ok(Self {
            header: prefix.header(),
            tokenizer,
            golden_logits,
            tensors: checked.collect(),
            config: header.config,
            chat_template: header.chat_template,
            golden_ids: header.golden_ids,
            bytes,
        })
    }

    /// The hyperparameters.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The JSON header as it stands in the file.
    pub fn header_json(&self) -> &str {
        core::str::from_utf8(&self.bytes.as_slice()[self.header.clone()])
            .expect("the header was checked to be ASCII")
    }

    /// The tokenizer's own flat form, opaque to the engine.
    pub fn tokenizer_bytes(&self) -> &[u8] {
        &self.bytes.as_slice()[self.tokenizer.clone()]
    }

    /// The chat template, where there is one.
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    /// The golden prompt and its logits.
    pub fn golden(&self) -> Golden<'_> {
        let logits = bytemuck::cast_slice(&self.bytes.as_slice()[self.golden_logits.clone()]);
        Golden {
            ids: &self.golden_ids,
            logits,
        }
    }

    /// Length of the file.
    pub fn file_nbytes(&self) -> usize {
        self.bytes.as_slice().len()
    }

    /// All tensors, in the file's order.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorView<'_>> {
        (0..self.tensors.len()).map(|index| self.view(index))
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<TensorView<'_>> {
        self.tensors().find(|tensor| tensor.name == name)
    }

    /// The dtype of all matrices (gains are f32 in every file).
    pub fn weight_dtype(&self) -> Dtype {
        self.tensors[0].dtype
    }

    /// `model.embed_tokens.weight`: (V, C).
    pub fn embedding(&self) -> Weights<'_> {
        self.view(0).weights()
    }

    /// The weights of layer `index`, which is below `n_layer`.
    pub fn layer(&self, index: usize) -> LayerWeights<'_> {
        assert!(index < self.config.n_layer as usize);
        let first = 1 + index * TENSORS_A_LAYER;
        LayerWeights {
            input_layernorm: self.view(first).f32_values(),
            q_proj: self.view(first + 1).weights(),
            k_proj: self.view(first + 2).weights(),
            v_proj: self.view(first + 3).weights(),
            o_proj: self.view(first + 4).weights(),
            post_attention_layernorm: self.view(first + 5).f32_values(),
            gate_proj: self.view(first + 6).weights(),
            up_proj: self.view(first + 7).weights(),
            down_proj: self.view(first + 8).weights(),
        }
    }

    /// The gain of the last norm, (C), and the output projection, (V, C): `lm_head.weight`, or the embedding where they are tied.
    pub fn output(&self) -> (&[f32], Weights<'_>) {
        let norm = 1 + self.config.n_layer as usize * TENSORS_A_LAYER;
        let projection = if self.config.tie_embeddings {
            0
        } else {
            norm + 1
        };
        (
            self.view(norm).f32_values(),
            self.view(projection).weights(),
        )
    }

    fn view(&self, index: usize) -> TensorView<'_> {
        let tensor = &self.tensors[index];
        let bytes = &self.bytes.as_slice()[tensor.range.clone()];
        TensorView {
            name: &tensor.name,
            dtype: tensor.dtype,
            shape: &tensor.shape,
            bytes,
        }
    }
}

/// The first 64 bytes, consistent with each other and with the file's length.
struct Prefix {
    header_nbytes: u64,
    data_offset: u64,
    file_nbytes: u64,
    header_sha256: String,
}

impl Prefix {
    fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
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
    fn header(&self) -> Range<usize> {
        PREFIX_BYTES as usize..(PREFIX_BYTES + self.header_nbytes) as usize
    }
}

/// `N` bytes of the prefix.
fn field<const N: usize>(prefix: &[u8; PREFIX_BYTES as usize], offset: usize) -> [u8; N] {
    core::array::from_fn(|i| prefix[offset + i])
}

fn check_golden_ids(header: &Header) -> Result<(), FormatError> {
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
struct CheckedTensor<'a> {
    entry: &'a TensorEntry,
    dtype: Dtype,
}

fn check_tensor_list(header: &Header) -> Result<Vec<CheckedTensor<'_>>, FormatError> {
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
                entry.name.clone(),
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
                    other.to_owned(),
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
                entry.dtype.clone(),
            ));
        }
        if entry.shape != expected.shape {
            return Err(bad_config(
                &path("shape"),
                format!("{:?}", expected.shape),
                format!("{:?}", entry.shape),
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
struct Section<'a> {
    name: &'a str,
    range: Range<usize>,
    sha256: &'a str,
    /// How to look for NaN and infinity; `None` for bytes.
    dtype: Option<Dtype>,
}

/// Compute every offset and compare it with the header: tokenizer, golden logits, tensors in their order.
fn check_layout<'a>(
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

fn check_padding(
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

fn check_sections(bytes: &[u8], sections: &[Section<'_>]) -> Result<(), FormatError> {
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

fn check_finite(bytes: &[u8], sections: &[Section<'_>]) -> Result<(), FormatError> {
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

fn check_digest(
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
