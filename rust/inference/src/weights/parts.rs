//! A tensor's rows a part at a time: in place where the file lies in memory, else read, and checked on the way.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use super::Weights;
use crate::error::{EngineError, FormatError};
use crate::format::{Digester, Dtype, ReadAt, TensorView, check_finite, check_zeros};

/// A part has about so many bytes: few calls, and little memory beside a model of any size.
const PART_NBYTES: u64 = 4 << 20;

/// Sections begin at multiples of this.
const ALIGNMENT: u64 = 256;

/// Give the rows of `tensor` to `take` in order: the first row of a part, and the weights of the part's whole rows.
///
/// Without a source the tensor is in memory, checked already, and nothing is copied. With one, no more than a part is held at a time, in
/// `scratch`, and the error for a byte that is wrong comes after some parts were given.
///
/// # Errors
/// [`EngineError::Unreadable`]; of the format's [`FormatError::NotFinite`], [`FormatError::SectionChecksum`] and
/// [`FormatError::NonZeroPadding`] behind the tensor.
pub fn for_each_part(
    tensor: TensorView<'_>,
    source: Option<&dyn ReadAt>,
    scratch: &mut Vec<u32>,
    take: impl FnMut(u64, Weights<'_>),
) -> Result<(), EngineError> {
    match source {
        None => {
            in_memory(tensor, PART_NBYTES, take);
            Ok(())
        }
        Some(source) => read(tensor, source, PART_NBYTES, scratch, take),
    }
}

/// Rows, weights of a row, and rows of a part.
fn sizes(tensor: TensorView<'_>, part_nbytes: u64) -> (u64, u64, u64) {
    let width = tensor.shape[tensor.shape.len() - 1];
    let rows = tensor.shape.iter().product::<u64>() / width;
    (
        rows,
        width,
        (part_nbytes / tensor.dtype.nbytes(width)).max(1),
    )
}

fn in_memory(tensor: TensorView<'_>, part_nbytes: u64, mut take: impl FnMut(u64, Weights<'_>)) {
    let (rows, width, per_part) = sizes(tensor, part_nbytes);
    let all = Weights::of(tensor);
    for first in (0..rows).step_by(per_part as usize) {
        let from = (first * width) as usize;
        let n = (per_part.min(rows - first) * width) as usize;
        take(first, all.part(from, n));
    }
}

