//! The tokenizer alone as a wasm module without any other code: train, load, encode, decode, stream. `wasm.mjs` uses it.
//!
//! A caller asks for room ([`input`]), writes there, calls, and reads what [`output`] points at. Functions give the number of bytes that
//! they left there, or -1 where they left the message of an error.
//!
//!     CARGO_ENCODED_RUSTFLAGS=-Ctarget-feature=+simd128 cargo build --release --target wasm32-unknown-unknown

#![allow(unsafe_code, reason = "a name that is exported could be another's")]

use std::cell::RefCell;

use pocketlm_tokenizer::train::{TrainConfig, train};
use pocketlm_tokenizer::{Pool, Tokenizer, TokenizerError, Utf8Stream};

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    /// Have the host write the normalisation form C of these bytes of UTF-8 where [`normalized`] says.
    #[cfg(target_arch = "wasm32")]
    fn normalize(text: *const u8, nbytes: usize);
}

/// Normalisation form C by the host, which has the tables.
fn nfc(text: &str) -> String {
    // SAFETY: the host reads the bytes of a live string before it returns, and writes through `normalized` alone.
    #[cfg(target_arch = "wasm32")]
    unsafe {
        normalize(text.as_ptr(), text.len());
    }
    #[cfg(not(target_arch = "wasm32"))]
    NORMALIZED.set(text.into());
    String::from_utf8_lossy(&NORMALIZED.take()).into_owned()
}

/// Make room for a text that the host normalised; where it is.
#[unsafe(no_mangle)]
pub extern "C" fn normalized(nbytes: usize) -> *mut u8 {
    NORMALIZED.with_borrow_mut(|text| {
        text.resize(nbytes, 0);
        text.as_mut_ptr()
    })
}

#[derive(Default)]
struct State {
    input: Vec<u8>,
    output: Vec<u8>,
    pool: Option<Pool>,
    stream: Utf8Stream,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
    static NORMALIZED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Run `with`, and leave its bytes or its error's message.
fn answer(with: impl FnOnce(&mut State) -> Result<Vec<u8>, TokenizerError>) -> i32 {
    STATE.with_borrow_mut(|state| {
        let (bytes, len) = match with(state) {
            Ok(bytes) => {
                let len = bytes.len() as i32;
                (bytes, len)
            }
            Err(error) => (error.to_string().into_bytes(), -1),
        };
        state.output = bytes;
        len
    })
}

/// What is loaded; [`TokenizerError::NoText`] stands for nothing.
fn loaded(state: &State) -> Result<&Pool, TokenizerError> {
    state.pool.as_ref().ok_or(TokenizerError::NoText)
}

fn text(state: &State) -> Result<&str, TokenizerError> {
    core::str::from_utf8(&state.input).map_err(|error| TokenizerError::BadFile {
        problem: error.to_string(),
    })
}

fn set(state: &mut State, tokenizer: Tokenizer) -> Vec<u8> {
    let bytes = tokenizer.to_bytes();
    state.pool = Some(Pool::new(tokenizer.into()));
    bytes
}

/// Make room for an input of `nbytes` bytes; where it is.
#[unsafe(no_mangle)]
pub extern "C" fn input(nbytes: usize) -> *mut u8 {
    STATE.with_borrow_mut(|state| {
        state.input.clear();
        state.input.resize(nbytes, 0);
        state.input.as_mut_ptr()
    })
}

/// Where the answer is, and how long it is where it is an error's message.
#[unsafe(no_mangle)]
pub extern "C" fn output() -> *const u8 {
    STATE.with_borrow(|state| state.output.as_ptr())
}

/// The length of the answer in bytes.
#[unsafe(no_mangle)]
pub extern "C" fn output_nbytes() -> usize {
    STATE.with_borrow(|state| state.output.len())
}

/// Learn from the input, which is one document; the answer is the flat form.
#[unsafe(no_mangle)]
pub extern "C" fn learn(vocab_size: u32) -> i32 {
    answer(|state| {
        let config = TrainConfig {
            vocab_size,
            ..TrainConfig::default()
        };
        let tokenizer = train([text(state)?], &config)?;
        Ok(set(state, tokenizer))
    })
}

/// Load the flat form.
#[unsafe(no_mangle)]
pub extern "C" fn load() -> i32 {
    answer(|state| {
        let tokenizer = Tokenizer::from_bytes_with(&state.input, nfc)?;
        set(state, tokenizer);
        Ok(Vec::new())
    })
}

/// Encode the input; the answer is ids, 4 bytes each.
#[unsafe(no_mangle)]
pub extern "C" fn encode(special: bool) -> i32 {
    answer(|state| {
        let ids = loaded(state)?.encode(text(state)?, special);
        Ok(ids.into_iter().flat_map(u32::to_le_bytes).collect())
    })
}

/// Decode the input, which is ids of 4 bytes; the answer is their bytes.
#[unsafe(no_mangle)]
pub extern "C" fn decode() -> i32 {
    answer(|state| {
        let ids: Vec<u32> = state
            .input
            .as_chunks()
            .0
            .iter()
            .map(|&id| u32::from_le_bytes(id))
            .collect();
        loaded(state)?.tokenizer().decode(&ids)
    })
}

/// Add one id to a text that streams in; the answer is what is now whole.
#[unsafe(no_mangle)]
pub extern "C" fn push(id: u32) -> i32 {
    answer(|state| {
        let bytes = loaded(state)?.tokenizer().decode(&[id])?;
        Ok(state.stream.push(&bytes).into_bytes())
    })
}
