//! `pocketlm_tokenizer` for Python: conversions only; `pocketlm_tokenizer.pyi` documents every name.
//!
//! Errors become `TokenizerError` (a `ValueError`), `OSError` or `KeyError`. The tokenizer is frozen and shared, so the
//! GIL is released around all work that grows with the input.

#![expect(clippy::std_instead_of_alloc, reason = "this crate needs std anyway")]

use std::path::PathBuf;
use std::sync::Arc;

use pocketlm_tokenizer::split::Split;
use pocketlm_tokenizer::train::{TrainConfig, WordCounts, train_from_words};
use pocketlm_tokenizer::{TokenizerError as CoreError, Utf8Stream};
use pyo3::create_exception;
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

create_exception!(
    pocketlm_tokenizer,
    TokenizerError,
    PyValueError,
    "Input that cannot be used; the message says what, where, and what was expected."
);

fn to_py(error: CoreError) -> PyErr {
    TokenizerError::new_err(error.to_string())
}

/// Documents are counted in portions of about this many bytes, so that memory stays flat and the GIL is given up.
const PORTION_BYTES: usize = 4 << 20;

/// Below this many bytes encoding is over before another thread could have used the GIL.
const DETACH_BYTES: usize = 4 << 10;

/// What Python sees as the default; the signature's text repeats it, and a test compares that with the stub.
fn default_special_tokens() -> Vec<String> {
    TrainConfig::default().special_tokens
}

/// A vocabulary and its merges.
#[pyclass(frozen, module = "pocketlm_tokenizer")]
struct Tokenizer {
    core: Arc<pocketlm_tokenizer::Tokenizer>,
}

impl Tokenizer {
    fn new(core: pocketlm_tokenizer::Tokenizer) -> Self {
        Self {
            core: Arc::new(core),
        }
    }

    /// The ids of a text, without the GIL where that pays.
    fn ids(&self, py: Python<'_>, text: &str, special: bool) -> Vec<u32> {
        let encode = || {
            if special {
                self.core.encode_with_special(text)
            } else {
                self.core.encode(text)
            }
        };
        if text.len() < DETACH_BYTES {
            encode()
        } else {
            py.detach(encode)
        }
    }

    /// An error where ids do not fit into 16 bits.
    fn check_u16(&self) -> PyResult<()> {
        let vocab_size = self.core.vocab_size();
        if vocab_size > 1 << 16 {
            return Err(TokenizerError::new_err(format!(
                "ids of {vocab_size} tokens do not fit into u16; use u32"
            )));
        }
        Ok(())
    }

    /// The documents' ids, joined, each turned to bytes by `to_le`, and their numbers.
    fn batch<const N: usize>(
        &self,
        py: Python<'_>,
        documents: Vec<String>,
        special: bool,
        to_le: impl Fn(u32) -> [u8; N] + Send + Sync,
    ) -> (Py<PyBytes>, Vec<usize>) {
        let (bytes, counts) = py.detach(|| {
            let mut bytes = Vec::new();
            let mut counts = Vec::with_capacity(documents.len());
            for document in documents {
                let ids = if special {
                    self.core.encode_with_special(&document)
                } else {
                    self.core.encode(&document)
                };
                counts.push(ids.len());
                bytes.extend(ids.into_iter().flat_map(&to_le));
            }
            (bytes, counts)
        });
        (PyBytes::new(py, &bytes).unbind(), counts)
    }
}

