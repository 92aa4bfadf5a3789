//! Ids as lists of Python numbers.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyList};

/// Every id as a Python number, made when a list is first asked for: a list of ids then needs no new objects.
pub(crate) struct Numbers {
    vocab_size: u32,
    all: PyOnceLock<Vec<Py<PyInt>>>,
}

impl Numbers {
    pub(crate) const fn new(vocab_size: u32) -> Self {
        Self {
            vocab_size,
            all: PyOnceLock::new(),
        }
    }

    /// Ids, which must be below the vocabulary's size, as a list.
    pub(crate) fn list<'py>(&self, py: Python<'py>, ids: &[u32]) -> PyResult<Bound<'py, PyList>> {
        let numbers = self.all.get_or_try_init(py, || {
            let all = (0..self.vocab_size).map(|id| Ok(id.into_pyobject(py)?.unbind()));
            all.collect::<PyResult<Vec<_>>>()
        })?;
        PyList::new(
            py,
            ids.iter().map(|&id| numbers[id as usize].bind_borrowed(py)),
        )
    }
}
