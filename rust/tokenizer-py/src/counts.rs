//! Counting words: the pass over the text, apart from the merging.

use core::ops::ControlFlow;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use pocketlm_tokenizer::TokenizerError as CoreError;
use pocketlm_tokenizer::split::Split;
use pocketlm_tokenizer::train::WordCounts as Core;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::errors::{TokenizerError, to_py};
use crate::signals::{BETWEEN_LOOKS, Signals};
use crate::splits::named_split;
use crate::thread_count;

/// Documents are counted in portions of about this many bytes a thread, so that memory stays flat and the GIL is given up.
const PORTION_BYTES: usize = 4 << 20;

/// How often each distinct word occurs.
#[pyclass(module = "pocketlm_tokenizer")]
pub(crate) struct WordCounts(pub(crate) Core);

#[pymethods]
impl WordCounts {
    #[new]
    #[pyo3(signature = (split="gpt2"))]
    fn new(split: &str) -> PyResult<Self> {
        Ok(Self(Core::new(named_split(split)?)))
    }

    /// The name of the split.
    #[getter]
    fn split(&self) -> &str {
        self.0.split().name()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// Count the words of documents.
    #[pyo3(signature = (documents, weight=1, threads=1))]
    fn add(
        &mut self,
        py: Python<'_>,
        documents: &Bound<'_, PyAny>,
        weight: u64,
        threads: Option<usize>,
    ) -> PyResult<()> {
        if weight == 0 {
            return Err(TokenizerError::new_err("weight=0: expected 1 or more"));
        }
        let more = count(
            py,
            documents,
            self.0.split(),
            weight,
            thread_count(threads)?,
        )?;
        py.detach(|| self.0.merge(&more)).map_err(to_py)
    }

    /// Add what was counted elsewhere.
    fn merge(&mut self, py: Python<'_>, other: PyRef<'_, Self>) -> PyResult<()> {
        let other = &other.0;
        py.detach(|| self.0.merge(other)).map_err(to_py)
    }

    /// The words and their counts.
    fn items(&self, py: Python<'_>) -> Vec<(Py<PyBytes>, u64)> {
        let words = self.0.iter();
        words
            .map(|(word, count)| (PyBytes::new(py, word).unbind(), count))
            .collect()
    }

    /// Add words and their counts.
    fn add_items(&mut self, items: Vec<(Vec<u8>, u64)>) -> PyResult<()> {
        let mut items = items.iter();
        items
            .try_for_each(|(word, count)| self.0.add_counted(word, *count))
            .map_err(to_py)
    }
}

/// Count the words of an iterable of documents, each as often as `weight` says, by up to `threads` threads, while Ctrl-C is looked for.
pub(crate) fn count(
    py: Python<'_>,
    documents: &Bound<'_, PyAny>,
    split: &Split,
    weight: u64,
    threads: usize,
) -> PyResult<Core> {
    if documents.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(
            "documents is one str; expected an iterable of them",
        ));
    }
    let mut counts: Vec<Core> = (0..threads).map(|_| Core::new(split.clone())).collect();
    let mut portion: Vec<String> = Vec::new();
    let mut portion_bytes = 0;
    let mut count = |portion: &mut Vec<String>| {
        let mut signals = Signals::new();
        let mut watch = || signals.look();
        let counted = py.detach(|| count_portion(portion, &mut counts, weight, &mut watch));
        signals.end(counted)?;
        portion.clear();
        py.check_signals()
    };
    for document in documents.try_iter()? {
        let document: String = document?.extract()?;
        portion_bytes += document.len();
        portion.push(document);
        if portion_bytes >= PORTION_BYTES * threads {
            count(&mut portion)?;
            portion_bytes = 0;
        }
    }
    count(&mut portion)?;
    let mut counts = counts.into_iter();
    let mut all = counts.next().unwrap_or_else(|| Core::new(split.clone()));
    py.detach(|| counts.try_for_each(|more| all.merge(&more)))
        .map_err(to_py)?;
    Ok(all)
}

/// Count the documents of a portion, a share of them by each of `counts`. `watch` is asked whether to go on, by this thread alone.
fn count_portion(
    documents: &[String],
    counts: &mut [Core],
    weight: u64,
    watch: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<(), CoreError> {
    let add = |counts: &mut Core, share: &[String], watch: &mut dyn FnMut() -> ControlFlow<()>| {
        let mut documents = share.iter();
        documents.try_for_each(|document| counts.add_watched(document, weight, watch))
    };
    if let [counts] = counts {
        return add(counts, documents, watch);
    }
    let stop = &AtomicBool::new(false);
    let shares = documents.chunks(documents.len().div_ceil(counts.len()).max(1));
    let (sender, done) = mpsc::channel();
    thread::scope(|scope| {
        for (counts, share) in counts.iter_mut().zip(shares) {
            let sender = sender.clone();
            scope.spawn(move || {
                let stopped = &mut || match stop.load(Relaxed) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                };
                // Whoever waits for it is there until the scope ends.
                let _ = sender.send(add(counts, share, stopped));
            });
        }
        drop(sender);
        let mut result = Ok(());
        loop {
            match done.recv_timeout(BETWEEN_LOOKS) {
                Ok(one) => result = result.and(one),
                Err(RecvTimeoutError::Timeout) if watch().is_break() => stop.store(true, Relaxed),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return result,
            }
        }
    })
}
