//! The JSON header as typed values (`training/FORMAT.md` §2); every refusal names the path to the field.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::architecture::Architecture;
use super::canonical::{self, Canonical, Value};
use super::config::Config;
use super::field::{Field, Object, at_most, shown};
use crate::error::FormatError;

/// The longest honest header, of 1024 layers, has 2 MB of tensors.
const MAX_HEADER_BYTES: u64 = 4 << 20;
/// The free-form provenance is at most this long.
const MAX_PROVENANCE_BYTES: u64 = 1 << 20;
const MAX_SECTIONS: usize = 64;
const MAX_SECTION_NAME: usize = 64;

const CONFIG: [&str; 11] = [
    "ctx_len",
    "d_ff",
    "d_head",
    "d_model",
    "n_head",
    "n_kv_head",
    "n_layer",
    "norm_eps",
    "rope_theta",
    "tie_embeddings",
    "vocab_size",
];
/// Of the architectures that cap the logits.
const LOGIT_CAP: &str = "logit_cap";
const OPTIONAL_CONFIG: [&str; 3] = ["bos_token_id", "eos_token_id", "stop_token_ids"];

/// The header as it stands in the file; offsets and shapes are not checked yet.
pub(super) struct Header {
    pub config: Config,
    pub golden_ids: Vec<u32>,
    pub golden_logits: Place,
    pub sections: Vec<SectionEntry>,
    pub tensors: Vec<TensorEntry>,
    pub tokenizer: Place,
}

/// Where a section lies and what its bytes hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Of its first byte, counted from the start of the file.
    pub offset: u64,
    /// Its length.
    pub nbytes: u64,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// One element of `sections`.
pub(super) struct SectionEntry {
    pub name: String,
    /// A reader that does not know the name must refuse the file.
    pub required: bool,
    pub place: Place,
}

/// One element of `tensors`.
pub(super) struct TensorEntry {
    pub dtype: String,
    pub name: String,
    pub shape: Vec<u64>,
    pub place: Place,
}

/// Refuse a header that is longer than any honest one, before it is read.
pub(super) fn check_header_nbytes(nbytes: u64) -> Result<(), FormatError> {
    at_most("the header", MAX_HEADER_BYTES, nbytes)
}

impl Header {
    /// Read the header from its bytes.
    ///
    /// # Errors
    /// [`FormatError::BadHeader`]: not JSON, not canonical, keys missing, unknown or of another type; [`FormatError::Unsupported`] for
    /// an architecture that is not in the table.
    pub fn parse(json: &[u8]) -> Result<Self, FormatError> {
        let Canonical {
            value,
            provenance_nbytes,
        } = canonical::read(json)?;
        at_most("provenance", MAX_PROVENANCE_BYTES, provenance_nbytes as u64)?;
        let root = Field {
            path: String::new(),
            value: &value,
        }
        .object(&[
            "architecture",
            "config",
            "golden",
            "provenance",
            "sections",
            "tensors",
            "tokenizer",
        ])?;
        let architecture = architecture(&root.get("architecture"))?;
        let provenance_field = root.get("provenance");
        if !matches!(provenance_field.value, Value::Object(_)) {
            return Err(provenance_field.bad("an object"));
        }
        let golden = root.get("golden").object(&["ids", "logits"])?;
        let logits = golden.get("logits").object(&PLACE)?;
        let tokenizer = root.get("tokenizer").object(&PLACE)?;
        Ok(Self {
            config: config(&root.get("config"), architecture)?,
            golden_ids: golden
                .get("ids")
                .array()?
                .map(|id| id.u32())
                .collect::<Result<_, _>>()?,
            golden_logits: place(&logits)?,
            sections: sections(&root.get("sections"))?,
            tensors: root
                .get("tensors")
                .array()?
                .map(|element| tensor(&element))
                .collect::<Result<_, _>>()?,
            tokenizer: place(&tokenizer)?,
        })
    }
}

/// The keys of a section that has no others.
const PLACE: [&str; 3] = ["nbytes", "offset", "sha256"];

fn architecture(field: &Field<'_>) -> Result<Architecture, FormatError> {
    let name = field.string()?;
    Architecture::named(&name).ok_or_else(|| FormatError::Unsupported {
        path: "architecture".into(),
        expected: Architecture::ALL.map(Architecture::name).join(", "),
        got: format!("\"{}\"", shown(&name)),
    })
}

fn config(field: &Field<'_>, architecture: Architecture) -> Result<Config, FormatError> {
    let is_capped = architecture.has_logit_cap();
    let own: &[&str] = if is_capped { &[LOGIT_CAP] } else { &[] };
    let object = field.object_with(&[&CONFIG, own].concat(), &OPTIONAL_CONFIG)?;
    let optional = |key| {
        let field = object.get_optional(key);
        field.map(|field| field.u32()).transpose()
    };
    Ok(Config {
        architecture,
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
        logit_cap: if is_capped {
            Some(object.get(LOGIT_CAP).f64()?)
        } else {
            None
        },
        tie_embeddings: object.get("tie_embeddings").bool()?,
        bos_token_id: optional("bos_token_id")?,
        eos_token_id: optional("eos_token_id")?,
        stop_token_ids: match object.get_optional("stop_token_ids") {
            Some(ids) => Some(ids.array()?.map(|id| id.u32()).collect::<Result<_, _>>()?),
            None => None,
        },
    })
}

fn sections(field: &Field<'_>) -> Result<Vec<SectionEntry>, FormatError> {
    let elements: Vec<Field<'_>> = field.array()?.collect();
    if elements.len() > MAX_SECTIONS {
        return Err(field.bad("at most 64 sections"));
    }
    let mut sections: Vec<SectionEntry> = Vec::with_capacity(elements.len());
    for element in &elements {
        let object = element.object(&["name", "nbytes", "offset", "required", "sha256"])?;
        let field = object.get("name");
        let name = field.string()?;
        let is_name = (1..=MAX_SECTION_NAME).contains(&name.len())
            && name
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if !is_name || sections.last().is_some_and(|before| before.name >= name) {
            return Err(field.bad("1 to 64 of a-z, 0-9 and _, in increasing order"));
        }
        sections.push(SectionEntry {
            name,
            required: object.get("required").bool()?,
            place: place(&object)?,
        });
    }
    Ok(sections)
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
        place: place(&object)?,
    })
}

fn place(object: &Object<'_>) -> Result<Place, FormatError> {
    let sha256 = object.get("sha256");
    let digits = sha256.string()?;
    if digits.len() != 64
        || !digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    {
        return Err(sha256.bad("64 lower-case hexadecimal digits"));
    }
    Ok(Place {
        offset: object.get("offset").u64()?,
        nbytes: object.get("nbytes").u64()?,
        sha256: digits,
    })
}
