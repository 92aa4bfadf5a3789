//! Values of the JSON header with the path to each, so that every refusal names it.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::str::FromStr;

use super::canonical::Value;
use crate::error::FormatError;

/// A value and the path to it, for errors.
pub(super) struct Field<'a> {
    pub path: String,
    pub value: &'a Value<'a>,
}

/// An object whose keys were checked.
pub(super) struct Object<'a> {
    path: String,
    fields: &'a [(String, Value<'a>)],
}

impl<'a> Object<'a> {
    /// The field of a key that [`Field::object`] asked for.
    pub fn get(&self, key: &str) -> Field<'a> {
        self.get_optional(key)
            .expect("the keys that are read are those that were asked for")
    }

    /// The field of a key that may be absent.
    pub fn get_optional(&self, key: &str) -> Option<Field<'a>> {
        let (_, value) = self.fields.iter().find(|(known, _)| known == key)?;
        Some(Field {
            path: join(&self.path, key),
            value,
        })
    }
}

impl<'a> Field<'a> {
    /// An object with exactly these keys.
    pub fn object(&self, keys: &[&str]) -> Result<Object<'a>, FormatError> {
        self.object_with(keys, &[])
    }

    /// An object with all of `keys`, any of `optional`, and no other.
    pub fn object_with(&self, keys: &[&str], optional: &[&str]) -> Result<Object<'a>, FormatError> {
        let Value::Object(fields) = self.value else {
            return Err(self.bad("an object"));
        };
        let is_missing = |key: &&&str| fields.iter().all(|(known, _)| known != **key);
        if let Some(missing) = keys.iter().find(is_missing) {
            let (expected, got) = ("a value".into(), "nothing: the key is missing".into());
            return Err(FormatError::BadHeader {
                path: join(&self.path, missing),
                expected,
                got,
            });
        }
        let mut known = fields.iter().map(|(key, _)| key);
        if let Some(unknown) =
            known.find(|key| !keys.iter().chain(optional).any(|known| known == key))
        {
            let mut known: Vec<&str> = Vec::new();
            for key in keys.iter().chain(optional) {
                known.insert(known.partition_point(|other| other < key), key);
            }
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
            fields,
        })
    }

    pub fn array(&self) -> Result<impl Iterator<Item = Field<'a>>, FormatError> {
        let Value::Array(values) = self.value else {
            return Err(self.bad("an array"));
        };
        let elements = values.iter().enumerate();
        Ok(elements.map(|(index, value)| Field {
            path: format!("{}[{index}]", self.path),
            value,
        }))
    }

    pub fn string(&self) -> Result<String, FormatError> {
        match self.value {
            Value::String(text) => Ok(text.to_owned()),
            _ => Err(self.bad("a string")),
        }
    }

    pub fn bool(&self) -> Result<bool, FormatError> {
        match self.value {
            Value::Bool(value) => Ok(*value),
            _ => Err(self.bad("true or false")),
        }
    }

    pub fn u64(&self) -> Result<u64, FormatError> {
        self.number().ok_or_else(|| self.bad("an integer ≥ 0"))
    }

    pub fn u32(&self) -> Result<u32, FormatError> {
        self.u64()?
            .try_into()
            .map_err(|_| self.bad("an integer below 2^32"))
    }

    pub fn f64(&self) -> Result<f64, FormatError> {
        self.number().ok_or_else(|| self.bad("a number"))
    }

    /// A number of this type; none where the field is another one, or no number.
    fn number<T: FromStr>(&self) -> Option<T> {
        match self.value {
            Value::Number(spelt) => spelt.parse().ok(),
            _ => None,
        }
    }

    pub fn bad(&self, expected: &str) -> FormatError {
        let got = match self.value {
            Value::Null => "null".into(),
            Value::Bool(value) => value.to_string(),
            Value::Number(spelt) => shown(spelt),
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
