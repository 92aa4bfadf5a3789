//! Every way in which the engine can fail, as data: what, where, expected, got, and advice.
//!
//! [`FormatError`] has exactly the names of `training/FORMAT.md` §4; Python's `training.format` raises the same ones.

use alloc::string::String;

/// What is wrong with a `model.bin`. The names and their order are those of `training/FORMAT.md` §4.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FormatError {
    /// Fewer bytes than the prefix, the header or `file_nbytes` need.
    #[error("the {what} needs {expected} bytes, the file has {got}")]
    Truncated {
        /// The part that does not fit: "prefix", "header" or "file".
        what: &'static str,
        /// Bytes needed, counted from the start of the file.
        expected: u64,
        /// Bytes there.
        got: u64,
    },
    /// The first eight bytes are not `POCKETLM`.
    #[error("not a model.bin: it should begin with \"POCKETLM\", it begins with \"{}\"", got.escape_ascii())]
    BadMagic {
        /// The first eight bytes.
        got: [u8; 8],
    },
    /// The version reads as a known one when its bytes are swapped: a big-endian writer.
    #[error("wrong byte order: the version reads as {got:#010x}; model.bin is little-endian")]
    ByteOrder {
        /// The version as read.
        got: u32,
    },
    /// A version that this engine does not read.
    #[error("version {got} of model.bin is not supported; this engine reads version {expected}")]
    UnsupportedVersion {
        /// The version that is read.
        expected: u32,
        /// The version of the file.
        got: u32,
    },
    /// The lengths in the prefix disagree with each other or with the file.
    #[error("{what} should be {expected}, got {got}")]
    BadLength {
        /// The field, "data_offset", "file_nbytes", "the file" or a part of the header.
        what: &'static str,
        /// The value that follows from the rest.
        expected: u64,
        /// The value found.
        got: u64,
    },
    /// SHA-256 of the JSON header.
    #[error("the header should have the SHA-256 {expected}, it has {got}")]
    HeaderChecksum {
        /// The digest of the prefix, hexadecimal.
        expected: String,
        /// The digest of the bytes.
        got: String,
    },
    /// The header is not JSON, not canonical, or has wrong or missing keys or types.
    #[error("{path}: expected {expected}, got {got}")]
    BadHeader {
        /// The field, as `config.n_layer` or `tensors[3].shape`, or a byte offset.
        path: String,
        /// What should stand there.
        expected: String,
        /// What stands there.
        got: String,
    },
    /// A sound file that needs a newer reader: an architecture, a dtype or a required section that this one does not know.
    #[error("{path}: this engine reads {expected}, got {got}")]
    Unsupported {
        /// The field, as `architecture` or `tensors[3].dtype`.
        path: String,
        /// What is read.
        expected: String,
        /// What the file asks for.
        got: String,
    },
    /// A field out of its bounds, or a tensor list other than the one that the configuration asks for.
    #[error("{path}: expected {expected}, got {got}")]
    BadConfig {
        /// The field, as `config.d_head` or `tensors[3].name`.
        path: String,
        /// The bounds, or the value that follows from the configuration.
        expected: String,
        /// The value found.
        got: String,
    },
    /// An offset or a length of a section that differs from the computed one.
    #[error("{path}: expected {expected}, got {got}")]
    BadOffset {
        /// The field, as `tensors[3].offset`.
        path: String,
        /// The computed value.
        expected: u64,
        /// The value found.
        got: u64,
    },
    /// A padding byte that is not zero.
    #[error("the padding byte at offset {offset} should be 0, got {got}")]
    NonZeroPadding {
        /// Where it is, counted from the start of the file.
        offset: u64,
        /// Its value.
        got: u8,
    },
    /// SHA-256 of a section.
    #[error("{section} should have the SHA-256 {expected}, it has {got}")]
    SectionChecksum {
        /// `tokenizer`, `golden.logits`, `section NAME` or a tensor's name.
        section: String,
        /// The digest of the header, hexadecimal.
        expected: String,
        /// The digest of the bytes.
        got: String,
    },
    /// A NaN or an infinity among the weights or the golden logits.
    #[error("{section}[{index}] should be finite, got {got}")]
    NotFinite {
        /// `golden.logits` or a tensor's name.
        section: String,
        /// Index of the value, counted from the section's start.
        index: u64,
        /// The value.
        got: f32,
    },
    /// A known optional section whose content is not what its name promises.
    #[error("{section}: expected {expected}, got {got}")]
    BadSection {
        /// `section NAME`.
        section: String,
        /// What it should hold.
        expected: String,
        /// What it holds.
        got: String,
    },
    /// The file is larger than what can be held in memory.
    #[error("{what} needs {needed_bytes} bytes")]
    OutOfMemory {
        /// What did not fit.
        what: &'static str,
        /// Its size.
        needed_bytes: u64,
    },
}

