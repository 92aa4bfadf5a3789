//! A whole `model.bin` in memory: its bytes are checked against the layout, and handed out as views.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use super::bytes::Bytes;
use super::digest::check_digest;
use super::dtype::Dtype;
use super::header::Place;
use super::layout::{CHAT_TEMPLATE, Layout};
use crate::error::FormatError;

const MAX_TEMPLATE_BYTES: usize = 1 << 20;

/// A checked `model.bin`. It owns the file's bytes; everything else is a view of them.
pub struct File {
    bytes: Bytes,
    layout: Layout,
}

/// A tensor of the file.
#[derive(Debug, Clone, Copy)]
pub struct TensorView<'a> {
    /// Hugging Face's name.
    pub name: &'a str,
    /// How the values are stored.
    pub dtype: Dtype,
    /// Rows, then columns; gains and biases have one dimension.
    pub shape: &'a [u64],
    /// The values' bytes, little-endian; their address is a multiple of 4.
    pub bytes: &'a [u8],
}

impl File {
    /// Check every rule of `training/FORMAT.md` and take the bytes over.
    ///
    /// # Errors
    /// [`FormatError`], the first of §4's list that applies.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, FormatError> {
        let layout = Layout::read(&bytes, bytes.len() as u64)?;
        let bytes = Bytes::new(bytes)?;
        let file = Self { bytes, layout };
        file.check_padding()?;
        for (name, place) in file.layout.places() {
            check_digest(file.section(place), &place.sha256, |expected, got| {
                FormatError::SectionChecksum {
                    section: name,
                    expected,
                    got,
                }
            })?;
        }
        let logits = file.section(&file.layout.golden_logits);
        check_finite("golden.logits", Dtype::F32, logits)?;
        for tensor in file.tensors() {
            check_finite(tensor.name, tensor.dtype, tensor.bytes)?;
        }
        if let Some(template) = file.optional(CHAT_TEMPLATE) {
            check_template(template)?;
        }
        Ok(file)
    }

    /// The header, checked.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The bytes of a section.
    pub fn section(&self, place: &Place) -> &[u8] {
        &self.bytes.as_slice()[range(place)]
    }

    /// The JSON header as it stands in the file.
    pub fn header_json(&self) -> &str {
        let header = &self.layout.header;
        core::str::from_utf8(&self.bytes.as_slice()[header.start as usize..header.end as usize])
            .expect("the header was checked to be ASCII")
    }

    /// The bytes of the optional section of this name.
    pub fn optional(&self, name: &str) -> Option<&[u8]> {
        let mut sections = self.layout.sections.iter();
        let (_, place) = sections.find(|(each, _)| each == name)?;
        Some(self.section(place))
    }

    /// The chat template, where there is one.
    pub fn chat_template(&self) -> Option<&str> {
        self.optional(CHAT_TEMPLATE).map(|template| {
            core::str::from_utf8(template).expect("the chat template was checked to be UTF-8")
        })
    }

    /// All tensors, in the file's order.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorView<'_>> {
        (0..self.layout.tensors.len()).map(|index| self.tensor(index))
    }

    /// The tensor at this place of the list.
    pub fn tensor(&self, index: usize) -> TensorView<'_> {
        let tensor = &self.layout.tensors[index];
        TensorView {
            name: &tensor.name,
            dtype: tensor.dtype,
            shape: &tensor.shape,
            bytes: self.section(&tensor.place),
        }
    }

    fn check_padding(&self) -> Result<(), FormatError> {
        let bytes = self.bytes.as_slice();
        let mut end = self.layout.header.end as usize;
        let sections = self.layout.places().map(|(_, place)| range(place));
        for section in sections.chain(core::iter::once(bytes.len()..bytes.len())) {
            let padding = &bytes[end..section.start];
            if let Some(index) = padding.iter().position(|byte| *byte != 0) {
                return Err(FormatError::NonZeroPadding {
                    offset: (end + index) as u64,
                    got: padding[index],
                });
            }
            end = section.end;
        }
        Ok(())
    }
}

/// Where a section lies in memory: the file is there whole, so its places fit a usize.
fn range(place: &Place) -> Range<usize> {
    place.offset as usize..(place.offset + place.nbytes) as usize
}

/// Find the first NaN or infinity. All exponent bits set means one of them, in both formats; a quant is always finite, its scale is
/// an f16.
fn check_finite(section: &str, dtype: Dtype, bytes: &[u8]) -> Result<(), FormatError> {
    let found = if dtype == Dtype::F32 {
        let values: &[f32] = bytemuck::cast_slice(bytes);
        let index = values.iter().position(|value| !value.is_finite());
        index.map(|index| (index, values[index]))
    } else {
        let weights = bytes.len() as u64 / dtype.nbytes(dtype.block()) * dtype.block();
        let first = if dtype == Dtype::F16 {
            0
        } else {
            dtype.quant_nbytes(weights) as usize
        };
        let values: &[u16] = bytemuck::cast_slice(&bytes[first..]);
        let index = values.iter().position(|bits| bits & 0x7c00 == 0x7c00);
        index.map(|index| {
            let is_infinite = values[index] & 0x03ff == 0;
            let value = if is_infinite { f32::INFINITY } else { f32::NAN };
            (index * dtype.block() as usize, value)
        })
    };
    match found {
        Some((index, got)) => Err(FormatError::NotFinite {
            section: section.to_owned(),
            index: index as u64,
            got,
        }),
        None => Ok(()),
    }
}

fn check_template(template: &[u8]) -> Result<(), FormatError> {
    let bad = |expected: String, got: String| FormatError::BadSection {
        section: format!("section {CHAT_TEMPLATE}"),
        expected,
        got,
    };
    if template.len() > MAX_TEMPLATE_BYTES {
        let expected = format!("at most {MAX_TEMPLATE_BYTES} bytes");
        return Err(bad(expected, format!("{}", template.len())));
    }
    core::str::from_utf8(template).map(drop).map_err(|error| {
        let at = error.valid_up_to();
        bad(
            "UTF-8".into(),
            format!("byte {:#04x} at {at}", template[at]),
        )
    })
}
