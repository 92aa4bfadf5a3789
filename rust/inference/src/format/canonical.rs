//! A reader of canonical JSON (`training/FORMAT.md` §1).
//!
//! It accepts exactly: ASCII, no white space, keys strictly increasing by code point, `\uXXXX` only where Python's `json.dumps` writes
//! it, integers without sign of zero, numbers that f64 can hold. It recurses at most [`MAX_DEPTH`] deep, and a value takes at most some
//! fifty times the memory of its text.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::error::FormatError;

/// Nesting that is still read; the deepest that a header needs is 3, and `provenance` is free in form.
const MAX_DEPTH: usize = 32;

/// A value of the header.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    /// As it is spelt; a finite f64, whatever else it may be.
    Number(&'a str),
    String(String),
    Array(Vec<Value<'a>>),
    /// By increasing key.
    Object(Vec<(String, Value<'a>)>),
}

/// The header's object.
#[derive(Debug, PartialEq)]
pub(super) struct Canonical<'a> {
    pub value: Value<'a>,
    /// How long the text of its key `provenance` is.
    pub provenance_nbytes: usize,
}

/// Read one canonical object.
///
/// # Errors
/// [`FormatError::BadHeader`] with the offset of the first byte that is wrong.
pub(super) fn read(json: &[u8]) -> Result<Canonical<'_>, FormatError> {
    let mut reader = Reader {
        json,
        at: 0,
        provenance_nbytes: 0,
    };
    if reader.peek() != Some(b'{') {
        return Err(reader.bad("a JSON object"));
    }
    let value = reader.value(0)?;
    if reader.at < json.len() {
        return Err(reader.bad("the end of the header"));
    }
    Ok(Canonical {
        value,
        provenance_nbytes: reader.provenance_nbytes,
    })
}

struct Reader<'a> {
    json: &'a [u8],
    at: usize,
    provenance_nbytes: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn bad(&self, expected: &str) -> FormatError {
        FormatError::BadHeader {
            path: format!("byte {}", self.at),
            expected: format!("canonical JSON: {expected}"),
            got: match self.peek() {
                Some(byte) => format!("'{}'", byte.escape_ascii()),
                None => "the end".into(),
            },
        }
    }

    fn expect(&mut self, literal: &str) -> Result<(), FormatError> {
        for byte in literal.bytes() {
            if self.peek() != Some(byte) {
                return Err(self.bad(literal));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, FormatError> {
        if depth > MAX_DEPTH {
            return Err(self.bad("nesting of at most 32"));
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Value::String),
            Some(b't') => self.expect("true").map(|()| Value::Bool(true)),
            Some(b'f') => self.expect("false").map(|()| Value::Bool(false)),
            Some(b'n') => self.expect("null").map(|()| Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            _ => Err(self.bad("a value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, FormatError> {
        self.expect("{")?;
        let mut fields: Vec<(String, Value<'a>)> = Vec::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(fields));
        }
        loop {
            let key_at = self.at;
            let key = self.string()?;
            if fields.last().is_some_and(|(previous, _)| *previous >= key) {
                self.at = key_at;
                return Err(self.bad("keys in increasing order, each once"));
            }
            self.expect(":")?;
            let start = self.at;
            let value = self.value(depth + 1)?;
            if depth == 0 && key == "provenance" {
                self.provenance_nbytes = self.at - start;
            }
            fields.push((key, value));
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.bad("',' or '}'")),
            }
        }
        self.at += 1;
        Ok(Value::Object(fields))
    }

    fn array(&mut self, depth: usize) -> Result<Value<'a>, FormatError> {
        self.expect("[")?;
        let mut values = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(values));
        }
        loop {
            values.push(self.value(depth + 1)?);
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.bad("',' or ']'")),
            }
        }
        self.at += 1;
        Ok(Value::Array(values))
    }

    /// A string, decoded, for keys are ordered by their characters and not by their escapes.
    fn string(&mut self) -> Result<String, FormatError> {
        self.expect("\"")?;
        let mut decoded = String::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(decoded);
                }
                Some(b'\\') => decoded.push(self.escape()?),
                Some(byte @ 0x20..=0x7e) => {
                    decoded.push(char::from(byte));
                    self.at += 1;
                }
                _ => return Err(self.bad("printable ASCII or an escape")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, FormatError> {
        let start = self.at;
        self.at += 1;
        let short = match self.peek() {
            Some(byte @ (b'"' | b'\\')) => Some(char::from(byte)),
            Some(b'b') => Some('\u{8}'),
            Some(b'f') => Some('\u{c}'),
            Some(b'n') => Some('\n'),
            Some(b'r') => Some('\r'),
            Some(b't') => Some('\t'),
            _ => None,
        };
        if let Some(short) = short {
            self.at += 1;
            return Ok(short);
        }
        let mut units = [self.code_unit()?, 0];
        let long = if (0xd800..0xdc00).contains(&units[0]) {
            units[1] = self.code_unit()?;
            char::decode_utf16(units).next()
        } else {
            char::decode_utf16(units[..1].iter().copied()).next()
        };
        let needs_long =
            |c: &char| !matches!(c, ' '..='~' | '\u{8}' | '\u{c}' | '\n' | '\r' | '\t');
        match long {
            Some(Ok(c)) if needs_long(&c) => Ok(c),
            _ => {
                self.at = start;
                Err(self.bad("\\uXXXX for a character that needs it, in pairs beyond U+FFFF"))
            }
        }
    }

    /// `\uXXXX` or, just after a backslash, `uXXXX`, with lower-case digits.
    fn code_unit(&mut self) -> Result<u16, FormatError> {
        if self.peek() == Some(b'\\') {
            self.at += 1;
        }
        self.expect("u")?;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = match self.peek() {
                Some(byte @ b'0'..=b'9') => byte - b'0',
                Some(byte @ b'a'..=b'f') => byte - b'a' + 10,
                _ => return Err(self.bad("four lower-case hexadecimal digits")),
            };
            unit = unit << 4 | u16::from(digit);
            self.at += 1;
        }
        Ok(unit)
    }

    /// A number of JSON's grammar; an integer is not "-0", and no number is beyond f64.
    fn number(&mut self) -> Result<&'a str, FormatError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let spelt = core::str::from_utf8(&self.json[start..self.at]).unwrap_or_default();
        let wanted = if spelt == "-0" {
            "0 without a sign"
        } else if spelt.parse().is_ok_and(f64::is_finite) {
            return Ok(spelt);
        } else {
            "a number within f64"
        };
        self.at = start;
        Err(self.bad(wanted))
    }

    fn digits(&mut self) -> Result<(), FormatError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            Err(self.bad("a digit"))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Value, read};

    /// The twin's value.
    fn as_serde(value: &Value<'_>) -> serde_json::Value {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(spelt) => serde_json::from_str(spelt).unwrap(),
            Value::String(text) => text.as_str().into(),
            Value::Array(values) => values.iter().map(as_serde).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| (key.clone(), as_serde(value)))
                .collect(),
        }
    }

    #[test]
    fn accepts_what_python_writes() {
        for json in [
            r#"{}"#,
            r#"{"a":[],"b":{"x":null,"y":[true,false,-1,0,1e-05,10000.0,1.5e+16]}}"#,
            r#"{"a\"\\\n\r\t\b\f":"\u0000\u007f\u00e9\u2028\ud83d\ude00/"}"#,
            // U+FFFF stands before U+1F600 by code point, after it by UTF-16.
            r#"{"\uffff":1,"\ud83d\ude00":2}"#,
        ] {
            let read = read(json.as_bytes()).unwrap();
            let twin: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(as_serde(&read.value), twin, "{json}");
            assert_eq!(read.provenance_nbytes, 0, "{json}");
        }
        let json = br#"{"a":1,"provenance":{"x":2}}"#;
        assert_eq!(read(json).unwrap().provenance_nbytes, br#"{"x":2}"#.len());
    }

    #[test]
    fn refuses_everything_else() {
        for json in [
            "",
            "[]",
            "1",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1}x",
            "{ }",
            "{\"a\": 1}",
            "{\"a\":1}\n",
            "{\"b\":1,\"a\":2}",
            "{\"a\":1,\"a\":2}",
            "{\"a\":01}",
            "{\"a\":-0}",
            "{\"a\":+1}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":1e}",
            "{\"a\":NaN}",
            "{\"a\":Infinity}",
            "{\"a\":-}",
            "{\"a\":1e400}",
            "{\"a\":-1e400}",
            "{\"a\":tru}",
            "{\"é\":1}",
            "{\"a\":\"\u{1}\"}",
            "{\"a\":\"\u{7f}\"}",
            r#"{"a":"\u0041"}"#,
            r#"{"a":"\u000a"}"#,
            r#"{"a":"\/"}"#,
            r#"{"a":"\u00E9"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\ude00"}"#,
            r#"{"a":"\ud800\ud800"}"#,
            r#"{"a":"\u12"}"#,
            r#"{"a":"\"#,
            r#"{"a":"x"#,
            r#"{"\ud83d\ude00":2,"\uffff":1}"#,
            r#"{'a':1}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[1 ]}"#,
        ] {
            let error = read(json.as_bytes()).expect_err(json);
            assert_eq!(error.name(), "BadHeader", "{json}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_not_a_stack_overflow() {
        let deep = alloc::format!("{{\"a\":{}", "[".repeat(1_000_000));
        assert_eq!(read(deep.as_bytes()).unwrap_err().name(), "BadHeader");
    }
}
