//! Values of the JSON header with the path to each, so that every refusal names it.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};

use serde_json::{Map, Value};

use crate::error::FormatError;

/// A value and the path to it, for errors.
pub(super) struct Field<'a> {
    pub path: String,
    pub value: &'a Value,
}

/// An object whose keys were checked.
pub(super) struct Object<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    /// The field of a key that [`Field::object`] asked for.
    pub fn get(&self, key: &str) -> Field<'a> {
        Field {
            path: join(&self.path, key),
            value: &self.map[key],
        }
    }

    /// The field of a key that may be absent.
    pub fn get_optional(&self, key: &str) -> Option<Field<'a>> {
        self.map.contains_key(key).then(|| self.get(key))
    }
}

impl<'a> Field<'a> {
    /// An object with exactly these keys.
    pub fn object(&self, keys: &[&str]) -> Result<Object<'a>, FormatError> {
        self.object_with(keys, &[])
    }

    /// An object with all of `keys`, any of `optional`, and no other.
    pub fn object_with(&self, keys: &[&str], optional: &[&str]) -> Result<Object<'a>, FormatError> {
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
        if let Some(unknown) = map
            .keys()
            .find(|key| !keys.iter().chain(optional).any(|known| known == key))
        {
            let mut known = [keys, optional].concat();
            known.sort_unstable();
            let (expected, got) = (
                format!("only the keys {}", known.join(", ")),
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

    pub fn array(&self) -> Result<impl Iterator<Item = Field<'a>>, FormatError> {
        let values = self.value.as_array().ok_or_else(|| self.bad("an array"))?;
        let elements = values.iter().enumerate();
        Ok(elements.map(|(index, value)| Field {
            path: format!("{}[{index}]", self.path),
            value,
        }))
    }

    pub fn string(&self) -> Result<String, FormatError> {
        self.value
            .as_str()
            .map(ToOwned::to_owned)
            .ok_or_else(|| self.bad("a string"))
    }

    pub fn bool(&self) -> Result<bool, FormatError> {
        self.value
            .as_bool()
            .ok_or_else(|| self.bad("true or false"))
    }

    pub fn u64(&self) -> Result<u64, FormatError> {
        self.value
            .as_u64()
            .ok_or_else(|| self.bad("an integer ≥ 0"))
    }

    pub fn u32(&self) -> Result<u32, FormatError> {
        self.u64()?
            .try_into()
            .map_err(|_| self.bad("an integer below 2^32"))
    }

    pub fn f64(&self) -> Result<f64, FormatError> {
        self.value.as_f64().ok_or_else(|| self.bad("a number"))
    }

    pub fn bad(&self, expected: &str) -> FormatError {
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

pub(super) fn at_most(path: &str, expected: u64, got: u64) -> Result<(), FormatError> {
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