#[pymethods]
impl Tokenizer {
    /// Train on documents (read once, one after the other; each is split on its own).
    #[staticmethod]
    #[pyo3(
        signature = (documents, vocab_size, special_tokens=default_special_tokens(), min_frequency=0),
        text_signature = "(documents, vocab_size, special_tokens=['<|endoftext|>'], min_frequency=0)"
    )]
    fn train(
        py: Python<'_>,
        documents: &Bound<'_, PyAny>,
        vocab_size: u32,
        special_tokens: Vec<String>,
        min_frequency: u64,
    ) -> PyResult<Self> {
        let config = TrainConfig {
            vocab_size,
            min_frequency,
            special_tokens,
        };
        config.validate().map_err(to_py)?;
        if documents.is_instance_of::<PyString>() {
            return Err(pyo3::exceptions::PyTypeError::new_err(
                "documents is one str; expected an iterable of them",
            ));
        }
        let mut words = WordCounts::default();
        let mut portion: Vec<String> = Vec::new();
        let mut portion_bytes = 0;
        let mut count = |portion: &mut Vec<String>| {
            let documents = core::mem::take(portion);
            py.detach(|| {
                documents
                    .iter()
                    .try_for_each(|document| words.add(document))
            })
            .map_err(to_py)
        };
        for document in documents.try_iter()? {
            let document: String = document?.extract()?;
            portion_bytes += document.len();
            portion.push(document);
            if portion_bytes >= PORTION_BYTES {
                count(&mut portion)?;
                portion_bytes = 0;
            }
        }
        count(&mut portion)?;
        py.detach(|| train_from_words(&words, &config))
            .map(Self::new)
            .map_err(to_py)
    }

    /// Read the flat form.
    #[staticmethod]
    fn from_bytes(data: &[u8]) -> PyResult<Self> {
        pocketlm_tokenizer::Tokenizer::from_bytes(data)
            .map(Self::new)
            .map_err(to_py)
    }

    /// Read the flat form from a file.
    #[staticmethod]
    fn load(path: PathBuf) -> PyResult<Self> {
        // From<io::Error> picks FileNotFoundError and its like; the path must be in the message.
        let data = std::fs::read(&path).map_err(|error| {
            std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        Self::from_bytes(&data)
    }

    /// Write the flat form.
    fn to_bytes(&self, py: Python<'_>) -> Py<PyBytes> {
        PyBytes::new(py, &self.core.to_bytes()).unbind()
    }

    /// Write Hugging Face's tokenizer.json.
    fn to_hf_json(&self) -> String {
        self.core.to_hf_json()
    }

    /// The number of tokens; ids are below it.
    #[getter]
    fn vocab_size(&self) -> u32 {
        self.core.vocab_size()
    }

    /// The special tokens and their ids.
    #[getter]
    fn special_tokens(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let tokens = PyDict::new(py);
        for (id, text) in self.core.special_tokens() {
            tokens.set_item(text, id)?;
        }
        Ok(tokens.unbind())
    }

    /// The id of a special token.
    fn special_id(&self, name: String) -> PyResult<u32> {
        self.core
            .special_id(&name)
            .ok_or_else(|| PyKeyError::new_err(name))
    }

    /// The bytes that a token stands for.
    fn token_bytes(&self, py: Python<'_>, id: u32) -> PyResult<Py<PyBytes>> {
        let bytes = self.core.decode(&[id]).map_err(to_py)?;
        Ok(PyBytes::new(py, &bytes).unbind())
    }

    /// The merges by rank: (left, right, result).
    fn merges(&self) -> Vec<(u32, u32, u32)> {
        self.core.merges().collect()
    }

    /// The ids of a text.
    #[pyo3(signature = (text, special=false))]
    fn encode(&self, py: Python<'_>, text: &str, special: bool) -> Vec<u32> {
        self.ids(py, text, special)
    }

    /// As encode, as little-endian u16.
    #[pyo3(signature = (text, special=false))]
    fn encode_u16(&self, py: Python<'_>, text: &str, special: bool) -> PyResult<Py<PyBytes>> {
        self.check_u16()?;
        let bytes: Vec<u8> = self
            .ids(py, text, special)
            .into_iter()
            .flat_map(|id| (id as u16).to_le_bytes())
            .collect();
        Ok(PyBytes::new(py, &bytes).unbind())
    }

    /// As encode, as little-endian u32.
    #[pyo3(signature = (text, special=false))]
    fn encode_u32(&self, py: Python<'_>, text: &str, special: bool) -> Py<PyBytes> {
        let bytes: Vec<u8> = self
            .ids(py, text, special)
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect();
        PyBytes::new(py, &bytes).unbind()
    }

    /// All documents' ids, joined, as little-endian u16, and each document's number of ids.
    #[pyo3(signature = (documents, special=false))]
    fn encode_batch_u16(
        &self,
        py: Python<'_>,
        documents: Vec<String>,
        special: bool,
    ) -> PyResult<(Py<PyBytes>, Vec<usize>)> {
        self.check_u16()?;
        Ok(self.batch(py, documents, special, |id| (id as u16).to_le_bytes()))
    }

    /// All documents' ids, joined, as little-endian u32, and each document's number of ids.
    #[pyo3(signature = (documents, special=false))]
    fn encode_batch_u32(
        &self,
        py: Python<'_>,
        documents: Vec<String>,
        special: bool,
    ) -> (Py<PyBytes>, Vec<usize>) {
        self.batch(py, documents, special, u32::to_le_bytes)
    }

    /// The text of ids; errors as in bytes.decode.
    #[pyo3(signature = (ids, errors="replace"))]
    fn decode(&self, py: Python<'_>, ids: Vec<u32>, errors: &str) -> PyResult<Py<PyAny>> {
        let bytes = py.detach(|| self.core.decode(&ids)).map_err(to_py)?;
        if errors == "replace" {
            return Ok(PyString::new(py, &String::from_utf8_lossy(&bytes))
                .into_any()
                .unbind());
        }
        Ok(PyBytes::new(py, &bytes)
            .call_method1("decode", ("utf-8", errors))?
            .unbind())
    }

    /// The bytes of ids.
    fn decode_bytes(&self, py: Python<'_>, ids: Vec<u32>) -> PyResult<Py<PyBytes>> {
        let bytes = py.detach(|| self.core.decode(&ids)).map_err(to_py)?;
        Ok(PyBytes::new(py, &bytes).unbind())
    }

    /// A decoder for ids that arrive one at a time.
    fn decode_stream(&self) -> DecodeStream {
        DecodeStream {
            core: Arc::clone(&self.core),
            text: Utf8Stream::default(),
        }
    }
}

/// Text from ids that arrive one at a time: only whole characters come out.
#[pyclass(module = "pocketlm_tokenizer")]
struct DecodeStream {
    core: Arc<pocketlm_tokenizer::Tokenizer>,
    text: Utf8Stream,
}

#[pymethods]
impl DecodeStream {
    /// Add one id; the text that is now whole.
    fn push(&mut self, id: u32) -> PyResult<String> {
        let vocab_size = self.core.vocab_size();
        let bytes = self
            .core
            .token_bytes(id)
            .ok_or_else(|| to_py(CoreError::UnknownId { id, vocab_size }))?;
        Ok(self.text.push(bytes))
    }

    /// What is left at the end: U+FFFD if a character was begun and never ended, else nothing.
    fn finish(&mut self) -> String {
        self.text.finish()
    }
}

/// The pieces of a split.
#[pyfunction]
#[pyo3(signature = (text, split="gpt2"))]
fn split<'t>(text: &'t str, split: &str) -> PyResult<Vec<&'t str>> {
    let split = Split::named(split).ok_or_else(|| {
        to_py(CoreError::UnknownSplit {
            name: split.to_owned(),
        })
    })?;
    Ok(split.pieces(text).collect())
}

#[pymodule(name = "pocketlm_tokenizer")]
fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(split, m)?)?;
    m.add_class::<Tokenizer>()?;
    m.add_class::<DecodeStream>()?;
    m.add("TokenizerError", m.py().get_type::<TokenizerError>())
}
