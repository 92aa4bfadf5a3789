//! Ctrl-C while Rust works without the GIL, and telling Python how far it is.

use core::ops::ControlFlow;
use core::time::Duration;
use std::time::Instant;

use pocketlm_tokenizer::TokenizerError as CoreError;
use pocketlm_tokenizer::train::{Progress, TrainConfig, WordCounts, train_watched};
use pyo3::prelude::*;

use crate::errors::to_py;

/// To look costs the GIL, for which another thread of Python may be waited: up to its switch interval of 5 ms.
pub(crate) const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Looks now and then whether a signal's handler raised an exception, and keeps that.
pub(crate) struct Signals {
    last: Instant,
    raised: Option<PyErr>,
}

impl Signals {
    pub(crate) fn new() -> Self {
        Self {
            last: Instant::now(),
            raised: None,
        }
    }

    /// Whether to go on. For the thread that Python called: no other hears signals.
    pub(crate) fn look(&mut self) -> ControlFlow<()> {
        self.look_with(|_| Ok(()))
    }

    /// As [`Signals::look`], and where it looks also `tell`.
    fn look_with(&mut self, tell: impl FnOnce(Python<'_>) -> PyResult<()>) -> ControlFlow<()> {
        if self.last.elapsed() < BETWEEN_LOOKS {
            return ControlFlow::Continue(());
        }
        let looked = Python::attach(|py| py.check_signals().and_then(|()| tell(py)));
        self.last = Instant::now();
        match looked {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.raised = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// As [`Signals::look`] while merging: `progress`, if there is one, is called with the tokens so far and those asked for.
    pub(crate) fn look_and_tell(
        &mut self,
        progress: Option<&Py<PyAny>>,
        at: Progress,
    ) -> ControlFlow<()> {
        self.look_with(|py| match progress {
            Some(progress) => progress.call1(py, (at.tokens, at.wanted)).map(drop),
            None => Ok(()),
        })
    }

    /// What becomes of work that ended so. What was raised meanwhile counts, also where the work was done before it was stopped: it is told
    /// once, and would be lost.
    pub(crate) fn end<T>(self, result: Result<T, CoreError>) -> PyResult<T> {
        match self.raised {
            Some(raised) => Err(raised),
            None => result.map_err(to_py),
        }
    }
}

/// Learn the merges, while Ctrl-C is looked for and `progress` told.
pub(crate) fn train(
    py: Python<'_>,
    words: &WordCounts,
    config: &TrainConfig,
    progress: Option<Py<PyAny>>,
) -> PyResult<pocketlm_tokenizer::Tokenizer> {
    let mut signals = Signals::new();
    let mut watch = |at| signals.look_and_tell(progress.as_ref(), at);
    let trained = py.detach(|| train_watched(words, config, &mut watch));
    signals.end(trained)
}
