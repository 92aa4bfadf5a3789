//! The one error of this crate.

use alloc::string::String;

use thiserror::Error;

/// Everything that can go wrong, with what was expected, what was found and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// An id that the vocabulary does not hold.
    #[error("token id {id} is not in the vocabulary, whose ids are below {vocab_size}")]
    UnknownId {
        /// The id asked for.
        id: u32,
        /// Every id is below it.
        vocab_size: u32,
    },

    /// The flat form ends too early.
    #[error("tokenizer: {what} needs {expected} bytes, the data has {got}; is the file cut off?")]
    Truncated {
        /// The part being read.
        what: &'static str,
        /// Bytes needed from the start of the data.
        expected: u64,
        /// Bytes there are.
        got: u64,
    },
    /// The flat form is longer than its header says.
    #[error("tokenizer: the header says {expected} bytes, the data has {got}")]
    TrailingBytes {
        /// Bytes by the header.
        expected: u64,
        /// Bytes there are.
        got: u64,
    },
    /// The data does not begin with the flat form's magic.
    #[error("tokenizer: not a PocketLM tokenizer: it begins with {got:02x?}")]
    BadMagic {
        /// The first eight bytes.
        got: [u8; 8],
    },
    /// A version of the flat form that this crate does not know.
    #[error(
        "tokenizer: version {got} of the file is not supported, expected {expected}; write it again with this version of the program"
    )]
    BadVersion {
        /// The version of this crate.
        expected: u32,
        /// The version of the data.
        got: u32,
    },
    /// A field of the flat form has a value that it cannot have.
    #[error("tokenizer: {field} = {got}: expected {expected}")]
    BadField {
        /// The field's name in FORMAT.md.
        field: &'static str,
        /// Its value.
        got: u64,
        /// What it can be, in words.
        expected: &'static str,
    },
    /// A token without bytes, or one that ends before it begins.
    #[error("tokenizer: token {id} ends at byte {end} of the token bytes but begins at {start}")]
    BadTokenEnd {
        /// The token.
        id: u32,
        /// Where the token before it ends.
        start: u32,
        /// Where it ends.
        end: u32,
    },
    /// Two ids with the same bytes, or two special tokens with the same text.
    #[error("tokenizer: tokens {first} and {second} are the same")]
    DuplicateToken {
        /// The smaller id.
        first: u32,
        /// The larger id.
        second: u32,
    },
    /// The added tokens are not in ascending order.
    #[error("tokenizer: added token {id} follows {previous}; expected ascending ids")]
    AddedOrder {
        /// The id before it.
        previous: u32,
        /// The id that is not larger.
        id: u32,
    },
    /// A split that this program does not have.
    #[error(
        "tokenizer: no split is named \"{}\"; there are {}",
        shown(name),
        SPLIT_NAMES
    )]
    UnknownSplit {
        /// The name.
        name: String,
    },
    /// A split by a regular expression, in a program without an engine for such.
    #[error(
        "tokenizer: it splits text by the regular expression \"{}\", which this program cannot; the Python module can",
        shown(name)
    )]
    NoRegex {
        /// The split's name.
        name: String,
    },
    /// What is no regular expression that text can be split by.
    #[cfg(feature = "regex")]
    #[error(
        "the pattern \"{}\" cannot split text: {}",
        shown(pattern),
        in_one_line(problem)
    )]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        problem: String,
    },
    /// A look-up table that is not the one of its contents.
    #[error("tokenizer: place {place} of the {table} table: {problem}")]
    BadTable {
        /// "token" or "pair".
        table: &'static str,
        /// The place in it.
        place: u32,
        /// What is wrong.
        problem: &'static str,
    },
    /// Tokens or merges that fall on the same places of a table by every hash there is: they were made to.
    #[error("tokenizer: no hash spreads the entries of the {table} table")]
    Crowded {
        /// "token" or "pair".
        table: &'static str,
    },
    /// A merge that cannot be.
    #[error("tokenizer: merge {rank} ({left}, {right}): {problem}")]
    BadMerge {
        /// Its place in the list.
        rank: u32,
        /// Its left token.
        left: u32,
        /// Its right token.
        right: u32,
        /// What is wrong.
        problem: &'static str,
    },

    /// A special or otherwise added token that cannot be one.
    #[error("special token \"{}\": {problem}", shown(token))]
    BadSpecial {
        /// Its text.
        token: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A vocabulary too small for the special tokens and the 256 bytes.
    #[cfg(feature = "std")]
    #[error("vocab_size={got} is too small: the special tokens and the 256 bytes need {expected}")]
    VocabTooSmall {
        /// The size asked for.
        got: u32,
        /// The least size.
        expected: u32,
    },
    /// More than the flat form and the engine can hold.
    #[error("{what}: {got} is more than the limit {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        got: u64,
        /// The largest size there can be.
        limit: u64,
    },
    /// Words that were counted with another split than is asked for.
    #[cfg(feature = "std")]
    #[error(
        "the words are counted by the split \"{}\", expected \"{}\"; count them again",
        shown(got),
        shown(expected)
    )]
    SplitsDiffer {
        /// The split asked for.
        expected: String,
        /// The words' split.
        got: String,
    },
    /// A tokenizer.json or a .tiktoken file that cannot be read, or not be written.
    #[error("{}", in_one_line(problem))]
    BadFile {
        /// What is wrong.
        problem: String,
    },
    /// Tokens whose places in the text cannot be told.
    #[error("the tokens have no offsets in the text: {problem}")]
    NoOffsets {
        /// Why.
        problem: &'static str,
    },
    /// A training that allows no token.
    #[cfg(feature = "std")]
    #[error("max_token_length=0: expected 1 or more, or none for no limit")]
    ZeroLength,
    /// The caller stopped a training, or the counting of words.
    #[cfg(feature = "std")]
    #[error("stopped before it was done")]
    Stopped,
    /// There is nothing to train on.
    #[cfg(feature = "std")]
    #[error("the documents hold no text to train a tokenizer on")]
    NoText,
}

/// Text of a file as a message can quote it: its beginning, with escapes for what a terminal would obey.
fn shown(text: &str) -> String {
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

/// A sentence that holds text of a file: its beginning, with spaces for what a terminal would obey.
fn in_one_line(sentence: &str) -> String {
    const MOST: usize = 200;
    let mut line: String = sentence
        .chars()
        .take(MOST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if sentence.chars().nth(MOST).is_some() {
        line.push('…');
    }
    line
}

/// The names of all splits that have a scanner. Here because `split` has errors of this module; a test compares.
const SPLIT_NAMES: &str = "gpt2, cl100k, o200k, llama3, qwen2, smollm2";
