//! The JSON header as typed values (`training/FORMAT.md` §2); every refusal names the path to the field.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::config::Config;
use crate::error::FormatError;

/// JSON as values takes up to 80 times the memory of its text. The longest honest header, of 1024 layers, has 2 MB of tensors.
const MAX_HEADER_BYTES: usize = 4 << 20;
/// The free-form provenance is at most this long.
const MAX_PROVENANCE_BYTES: usize = 1 << 20;

/// The header as it stands in the file; offsets and shapes are not checked yet.
pub(super) struct Header {
    pub config: Config,
    pub golden_ids: Vec<u32>,
    pub golden_logits: SectionEntry,
    pub tensors: Vec<TensorEntry>,
    pub chat_template: Option<String>,
    pub tokenizer: SectionEntry,
}

/// Where a section lies and what its bytes hash to.
#[derive(Debug, Clone)]
pub(super) struct SectionEntry {
    pub offset: u64,
    pub nbytes: u64,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// One element of `tensors`.
pub(super) struct TensorEntry {
    pub dtype: String,
    pub name: String,
    pub shape: Vec<u64>,
    pub section: SectionEntry,
}

impl Header {
    /// Read the header from its bytes.
    ///
    /// # Errors
    /// [`FormatError::BadHeader`]: too long, not JSON, not canonical, keys missing, unknown or of another type.
    pub fn parse(json: &[u8]) -> Result<Self, FormatError> {
        at_most("the header", MAX_HEADER_BYTES, json.len())?;
        let provenance = super::canonical::check(json)?;
        let provenance_bytes = provenance.map_or(0, |range| range.len());
        at_most("provenance", MAX_PROVENANCE_BYTES, provenance_bytes)?;
        let value: Value =
            serde_json::from_slice(json).map_err(|error| FormatError::BadHeader {
                path: format!("column {}", error.column()),
                expected: "JSON".into(),
                got: error.to_string(),
            })?;
        let root = Field {
            path: String::new(),
            value: &value,
        }
        .object(&["config", "golden", "provenance", "tensors", "tokenizer"])?;

        let provenance_field = root.get("provenance");
        if !provenance_field.value.is_object() {
            return Err(provenance_field.bad("an object"));
        }

        let golden = root.get("golden").object(&["ids", "logits"])?;
        let logits = golden
            .get("logits")
            .object(&["nbytes", "offset", "sha256"])?;
        let tokenizer =
            root.get("tokenizer")
                .object(&["chat_template", "nbytes", "offset", "sha256"])?;
        let chat_template = tokenizer.get("chat_template");
        Ok(Self {
            config: config(&root.get("config"))?,
            golden_ids: golden
                .get("ids")
                .array()?
                .map(|id| id.u32())
                .collect::<Result<_, _>>()?,
            golden_logits: section(&logits)?,
            tensors: root
                .get("tensors")
                .array()?
                .map(|element| tensor(&element))
                .collect::<Result<_, _>>()?,
            chat_template: if chat_template.value.is_null() {
                None
            } else {
                Some(chat_template.string()?)
            },
            tokenizer: section(&tokenizer)?,
        })
    }
}

fn config(field: &Field<'_>) -> Result<Config, FormatError> {
    let object = field.object(&[
        "bos_token_id",
        "ctx_len",
        "d_ff",
        "d_head",
        "d_model",
        "eos_token_id",
        "n_head",
        "n_kv_head",
        "n_layer",
        "norm_eps",
        "rope_theta",
        "tie_embeddings",
        "vocab_size",
    ])?;
    Ok(Config {
        n_layer: object.get("n_layer").u32()?,
        n_head: object.get("n_head").u32()?,
        n_kv_head: object.get("n_kv_head").u32()?,
        d_model: object.get("d_model").u32()?,
        d_head: object.get("d_head").u32()?,
        d_ff: object.get("d_ff").u32()?,
        vocab_size: object.get("vocab_size").u32()?,
        ctx_len: object.get("ctx_len").u32()?,
        rope_theta: object.get("rope_theta").f64()?,
        norm_eps: object.get("norm_eps").f64()?,
        tie_embeddings: object.get("tie_embeddings").bool()?,
        bos_token_id: object.get("bos_token_id").optional_u32()?,
        eos_token_id: object.get("eos_token_id").optional_u32()?,
    })
}

fn tensor(field: &Field<'_>) -> Result<TensorEntry, FormatError> {
    let object = field.object(&["dtype", "name", "nbytes", "offset", "sha256", "shape"])?;
    Ok(TensorEntry {
        dtype: object.get("dtype").string()?,
        name: object.get("name").string()?,
        shape: object
            .get("shape")
            .array()?
            .map(|size| size.u64())
            .collect::<Result<_, _>>()?,
        section: section(&object)?,
    })
}

fn section(object: &Object<'_>) -> Result<SectionEntry, FormatError> {
    let sha256 = object.get("sha256");
    let digits = sha256.string()?;
    if digits.len() != 64
        || !digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    {
        return Err(sha256.bad("64 lower-case hexadecimal digits"));
    }
    Ok(SectionEntry {
        offset: object.get("offset").u64()?,
        nbytes: object.get("nbytes").u64()?,
        sha256: digits,
    })
}

/// A value and the path to it, for errors.
struct Field<'a> {
    path: String,
    value: &'a Value,
}

