//! Documents straight into the tokens of a shard.

use pocketlm_tokenizer::Pool;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyBytes;

use crate::errors::TokenizerError;
use crate::numpy::to_u64_array;

/// The tokens, where the separators stand among them, and the bytes of text before the first separator and after each.
pub(crate) type Encoded<'py> = (Bound<'py, PyBytes>, Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Documents in parts; `begins` says which parts are a document's first. Tokens of `token_nbytes` each, little-endian.
pub(crate) fn encode<'py>(
    py: Python<'py>,
    pool: &Pool,
    parts: &[PyBackedStr],
    begins: &[bool],
    separator_id: u32,
    token_nbytes: usize,
    threads: usize,
) -> PyResult<Encoded<'py>> {
    if parts.len() != begins.len() {
        return Err(TokenizerError::new_err(format!(
            "begins has {} entries, expected one for each of {} parts",
            begins.len(),
            parts.len()
        )));
    }
    let (ids, ends) = py.detach(|| pool.encode_batch(parts, false, threads));
    let mut starts = Vec::new();
    let mut text_nbytes = vec![0];
    let mut before = 0;
    for ((part, &begins), &end) in parts.iter().zip(begins).zip(&ends) {
        if begins {
            starts.push(before + starts.len());
            text_nbytes.push(0);
        }
        if let Some(nbytes) = text_nbytes.last_mut() {
            *nbytes += part.len();
        }
        before = end;
    }
    let tokens = match token_nbytes {
        2 => write(py, &ids, &starts, separator_id, |id| {
            (id as u16).to_le_bytes()
        }),
        4 => write(py, &ids, &starts, separator_id, u32::to_le_bytes),
        _ => Err(TokenizerError::new_err(format!(
            "token_nbytes={token_nbytes}: expected 2 or 4"
        ))),
    }?;
    let starts = to_u64_array(py, &starts)?;
    Ok((tokens, starts, to_u64_array(py, &text_nbytes)?))
}

/// The ids with a separator at each place of `starts`.
fn write<'py, const N: usize>(
    py: Python<'py>,
    ids: &[u32],
    starts: &[usize],
    separator_id: u32,
    to_le: impl Fn(u32) -> [u8; N],
) -> PyResult<Bound<'py, PyBytes>> {
    let nbytes = (ids.len() + starts.len()) * N;
    PyBytes::new_with(py, nbytes, |bytes| {
        let places = bytes.as_chunks_mut::<N>().0;
        let ends = starts.iter().copied().skip(1).chain([places.len()]);
        let first = starts.first().copied().unwrap_or(places.len());
        let (head, mut rest) = ids.split_at(first);
        let fill = |places: &mut [[u8; N]], ids: &[u32]| {
            for (place, &id) in places.iter_mut().zip(ids) {
                *place = to_le(id);
            }
        };
        fill(&mut places[..first], head);
        for (&start, end) in starts.iter().zip(ends) {
            places[start] = to_le(separator_id);
            let document;
            (document, rest) = rest.split_at(end - start - 1);
            fill(&mut places[start + 1..end], document);
        }
        Ok(())
    })
}
