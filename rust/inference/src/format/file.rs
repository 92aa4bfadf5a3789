//! A `model.bin` in memory, whole or without its tensors: its bytes are checked against the layout, and handed out as views.

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
use super::prefix::PREFIX_BYTES;
use crate::error::{EngineError, FormatError};

const MAX_TEMPLATE_BYTES: usize = 1 << 20;

/// A checked `model.bin`. It owns the file's bytes, or those before the first tensor; everything else is a view of them.
pub struct File {
    bytes: Bytes,
    layout: Layout,
}

/// A file that does not lie in memory, and can be read anywhere.
pub trait ReadAt {
    /// Fill `into` with the file's bytes from `offset` on.
    ///
    /// # Errors
    /// [`EngineError::Unreadable`].
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), EngineError>;
}

impl ReadAt for &[u8] {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), EngineError> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(into.len());
        let bytes = self.get(start..end).ok_or(EngineError::Unreadable {
            offset,
            nbytes: into.len() as u64,
            reason: format!("it has {} bytes", self.len()),
        })?;
        into.copy_from_slice(bytes);
        Ok(())
    }
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
    /// The values' bytes, little-endian; their address is a multiple of 4. None where the file was only opened ([`File::open`]).
    pub bytes: &'a [u8],
    /// Where they lie in the file.
    pub place: &'a Place,
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
        file.check()?;
        Ok(file)
    }

    /// Check and keep what stands before the first tensor of a file of `file_nbytes` bytes that lies elsewhere. The tensors are checked
    /// when they are read ([`for_each_part`](crate::weights::for_each_part)).
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and [`EngineError::Unreadable`].
    pub fn open(source: &dyn ReadAt, file_nbytes: u64) -> Result<Self, EngineError> {
        let mut head = Vec::new();
        read_up_to(source, &mut head, file_nbytes.min(PREFIX_BYTES))?;
        let layout = loop {
            match Layout::read(&head, file_nbytes) {
                // The prefix is sound, and the file is long enough.
                Err(FormatError::Truncated { expected, .. })
                    if (head.len() as u64..=file_nbytes).contains(&expected) =>
                {
                    read_up_to(source, &mut head, expected)?;
                }
                read => break read?,
            }
        };
        let end = layout
            .tensors
            .first()
            .map_or(file_nbytes, |tensor| tensor.place.offset);
        read_up_to(source, &mut head, end)?;
        let bytes = Bytes::new(head)?;
        let file = Self { bytes, layout };
        file.check()?;
        Ok(file)
    }

    /// Whether the tensors are in memory too.
    pub fn is_whole(&self) -> bool {
        self.bytes.as_slice().len() as u64 == self.layout.file_nbytes
    }

    /// Padding, digests and values of all sections that are in memory.
    fn check(&self) -> Result<(), FormatError> {
        self.check_padding()?;
        for (name, place) in self.places() {
            check_digest(self.section(place), &place.sha256, |expected, got| {
                FormatError::SectionChecksum {
                    section: name,
                    expected,
                    got,
                }
            })?;
        }
        let logits = self.section(&self.layout.golden_logits);
        check_finite("golden.logits", Dtype::F32, logits, 0)?;
        for tensor in self.tensors().filter(|_| self.is_whole()) {
            check_finite(tensor.name, tensor.dtype, tensor.bytes, 0)?;
        }
        if let Some(template) = self.optional(CHAT_TEMPLATE) {
            check_template(template)?;
        }
        Ok(())
    }

    /// The sections that are in memory.
    fn places(&self) -> impl Iterator<Item = (String, &Place)> {
        let held = self.bytes.as_slice().len() as u64;
        let places = self.layout.places();
        places.take_while(move |(_, place)| place.offset + place.nbytes <= held)
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
            bytes: if self.is_whole() {
                self.section(&tensor.place)
            } else {
                &[]
            },
            place: &tensor.place,
        }
    }

    fn check_padding(&self) -> Result<(), FormatError> {
        let bytes = self.bytes.as_slice();
        let mut end = self.layout.header.end as usize;
        let sections = self.places().map(|(_, place)| range(place));
        for section in sections.chain(core::iter::once(bytes.len()..bytes.len())) {
            check_zeros(&bytes[end..section.start], end as u64)?;
            end = section.end;
        }
        Ok(())
    }
}

/// Make `head`, the beginning of the file, `nbytes` long.
fn read_up_to(source: &dyn ReadAt, head: &mut Vec<u8>, nbytes: u64) -> Result<(), EngineError> {
    let from = head.len();
    let missing = (nbytes as usize).saturating_sub(from);
    head.try_reserve_exact(missing)
        .map_err(|_| EngineError::OutOfMemory {
            what: "the sections before the tensors",
            needed_bytes: nbytes,
        })?;
    head.resize(from + missing, 0);
    source.read_at(from as u64, &mut head[from..])
}

/// Find the first byte of the padding from `offset` on that is not zero.
pub(crate) fn check_zeros(padding: &[u8], offset: u64) -> Result<(), FormatError> {
    match padding.iter().position(|byte| *byte != 0) {
        Some(index) => Err(FormatError::NonZeroPadding {
            offset: offset + index as u64,
            got: padding[index],
        }),
        None => Ok(()),
    }
}

/// Where a section lies in memory: it is there, so its place fits a usize.
fn range(place: &Place) -> Range<usize> {
    place.offset as usize..(place.offset + place.nbytes) as usize
}

/// Find the first NaN or infinity of a part of a section that begins at its weight `first`. All exponent bits set means one of them,
/// in both formats; a quant is always finite, its scale is an f16.
pub(crate) fn check_finite(
    section: &str,
    dtype: Dtype,
    bytes: &[u8],
    first: u64,
) -> Result<(), FormatError> {
    let found = if dtype == Dtype::F32 {
        let values: &[f32] = bytemuck::cast_slice(bytes);
        let index = values.iter().position(|value| !value.is_finite());
        index.map(|index| (index, values[index]))
    } else {
        let weights = bytes.len() as u64 / dtype.nbytes(dtype.block()) * dtype.block();
        let scales = if dtype == Dtype::F16 {
            0
        } else {
            dtype.quant_nbytes(weights) as usize
        };
        let values: &[u16] = bytemuck::cast_slice(&bytes[scales..]);
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
            index: first + index as u64,
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
