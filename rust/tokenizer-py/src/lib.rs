//! `pocketlm_tokenizer` for Python: conversions only; `pocketlm_tokenizer.pyi` documents every name.
//!
//! Errors become `TokenizerError` (a `ValueError`), `OSError` or `KeyError`. The tokenizer is frozen and shared, so the
//! GIL is released around all work that grows with the input.

#![expect(clippy::std_instead_of_alloc, reason = "this crate needs std anyway")]

mod counts;
mod documents;
mod errors;
mod lists;
mod numpy;
mod signals;
mod specials;
mod splits;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use counts::WordCounts;
use errors::{TokenizerError, to_py};
use lists::Numbers;
use numpy::{to_array, to_bytes};
use pocketlm_tokenizer::split::Split;
use pocketlm_tokenizer::train::TrainConfig;
use pocketlm_tokenizer::{Pool, all_threads, character_offsets};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use splits::{named_split, safe_cut_in_characters};
use stream::DecodeStream;

/// Below this many bytes encoding is over before another thread could have used the GIL.
const DETACH_BYTES: usize = 4 << 10;

/// What Python sees as the default; the signature's text repeats it, and a test compares that with the stub.
fn default_special_tokens() -> Vec<String> {
    TrainConfig::default().special_tokens
}

/// A vocabulary and its merges.
#[pyclass(frozen, module = "pocketlm_tokenizer")]
struct Tokenizer {
    pool: Pool,
    numbers: Numbers,
}

impl Tokenizer {
    fn new(core: pocketlm_tokenizer::Tokenizer) -> Self {
        Self {
            numbers: Numbers::new(core.vocab_size()),
            pool: Pool::new(Arc::new(core)),
        }
    }

    fn core(&self) -> &pocketlm_tokenizer::Tokenizer {
        self.pool.tokenizer()
    }

    /// The ids of a text, without the GIL where that pays.
    fn ids(&self, py: Python<'_>, text: &str, special: bool) -> Vec<u32> {
        if text.len() < DETACH_BYTES {
            self.pool.encode(text, special)
        } else {
            py.detach(|| self.pool.encode(text, special))
        }
    }

    /// The ids of special tokens by their names, in any iterable.
    fn special_ids(&self, names: &Bound<'_, PyAny>) -> PyResult<BTreeSet<u32>> {
        let names = names.try_iter()?;
        names
            .map(|name| self.special_id(name?.extract()?))
            .collect()
    }

    /// An error where ids do not fit into 16 bits.
    fn check_u16(&self) -> PyResult<()> {
        let vocab_size = self.core().vocab_size();
        if vocab_size > 1 << 16 {
            return Err(TokenizerError::new_err(format!(
                "ids of {vocab_size} tokens do not fit into u16; use u32"
            )));
        }
        Ok(())
    }
}

/// (beginning, end) of each token.
type Offsets = Vec<(usize, usize)>;

/// How many threads a call may use: all where none is named.
fn thread_count(threads: Option<usize>) -> PyResult<usize> {
    match threads {
        Some(0) => Err(TokenizerError::new_err(
            "threads=0: expected 1 or more, or None for all",
        )),
        Some(threads) => Ok(threads),
        None => Ok(all_threads()),
    }
}

#[pymethods]
impl Tokenizer {
    /// Train on documents (read once, one after the other; each is split on its own).
    #[staticmethod]
    #[pyo3(
        signature = (documents, vocab_size, special_tokens=default_special_tokens(), min_frequency=0, split="gpt2", threads=1, max_token_length=None, progress=None),
        text_signature = "(documents, vocab_size, special_tokens=['<|endoftext|>'], min_frequency=0, split='gpt2', threads=1, max_token_length=None, progress=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "all but two have a default")]
    fn train(
        py: Python<'_>,
        documents: &Bound<'_, PyAny>,
        vocab_size: u32,
        special_tokens: Vec<String>,
        min_frequency: u64,
        split: &str,
        threads: Option<usize>,
        max_token_length: Option<u32>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let config = TrainConfig {
            vocab_size,
            split: named_split(split)?,
            min_frequency,
            max_token_length,
            special_tokens,
        };
        config.validate().map_err(to_py)?;
        let words = counts::count(py, documents, &config.split, 1, thread_count(threads)?)?;
        signals::train(py, &words, &config, progress).map(Self::new)
    }