/// An object whose keys were checked to be exactly the wanted ones.
struct Object<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    /// The field of a key that [`Field::object`] asked for.
    fn get(&self, key: &str) -> Field<'a> {
        Field {
            path: join(&self.path, key),
            value: &self.map[key],
        }
    }
}

impl<'a> Field<'a> {
    /// An object with exactly these keys.
    fn object(&self, keys: &[&str]) -> Result<Object<'a>, FormatError> {
        let map = self
            .value
            .as_object()
            .ok_or_else(|| self.bad("an object"))?;
        if let Some(missing) = keys.iter().find(|key| !map.contains_key(**key)) {
            let (expected, got) = ("a value".into(), "nothing: the key is missing".into());
            return Err(FormatError::BadHeader {
                path: join(&self.path, missing),
                expected,
                got,
            });
        }
        if let Some(unknown) = map.keys().find(|key| !keys.contains(&key.as_str())) {
            let (expected, got) = (
                format!("only the keys {}", keys.join(", ")),
                "an unknown key".into(),
            );
            return Err(FormatError::BadHeader {
                path: join(&self.path, &shown(unknown)),
                expected,
                got,
            });
        }
        Ok(Object {
            path: self.path.clone(),
            map,
        })
    }

    fn array(&self) -> Result<impl Iterator<Item = Field<'a>>, FormatError> {
        let values = self.value.as_array().ok_or_else(|| self.bad("an array"))?;
        let elements = values.iter().enumerate();
        Ok(elements.map(|(index, value)| Field {
            path: format!("{}[{index}]", self.path),
            value,
        }))
    }

    fn string(&self) -> Result<String, FormatError> {
        self.value
            .as_str()
            .map(ToOwned::to_owned)
            .ok_or_else(|| self.bad("a string"))
    }

    fn bool(&self) -> Result<bool, FormatError> {
        self.value
            .as_bool()
            .ok_or_else(|| self.bad("true or false"))
    }

    fn u64(&self) -> Result<u64, FormatError> {
        self.value
            .as_u64()
            .ok_or_else(|| self.bad("an integer ≥ 0"))
    }

    fn u32(&self) -> Result<u32, FormatError> {
        self.u64()?
            .try_into()
            .map_err(|_| self.bad("an integer below 2^32"))
    }

    fn optional_u32(&self) -> Result<Option<u32>, FormatError> {
        if self.value.is_null() {
            Ok(None)
        } else {
            self.u32().map(Some)
        }
    }

    fn f64(&self) -> Result<f64, FormatError> {
        self.value.as_f64().ok_or_else(|| self.bad("a number"))
    }

    fn bad(&self, expected: &str) -> FormatError {
        let got = match self.value {
            Value::Null => "null".into(),
            Value::Bool(value) => value.to_string(),
            Value::Number(value) => value.to_string(),
            Value::String(value) => format!("\"{}\"", shown(value)),
            Value::Array(values) => format!("an array of {}", values.len()),
            Value::Object(_) => "an object".into(),
        };
        let path = if self.path.is_empty() {
            "the header".into()
        } else {
            self.path.clone()
        };
        FormatError::BadHeader {
            path,
            expected: expected.into(),
            got,
        }
    }
}

fn at_most(path: &str, expected: usize, got: usize) -> Result<(), FormatError> {
    if got <= expected {
        return Ok(());
    }
    Err(FormatError::BadHeader {
        path: path.into(),
        expected: format!("at most {expected} bytes"),
        got: format!("{got} bytes"),
    })
}

/// Text of the file as a message can hold it: its beginning, with escapes for what a terminal would obey.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = text
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.into()
    } else {
        format!("{path}.{key}")
    }
}