fn read(
    tensor: TensorView<'_>,
    source: &dyn ReadAt,
    part_nbytes: u64,
    scratch: &mut Vec<u32>,
    mut take: impl FnMut(u64, Weights<'_>),
) -> Result<(), EngineError> {
    let (rows, width, per_part) = sizes(tensor, part_nbytes);
    let (dtype, place) = (tensor.dtype, tensor.place);
    let scales = place.offset + dtype.quant_nbytes(rows * width);
    let mut digester = Digester::default();
    let mut finite = Ok(());
    for first in (0..rows).step_by(per_part as usize) {
        let (before, weights) = (first * width, per_part.min(rows - first) * width);
        let quants = dtype.quant_nbytes(weights) as usize;
        let bytes = room(scratch, dtype.nbytes(weights))?;
        let (own, of_scales) = bytes.split_at_mut(quants);
        source.read_at(place.offset + dtype.quant_nbytes(before), own)?;
        digester.update(own);
        if !of_scales.is_empty() {
            source.read_at(scales + scales_nbytes(dtype, before), of_scales)?;
        }
        finite = finite.and_then(|()| check_finite(tensor.name, dtype, bytes, before));
        take(first, Weights::of_bytes(dtype, bytes));
    }
    // The file has all scales behind all quants, and its digest is of that order.
    let mut offset = scales;
    let end = place.offset + place.nbytes;
    while offset < end {
        let bytes = room(scratch, part_nbytes.min(end - offset))?;
        source.read_at(offset, bytes)?;
        digester.update(bytes);
        offset += bytes.len() as u64;
    }
    digester.check(&place.sha256, |expected, got| {
        FormatError::SectionChecksum {
            section: tensor.name.to_owned(),
            expected,
            got,
        }
    })?;
    finite?;
    let padding = room(scratch, end.next_multiple_of(ALIGNMENT) - end)?;
    if !padding.is_empty() {
        source.read_at(end, padding)?;
    }
    Ok(check_zeros(padding, end)?)
}

/// Bytes of the scales of so many weights.
fn scales_nbytes(dtype: Dtype, weights: u64) -> u64 {
    dtype.nbytes(weights) - dtype.quant_nbytes(weights)
}

/// `nbytes` bytes of `scratch`, at an address that is a multiple of 4.
fn room(scratch: &mut Vec<u32>, nbytes: u64) -> Result<&mut [u8], EngineError> {
    let words = (nbytes as usize).div_ceil(4);
    if words > scratch.len() {
        let missing = words - scratch.len();
        scratch
            .try_reserve_exact(missing)
            .map_err(|_| EngineError::OutOfMemory {
                what: "a part of a tensor",
                needed_bytes: nbytes,
            })?;
        scratch.resize(words, 0);
    }
    Ok(&mut bytemuck::cast_slice_mut(scratch)[..nbytes as usize])
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::format::Place;

    /// Bytes that are finite in each dtype: no exponent is full.
    fn sound_bytes(nbytes: u64) -> Vec<u8> {
        (0..nbytes).map(|i| (i * 37 % 59) as u8).collect()
    }

    /// A file of `offset` zeros, a tensor and its padding.
    fn file(dtype: Dtype, shape: &[u64], offset: u64) -> (Vec<u8>, Place) {
        let section = sound_bytes(dtype.nbytes(shape.iter().product()));
        let mut digester = Digester::default();
        digester.update(&section);
        let place = Place {
            offset,
            nbytes: section.len() as u64,
            sha256: digester.hex(),
        };
        let mut bytes = vec![0; offset as usize];
        bytes.extend(section);
        bytes.resize(bytes.len().next_multiple_of(256), 0);
        (bytes, place)
    }

    fn view<'a>(
        dtype: Dtype,
        shape: &'a [u64],
        bytes: &'a [u8],
        place: &'a Place,
    ) -> TensorView<'a> {
        TensorView {
            name: "w",
            dtype,
            shape,
            bytes,
            place,
        }
    }

    /// The values of all parts, joined; each part must begin where the one before ended.
    fn joined(width: u64, give: impl FnOnce(&mut dyn FnMut(u64, Weights<'_>))) -> Vec<f32> {
        let mut all: Vec<f32> = Vec::new();
        give(&mut |first, weights| {
            assert_eq!(all.len() as u64, first * width);
            all.extend((0..weights.len()).map(|index| weights.get(index)));
        });
        all
    }

    #[test]
    fn the_parts_of_each_dtype_are_the_tensor_in_memory_and_outside() {
        for (dtype, shape) in [
            (Dtype::F32, &[7, 3][..]),
            (Dtype::F32, &[5]),
            (Dtype::F16, &[9, 6]),
            (Dtype::Q8_0, &[5, 96]),
            (Dtype::Q4_0, &[11, 64]),
        ] {
            let (bytes, place) = file(dtype, shape, 512);
            let mut aligned = vec![0u32; place.nbytes.div_ceil(4) as usize];
            let section = &mut bytemuck::cast_slice_mut(&mut aligned)[..place.nbytes as usize];
            section.copy_from_slice(&bytes[512..512 + place.nbytes as usize]);
            let tensor = view(dtype, shape, section, &place);
            let width = shape[shape.len() - 1];
            let whole = Weights::of(tensor);
            let expected: Vec<f32> = (0..whole.len()).map(|index| whole.get(index)).collect();
            for part_nbytes in [1, 100, 1000, 1 << 20] {
                let got = joined(width, |take| in_memory(tensor, part_nbytes, take));
                assert_eq!(got, expected, "{dtype:?} {shape:?} {part_nbytes}");
                let opened = view(dtype, shape, &[], &place);
                let mut scratch = Vec::new();
                let got = joined(width, |take| {
                    read(opened, &&bytes[..], part_nbytes, &mut scratch, take).unwrap();
                });
                assert_eq!(got, expected, "{dtype:?} {shape:?} {part_nbytes}");
            }
        }
    }

    #[test]
    fn what_is_wrong_outside_is_named() {
        let shape = [5, 96];
        let (sound, place) = file(Dtype::Q8_0, &shape, 256);
        let kind = |change: &dyn Fn(&mut Vec<u8>), is_signed: bool| {
            let mut bytes = sound.clone();
            change(&mut bytes);
            let mut place = place.clone();
            if is_signed {
                let mut digester = Digester::default();
                digester.update(&bytes[256..256 + place.nbytes as usize]);
                place.sha256 = digester.hex();
            }
            let tensor = view(Dtype::Q8_0, &shape, &[], &place);
            let error = read(tensor, &&bytes[..], 200, &mut Vec::new(), |_, _| ()).unwrap_err();
            match error {
                EngineError::Format(error) => String::from(error.name()),
                EngineError::Unreadable { .. } => "Unreadable".into(),
                other => panic!("{other}"),
            }
        };
        let end = 256 + place.nbytes as usize;
        assert_eq!(kind(&|bytes| bytes[300] ^= 1, false), "SectionChecksum");
        assert_eq!(kind(&|bytes| bytes[end - 2] ^= 1, false), "SectionChecksum");
        // The digest comes first, as in a file that is in memory.
        assert_eq!(
            kind(&|bytes| bytes[end - 1] = 0x7c, false),
            "SectionChecksum"
        );
        assert_eq!(kind(&|bytes| bytes[end - 1] = 0x7c, true), "NotFinite");
        let padding = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() = 1;
        assert_eq!(kind(&padding, false), "NonZeroPadding");
        assert_eq!(kind(&|bytes| bytes.truncate(end - 1), false), "Unreadable");
    }
}
