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