impl FormatError {
    /// The error's name in `training/FORMAT.md` §4.
    ///
    /// ```
    /// use pocketlm_inference::FormatError;
    /// assert_eq!(FormatError::BadMagic { got: *b"GGUF\0\0\0\0" }.name(), "BadMagic");
    /// ```
    pub fn name(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "Truncated",
            Self::BadMagic { .. } => "BadMagic",
            Self::ByteOrder { .. } => "ByteOrder",
            Self::UnsupportedVersion { .. } => "UnsupportedVersion",
            Self::BadLength { .. } => "BadLength",
            Self::HeaderChecksum { .. } => "HeaderChecksum",
            Self::BadHeader { .. } => "BadHeader",
            Self::Unsupported { .. } => "Unsupported",
            Self::BadConfig { .. } => "BadConfig",
            Self::BadOffset { .. } => "BadOffset",
            Self::NonZeroPadding { .. } => "NonZeroPadding",
            Self::SectionChecksum { .. } => "SectionChecksum",
            Self::NotFinite { .. } => "NotFinite",
            Self::BadSection { .. } => "BadSection",
            Self::OutOfMemory { .. } => "OutOfMemory",
        }
    }
}

/// A failure of the engine. [`kind`](Self::kind) and [`hint`](Self::hint) are what the page and the command line show.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The model file is broken.
    #[error("{name}: {0}", name = .0.name())]
    Format(FormatError),
    /// A buffer could not be allocated.
    #[error("out of memory: {what} needs {needed_bytes} bytes")]
    OutOfMemory {
        /// What did not fit, as "KV cache".
        what: &'static str,
        /// Its size.
        needed_bytes: u64,
    },
    /// A file that lies outside of memory could not be read.
    #[error("bytes {offset} to {} of the model could not be read: {reason}", offset + nbytes)]
    Unreadable {
        /// Where reading began, counted from the start of the file.
        offset: u64,
        /// How many bytes were asked for.
        nbytes: u64,
        /// In the words of what was asked.
        reason: String,
    },
    /// The CPU backend was given a model that was only opened.
    #[error("the model's {needed_bytes} bytes are not in memory: it was opened, not read")]
    NotWhole {
        /// Length of the file.
        needed_bytes: u64,
    },
    /// There is no usable adapter for this backend.
    #[error("no usable {backend} adapter: {reason}")]
    NoAdapter {
        /// "gpu".
        backend: &'static str,
        /// Why, in the words of the driver or of the limit that is too small.
        reason: String,
    },
    /// The GPU refused an operation.
    #[error("the GPU refused {what}: {reason}")]
    Gpu {
        /// The operation, as "create pipeline norm_qkv_rope".
        what: &'static str,
        /// The driver's words.
        reason: String,
    },
    /// The device cannot say how long a kernel took.
    #[error(
        "no profile: the adapter {adapter} has no timestamp queries (feature `timestamp-query`)"
    )]
    NoTimestamps {
        /// The adapter's name.
        adapter: String,
    },
    /// The GPU device went away.
    #[error("the GPU device was lost: {reason}")]
    DeviceLost {
        /// The driver's words.
        reason: String,
    },
    /// The backend's logits for the golden prompt differ from those in the file.
    #[error(
        "the {backend} backend does not reproduce the golden logits: at index {index} expected {expected}, got {got} (tolerance {tolerance})"
    )]
    SelfCheck {
        /// "cpu" or "gpu".
        backend: &'static str,
        /// Token id of the largest difference.
        index: usize,
        /// torch's logit.
        expected: f32,
        /// The backend's.
        got: f32,
        /// Largest difference allowed.
        tolerance: f32,
    },
    /// The backend's own logits for the golden prompt are right, but the token that it takes is not the likeliest one.
    #[error("the {backend} backend samples token {got} where token {expected} is the likeliest")]
    SelfCheckSample {
        /// "cpu" or "gpu".
        backend: &'static str,
        /// The likeliest token id.
        expected: u32,
        /// The token id that was taken.
        got: u32,
    },
    /// A layer that the model does not have.
    #[error("there is no layer {layer}: the model has {n_layer}, counted from 0")]
    BadLayer {
        /// The layer asked for.
        layer: u32,
        /// Layers there are.
        n_layer: u32,
    },
    /// A token id that the vocabulary does not have.
    #[error("token id {id} at index {index} is not in the vocabulary of {vocab_size}")]
    TokenOutOfRange {
        /// Place in the list of ids.
        index: usize,
        /// The id.
        id: u32,
        /// Ids must be below this.
        vocab_size: u32,
    },
    /// More tokens than the KV cache has positions.
    #[error(
        "{tokens} tokens do not fit after position {position}: the model's context has {ctx_len} positions"
    )]
    ContextFull {
        /// Positions in use.
        position: u32,
        /// Tokens asked for.
        tokens: usize,
        /// Positions there are.
        ctx_len: u32,
    },
    /// Sampling before any token was read, or right after a rewind.
    #[error("there are no logits to sample from: prefill at least one token first")]
    NoLogits,
    /// A prompt without tokens.
    #[error("the prompt is empty: at least one token is needed")]
    EmptyPrompt,
    /// Rewinding forward.
    #[error("cannot rewind to position {to}: only {position} positions are in use")]
    BadRewind {
        /// The position asked for.
        to: u32,
        /// Positions in use.
        position: u32,
    },
    /// A sampling option out of its bounds.
    #[error("{field} should be {expected}, got {got}")]
    BadSampling {
        /// "temperature", "top_p" and so on.
        field: &'static str,
        /// Its bounds.
        expected: &'static str,
        /// The value.
        got: f32,
    },
    /// A bias that is NaN or +infinity.
    #[error("the logit bias of token {id} should be a finite number or -inf, got {got}")]
    BadLogitBias {
        /// Token id.
        id: u32,
        /// The value.
        got: f32,
    },
    /// A logit bias of −infinity for every token.
    #[error("the logit bias forbids all {vocab_size} tokens: at least one must be left")]
    NothingToSample {
        /// Tokens in the vocabulary.
        vocab_size: u32,
    },
    /// A NaN or an infinity among the logits.
    #[error("the logit of token {index} is not finite")]
    BadLogits {
        /// Token id.
        index: usize,
    },
}

