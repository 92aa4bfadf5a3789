//! Ids as bytes and as numpy arrays.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;

/// Numbers as little-endian bytes.
pub(crate) fn to_bytes<'py, T: Copy, const N: usize>(
    py: Python<'py>,
    numbers: &[T],
    to_le: impl Fn(T) -> [u8; N],
) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, numbers.len() * N, |bytes| {
        for (place, &number) in bytes.as_chunks_mut::<N>().0.iter_mut().zip(numbers) {
            *place = to_le(number);
        }
        Ok(())
    })
}

/// numpy's `frombuffer` and its two types of ours, looked up once: for a document of 4 KB that is as long as a tenth of its encoding.
struct Numpy {
    frombuffer: Py<PyAny>,
    u32: Py<PyAny>,
    u64: Py<PyAny>,
}

static NUMPY: PyOnceLock<Numpy> = PyOnceLock::new();

fn numpy(py: Python<'_>) -> PyResult<&'static Numpy> {
    NUMPY.get_or_try_init(py, || {
        let numpy = py.import("numpy")?;
        let dtype = |name: &str| Ok::<_, PyErr>(numpy.call_method1("dtype", (name,))?.unbind());
        Ok(Numpy {
            frombuffer: numpy.getattr("frombuffer")?.unbind(),
            u32: dtype("<u4")?,
            u64: dtype("<u8")?,
        })
    })
}

/// Ids as a numpy array.
pub(crate) fn to_array<'py>(py: Python<'py>, ids: &[u32]) -> PyResult<Bound<'py, PyAny>> {
    let bytes = to_bytes(py, ids, u32::to_le_bytes)?;
    let Numpy {
        frombuffer, u32, ..
    } = numpy(py)?;
    frombuffer.bind(py).call1((bytes, u32.bind(py)))
}

/// Places as a numpy array.
pub(crate) fn to_u64_array<'py>(py: Python<'py>, places: &[usize]) -> PyResult<Bound<'py, PyAny>> {
    let bytes = to_bytes(py, places, |place| (place as u64).to_le_bytes())?;
    let Numpy {
        frombuffer, u64, ..
    } = numpy(py)?;
    frombuffer.bind(py).call1((bytes, u64.bind(py)))
}

/// Rows of `length` ids (of the longest text's where it is left out), shape (texts, length), and how many ids of each row are the text's.
///
/// A longer text is cut off at its end; a shorter one is filled up with `pad_id`, at its end or `left` of it.
pub(crate) fn to_rows<'py>(
    py: Python<'py>,
    ids: &[u32],
    ends: &[usize],
    pad_id: u32,
    length: Option<usize>,
    left: bool,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let starts = || core::iter::once(&0).chain(ends);
    let texts = || starts().zip(ends).map(|(&start, &end)| &ids[start..end]);
    let length = length.unwrap_or_else(|| texts().map(<[u32]>::len).max().unwrap_or(0));
    let too_large = || pyo3::exceptions::PyMemoryError::new_err("the rows do not fit into memory");
    let total = length.checked_mul(ends.len()).ok_or_else(too_large)?;
    let nbytes = total.checked_mul(4).filter(|&n| n <= isize::MAX as usize);
    let bytes = PyBytes::new_with(py, nbytes.ok_or_else(too_large)?, |bytes| {
        let places = bytes.as_chunks_mut::<4>().0;
        places.fill(pad_id.to_le_bytes());
        if length > 0 {
            for (row, text) in places.chunks_mut(length).zip(texts()) {
                let text = &text[..text.len().min(length)];
                let start = if left { length - text.len() } else { 0 };
                for (place, id) in row[start..].iter_mut().zip(text) {
                    *place = id.to_le_bytes();
                }
            }
        }
        Ok(())
    })?;
    let kept: Vec<usize> = texts().map(|text| text.len().min(length)).collect();
    let Numpy {
        frombuffer, u32, ..
    } = numpy(py)?;
    let flat = frombuffer.bind(py).call1((bytes, u32.bind(py)))?;
    let rows = flat.call_method1("reshape", ((ends.len(), length),))?;
    Ok((rows, to_u64_array(py, &kept)?))
}
