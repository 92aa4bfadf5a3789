//! A model.bin as JavaScript brings it: whole, in parts, or to be read where it lies.

use alloc::sync::Arc;

use js_sys::{Object, Uint8Array};
use pocketlm_inference::{Digester, EngineError, Identity, Model, ReadAt};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;

use crate::failure::Failure;
use crate::types::{FileIdentity, ReadFile};

/// A file outside is read a part of this size at a time.
const PART_NBYTES: usize = 4 << 20;

/// What engines are built of, one after another or side by side.
#[wasm_bindgen(js_name = ModelFile)]
pub struct ModelFile(Kept);

/// Where the weights are.
#[derive(Clone)]
pub enum Kept {
    /// In wasm memory, with everything else.
    Whole(Arc<Model>),
    /// Outside; only what stands before them is in wasm memory.
    Outside(Arc<Model>, Arc<Outside>),
}

#[wasm_bindgen(js_class = ModelFile)]
impl ModelFile {
    /// Check the bytes of a model.bin.
    ///
    /// Throws an Error with `kind` and `hint`.
    pub fn parse(bytes: &Uint8Array) -> Result<ModelFile, JsValue> {
        let mut file = FileBytes::new(f64::from(bytes.length()))?;
        file.push(bytes)?;
        file.parse()
    }

    /// Check what stands before the weights of a file of `nbytes` bytes that lies outside of wasm memory. An engine on WebGPU passes the
    /// weights on to the device a part at a time, one on the CPU reads the whole file; both check every byte.
    ///
    /// Throws an Error with `kind` and `hint`.
    pub fn open(nbytes: f64, read: ReadFile) -> Result<ModelFile, JsValue> {
        let outside = Outside {
            nbytes: nbytes as u64,
            read,
        };
        let head = Model::open(&outside, outside.nbytes).map_err(Failure::from)?;
        Ok(Self(Kept::Outside(Arc::new(head), Arc::new(outside))))
    }
}

impl ModelFile {
    /// Where the weights are.
    pub fn kept(&self) -> Kept {
        self.0.clone()
    }
}

impl Kept {
    /// The model with all its weights in wasm memory.
    pub fn whole(self) -> Result<Arc<Model>, Failure> {
        match self {
            Self::Whole(model) => Ok(model),
            Self::Outside(_, outside) => outside.parse().map(Arc::new),
        }
    }
}

/// A file outside of wasm memory.
pub struct Outside {
    nbytes: u64,
    read: ReadFile,
}

impl ReadAt for Outside {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), EngineError> {
        let (nbytes, mut done) = (into.len() as u64, 0);
        let unreadable = |reason: String| EngineError::Unreadable {
            offset,
            nbytes,
            reason,
        };
        while done < into.len() {
            let part = PART_NBYTES.min(into.len() - done);
            let bytes = self
                .read
                .call(
                    &JsValue::UNDEFINED,
                    offset as f64 + done as f64,
                    part as f64,
                )
                .map_err(|thrown| unreadable(format!("{thrown:?}")))?;
            if bytes.length() as usize != part {
                return Err(unreadable(format!(
                    "{} bytes came of {part}",
                    bytes.length()
                )));
            }
            bytes.copy_to(&mut into[done..done + part]);
            done += part;
        }
        Ok(())
    }
}

impl Outside {
    fn parse(&self) -> Result<Model, Failure> {
        let mut bytes = reserve(self.nbytes)?;
        bytes.resize(self.nbytes as usize, 0);
        self.read_at(0, &mut bytes)?;
        Ok(Model::parse(bytes)?)
    }
}

/// The bytes of a model.bin that come in parts, in wasm memory once.
#[wasm_bindgen]
pub struct FileBytes(Vec<u8>);

#[wasm_bindgen]
impl FileBytes {
    /// Room for `nbytes` bytes.
    ///
    /// Throws an Error with `kind` and `hint`.
    #[wasm_bindgen(constructor)]
    pub fn new(nbytes: f64) -> Result<FileBytes, JsValue> {
        Ok(Self(reserve(nbytes as u64)?))
    }

    /// The next bytes.
    ///
    /// Throws an Error with `kind` and `hint`.
    pub fn push(&mut self, bytes: &Uint8Array) -> Result<(), JsValue> {
        let (from, length) = (self.0.len(), bytes.length() as usize);
        if self.0.try_reserve(length).is_err() {
            return Err(out_of_memory((from + length) as u64).into());
        }
        self.0.resize(from + length, 0);
        bytes.copy_to(&mut self.0[from..]);
        Ok(())
    }

    /// Check them. Takes this object.
    ///
    /// Throws an Error with `kind` and `hint`.
    pub fn parse(self) -> Result<ModelFile, JsValue> {
        let model = Model::parse(self.0).map_err(Failure::from)?;
        Ok(ModelFile(Kept::Whole(Arc::new(model))))
    }
}

/// An empty vector with room for a file; one that does not fit is an error, where an allocation would trap.
fn reserve(nbytes: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    match usize::try_from(nbytes).map(|nbytes| bytes.try_reserve_exact(nbytes)) {
        Ok(Ok(())) => Ok(bytes),
        _ => Err(out_of_memory(nbytes)),
    }
}

fn out_of_memory(needed_bytes: u64) -> Failure {
    EngineError::OutOfMemory {
        what: "model.bin",
        needed_bytes,
    }
    .into()
}

/// What tells a model.bin from another, from its first bytes: 64 are enough.
///
/// Throws an Error with `kind` and `hint` where they begin no model.bin.
#[wasm_bindgen]
pub fn identify(first: &Uint8Array) -> Result<FileIdentity, JsValue> {
    let mut prefix = [0; Identity::NBYTES];
    let length = prefix.len().min(first.length() as usize);
    first
        .subarray(0, length as u32)
        .copy_to(&mut prefix[..length]);
    let identity = Identity::of(&prefix[..length]).map_err(Failure::from)?;
    let told: FileIdentity = Object::new().unchecked_into();
    told.set_header_sha256(&identity.header_sha256);
    told.set_nbytes(identity.file_nbytes as f64);
    Ok(told)
}

/// SHA-256 of bytes that come in parts: browsers compute it of what is in memory as a whole, and only in a secure context.
#[wasm_bindgen]
#[derive(Default)]
pub struct Sha256(Digester);

#[wasm_bindgen]
impl Sha256 {
    /// Of no bytes yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Sha256 {
        Self::default()
    }

    /// The next bytes.
    pub fn update(&mut self, bytes: &Uint8Array) {
        let mut part = [0; 1 << 14];
        for from in (0..bytes.length()).step_by(part.len()) {
            let to = bytes.length().min(from + part.len() as u32);
            let part = &mut part[..(to - from) as usize];
            bytes.subarray(from, to).copy_to(part);
            self.0.update(part);
        }
    }

    /// The digest in hexadecimal. Takes this object.
    pub fn hex(self) -> String {
        self.0.hex()
    }
}