impl From<FormatError> for EngineError {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

impl EngineError {
    /// The class of the failure, shared with the web worker's protocol.
    ///
    /// ```
    /// use pocketlm_inference::{EngineError, FormatError};
    /// assert_eq!(EngineError::NoLogits.kind(), "bad-input");
    /// let newer = FormatError::UnsupportedVersion { expected: 2, got: 3 };
    /// assert_eq!(EngineError::from(newer).kind(), "unsupported-model");
    /// ```
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Format(FormatError::OutOfMemory { .. }) | Self::OutOfMemory { .. } => {
                "out-of-memory"
            }
            Self::Format(
                FormatError::UnsupportedVersion { .. } | FormatError::Unsupported { .. },
            ) => "unsupported-model",
            Self::Format(_) | Self::Unreadable { .. } | Self::BadLogits { .. } => "bad-model",
            Self::NoAdapter { .. } | Self::Gpu { .. } => "no-engine",
            Self::SelfCheck { .. } | Self::SelfCheckSample { .. } => "wrong-numbers",
            Self::DeviceLost { .. } => "device-lost",
            Self::TokenOutOfRange { .. }
            | Self::ContextFull { .. }
            | Self::BadLayer { .. }
            | Self::NoLogits
            | Self::NotWhole { .. }
            | Self::NoTimestamps { .. }
            | Self::EmptyPrompt
            | Self::BadRewind { .. }
            | Self::BadSampling { .. }
            | Self::BadLogitBias { .. }
            | Self::NothingToSample { .. } => "bad-input",
        }
    }

    /// What to do about it, in one sentence.
    ///
    /// ```
    /// use pocketlm_inference::EngineError;
    /// assert!(EngineError::EmptyPrompt.hint().contains("token"));
    /// ```
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Format(FormatError::Truncated { .. } | FormatError::BadLength { .. }) => {
                "The file was cut short or extended: copy or download it again."
            }
            Self::Format(FormatError::BadMagic { .. } | FormatError::ByteOrder { .. }) => {
                "Give the model.bin that `doit export` writes."
            }
            Self::Format(FormatError::UnsupportedVersion { .. }) => {
                "Export the model again with the version of PocketLM that runs it (`doit export`)."
            }
            Self::Format(FormatError::Unsupported { .. }) => {
                "Use a newer PocketLM, or export the model again in a form that this one runs."
            }
            Self::Format(FormatError::OutOfMemory { .. }) | Self::OutOfMemory { .. } => {
                "Use a smaller model or a shorter context, or free some memory."
            }
            Self::Format(_) => {
                "The file is damaged: copy or download it again, or export it again."
            }
            Self::Unreadable { .. } => "Load the model again: it is then fetched anew.",
            Self::NotWhole { .. } => {
                "Give the engine a model that was parsed from all of its bytes."
            }
            Self::NoAdapter { .. } | Self::Gpu { .. } => "Use the CPU backend instead.",
            Self::SelfCheck { .. } | Self::SelfCheckSample { .. } => {
                "Use the CPU backend; if that fails too, export the model again."
            }
            Self::NoTimestamps { .. } => {
                "Measure whole tokens instead, or profile on another adapter or with a newer driver."
            }
            Self::DeviceLost { .. } => {
                "Load the model again; if it happens again, use the CPU backend."
            }
            Self::TokenOutOfRange { .. } => {
                "Token ids begin at 0 and end below the size of the vocabulary."
            }
            Self::BadLayer { .. } => "Layers begin at 0 and end below their number.",
            Self::ContextFull { .. } => "Give fewer tokens, or rewind first.",
            Self::NoLogits | Self::EmptyPrompt => "Give a prompt of at least one token.",
            Self::BadRewind { .. } => "Rewind only to a position that was already read.",
            Self::BadSampling { .. } | Self::BadLogitBias { .. } | Self::NothingToSample { .. } => {
                "Correct the sampling option."
            }
            Self::BadLogits { .. } => {
                "The weights overflow in this precision: export the model as f32."
            }
        }
    }
}