    /// Train on words that were counted before.
    #[staticmethod]
    #[pyo3(
        signature = (counts, vocab_size, special_tokens=default_special_tokens(), min_frequency=0, max_token_length=None, progress=None),
        text_signature = "(counts, vocab_size, special_tokens=['<|endoftext|>'], min_frequency=0, max_token_length=None, progress=None)"
    )]
    fn train_from_counts(
        py: Python<'_>,
        counts: PyRef<'_, WordCounts>,
        vocab_size: u32,
        special_tokens: Vec<String>,
        min_frequency: u64,
        max_token_length: Option<u32>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let words = &counts.0;
        let config = TrainConfig {
            vocab_size,
            split: words.split().clone(),
            min_frequency,
            max_token_length,
            special_tokens,
        };
        signals::train(py, words, &config, progress).map(Self::new)
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
        pocketlm_tokenizer::Tokenizer::from_bytes(&data)
            .map(Self::new)
            .map_err(|error| TokenizerError::new_err(format!("{}: {error}", path.display())))
    }

    /// Read Hugging Face's tokenizer.json.
    #[staticmethod]
    fn from_hf_json(py: Python<'_>, text: &str) -> PyResult<Self> {
        py.detach(|| pocketlm_tokenizer::Tokenizer::from_hf_json(text))
            .map(Self::new)
            .map_err(to_py)
    }

    /// Read a .tiktoken file's text.
    #[staticmethod]
    #[pyo3(signature = (text, split, special_tokens=None))]
    fn from_tiktoken(
        py: Python<'_>,
        text: &str,
        split: &str,
        special_tokens: Option<BTreeMap<String, u32>>,
    ) -> PyResult<Self> {
        let split = named_split(split)?;
        let special_tokens = special_tokens.unwrap_or_default();
        let special = special_tokens.iter().map(|(text, &id)| (text.as_str(), id));
        py.detach(|| pocketlm_tokenizer::Tokenizer::from_tiktoken(text, split, special))
            .map(Self::new)
            .map_err(to_py)
    }

    /// Write a .tiktoken file's text.
    fn to_tiktoken(&self) -> PyResult<String> {
        self.core().to_tiktoken().map_err(to_py)
    }

    /// Write the flat form.
    fn to_bytes(&self, py: Python<'_>) -> Py<PyBytes> {
        PyBytes::new(py, &self.core().to_bytes()).unbind()
    }

    /// Write Hugging Face's tokenizer.json.
    fn to_hf_json(&self) -> String {
        self.core().to_hf_json()
    }

    /// The number of tokens; ids are below it.
    #[getter]
    fn vocab_size(&self) -> u32 {
        self.core().vocab_size()
    }

    /// The name of the split.
    #[getter]
    fn split(&self) -> &str {
        self.core().split().name()
    }

    /// The last place, in characters, where a text can be cut without changing its ids.
    fn safe_cut(&self, text: &str) -> usize {
        safe_cut_in_characters(self.core().split(), text)
    }

    /// The special tokens and their ids.
    #[getter]
    fn special_tokens(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let tokens = PyDict::new(py);
        for (id, text) in self.core().special_tokens() {
            tokens.set_item(text, id)?;
        }
        Ok(tokens.unbind())
    }

    /// The id of a special token.
    fn special_id(&self, name: String) -> PyResult<u32> {
        self.core()
            .special_id(&name)
            .ok_or_else(|| PyKeyError::new_err(name))
    }

    /// The bytes that a token stands for.
    fn token_bytes(&self, py: Python<'_>, id: u32) -> PyResult<Py<PyBytes>> {
        let bytes = self.core().decode(&[id]).map_err(to_py)?;
        Ok(PyBytes::new(py, &bytes).unbind())
    }

    /// The merges by rank: (left, right, result).
    fn merges(&self) -> Vec<(u32, u32, u32)> {
        self.core().merges().collect()
    }

    /// The ids of a text.
    #[pyo3(signature = (text, special=false))]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        text: &str,
        special: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let ids = self.ids(py, text, special);
        self.numbers.list(py, &ids)
    }

    /// As encode, as an array.
    #[pyo3(signature = (text, special=false))]
    fn encode_array<'py>(
        &self,
        py: Python<'py>,
        text: &str,
        special: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        to_array(py, &self.ids(py, text, special))
    }

    /// As encode, as little-endian u16.
    #[pyo3(signature = (text, special=false, threads=1))]
    fn encode_u16<'py>(
        &self,
        py: Python<'py>,
        text: &str,
        special: bool,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.check_u16()?;
        let threads = thread_count(threads)?;
        let ids = py.detach(|| self.pool.encode_long(text, special, threads));
        to_bytes(py, &ids, |id| (id as u16).to_le_bytes())
    }

    /// As encode, as little-endian u32.
    #[pyo3(signature = (text, special=false, threads=1))]
    fn encode_u32<'py>(
        &self,
        py: Python<'py>,
        text: &str,
        special: bool,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let threads = thread_count(threads)?;
        let ids = py.detach(|| self.pool.encode_long(text, special, threads));
        to_bytes(py, &ids, u32::to_le_bytes)
    }

    /// The number of ids of a text.
    #[pyo3(signature = (text, special=false))]
    fn count(&self, py: Python<'_>, text: &str, special: bool) -> usize {
        self.ids(py, text, special).len()
    }

    /// The ids of each text.
    #[pyo3(signature = (texts, special=false, threads=None))]
    fn encode_batch<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<PyBackedStr>,
        special: bool,
        threads: Option<usize>,
    ) -> PyResult<Bound<'py, PyList>> {
        let threads = thread_count(threads)?;
        let (ids, ends) = py.detach(|| self.pool.encode_batch(&texts, special, threads));
        let lists = PyList::empty(py);
        let mut start = 0;
        for end in ends {
            lists.append(self.numbers.list(py, &ids[start..end])?)?;
            start = end;
        }
        Ok(lists)
    }

    /// All texts' ids, joined, and where each text's end.
    #[pyo3(signature = (texts, special=false, threads=None))]
    fn encode_batch_array<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<PyBackedStr>,
        special: bool,
        threads: Option<usize>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let threads = thread_count(threads)?;
        let (ids, ends) = py.detach(|| self.pool.encode_batch(&texts, special, threads));
        let ends = numpy::to_u64_array(py, &ends)?;
        Ok((to_array(py, &ids)?, ends))
    }

    /// Documents in parts as the tokens of a shard.
    #[pyo3(signature = (parts, begins, separator_id, token_nbytes=2, threads=None))]
    fn encode_documents<'py>(
        &self,
        py: Python<'py>,
        parts: Vec<PyBackedStr>,
        begins: Vec<bool>,
        separator_id: u32,
        token_nbytes: usize,
        threads: Option<usize>,
    ) -> PyResult<documents::Encoded<'py>> {
        self.core().decode(&[separator_id]).map_err(to_py)?;
        if token_nbytes == 2 {
            self.check_u16()?;
        }
        let (pool, threads) = (&self.pool, thread_count(threads)?);
        documents::encode(
            py,
            pool,
            &parts,
            &begins,
            separator_id,
            token_nbytes,
            threads,
        )
    }

    /// The ids of a text, with a say for each special token.
    #[pyo3(signature = (text, allowed=None, forbidden=None), text_signature = "($self, text, allowed=(), forbidden=None)")]
    fn encode_checked<'py>(
        &self,
        py: Python<'py>,
        text: &str,
        allowed: Option<Bound<'py, PyAny>>,
        forbidden: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let allowed =
            allowed.map_or_else(|| Ok(BTreeSet::new()), |names| self.special_ids(&names))?;
        let forbidden = forbidden
            .map(|names| self.special_ids(&names))
            .transpose()?;
        specials::refuse(self.core(), text, &allowed, forbidden.as_ref())?;
        let ids = py.detach(|| {
            self.pool.with_encoder(|encoder| {
                let mut found = Vec::new();
                encoder.encode_allowing(text, &allowed, &mut found);
                found
            })
        });
        self.numbers.list(py, &ids)
    }

    /// The ids of a text, and where each token is in it.
    #[pyo3(signature = (text, special=false, unit="characters"))]
    fn encode_offsets<'py>(
        &self,
        py: Python<'py>,
        text: &str,
        special: bool,
        unit: &str,
    ) -> PyResult<(Bound<'py, PyList>, Offsets)> {
        if !["characters", "bytes"].contains(&unit) {
            return Err(TokenizerError::new_err(format!(
                "unit='{unit}': expected 'characters' or 'bytes'"
            )));
        }
        let (mut ids, mut offsets) = (Vec::new(), Vec::new());
        py.detach(|| {
            self.pool.with_encoder(|encoder| {
                encoder.encode_with_offsets(text, special, &mut ids, &mut offsets)
            })
        })
        .map_err(to_py)?;
        if unit == "characters" {
            offsets = character_offsets(text, &offsets);
        }
        Ok((self.numbers.list(py, &ids)?, offsets))
    }

    /// The ids of all texts in one array of equal rows.
    #[pyo3(signature = (texts, pad_id, length=None, special=false, threads=None, left=false))]
    #[expect(clippy::too_many_arguments, reason = "all but two have a default")]
    fn encode_batch_padded<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<PyBackedStr>,
        pad_id: u32,
        length: Option<usize>,
        special: bool,
        threads: Option<usize>,
        left: bool,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        self.core().decode(&[pad_id]).map_err(to_py)?;
        let threads = thread_count(threads)?;
        let (ids, ends) = py.detach(|| self.pool.encode_batch(&texts, special, threads));
        numpy::to_rows(py, &ids, &ends, pad_id, length, left)
    }

    /// The text of ids; errors as in bytes.decode.
    #[pyo3(signature = (ids, errors="replace"))]
    fn decode(&self, py: Python<'_>, ids: Vec<u32>, errors: &str) -> PyResult<Py<PyAny>> {
        let bytes = py.detach(|| self.core().decode(&ids)).map_err(to_py)?;
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
        let bytes = py.detach(|| self.core().decode(&ids)).map_err(to_py)?;
        Ok(PyBytes::new(py, &bytes).unbind())
    }

    /// A decoder for ids that arrive one at a time.
    fn decode_stream(&self) -> DecodeStream {
        DecodeStream::new(Arc::clone(self.pool.tokenizer()))
    }
}

#[pymodule(name = "pocketlm_tokenizer")]
fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(splits::split, m)?)?;
    m.add_function(wrap_pyfunction!(splits::safe_cut, m)?)?;
    m.add(
        "SPLITS",
        PyTuple::new(m.py(), Split::ALL.each_ref().map(Split::name))?,
    )?;
    m.add_class::<Tokenizer>()?;
    m.add_class::<DecodeStream>()?;
    m.add_class::<WordCounts>()?;
    m.add("TokenizerError", m.py().get_type::<TokenizerError>())
}
