//! A split by any regular expression: the slower path, for tokenizers whose split no scanner knows.
//!
//! The pieces are the matches and what lies between them, as Hugging Face's `Split(Regex(…), "isolated")` has it; a match of nothing cuts the
//! text where it stands. The engine is the crate `fancy-regex`, which knows look-around, in its mode for Oniguruma's syntax, which Hugging
//! Face's patterns are written in. What the two understand differently is said in other words, or refused ([`super::dialect`]).
//!
//! # What bounds the work
//! A pattern can ask for any amount of steps back, and read the rest of the text at each place. So a search sees [`WINDOW`] bytes for a piece,
//! and as many behind it for looking ahead; it may take [`QUICK`] steps back, or [`PATIENT`] on the account of the text, which is in proportion
//! to its length. A piece that would be longer ends with its window. Where the account is empty or its steps do not do, the search is given
//! up: the whole window is a piece. So a text of n bytes takes at most n searches of 2 WINDOW bytes each, and
//! (QUICK + [`ACCOUNT_A_BYTE`]) n + [`ACCOUNT`] steps back.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::cell::Cell;
use core::fmt;

use fancy_regex::{Match, Regex, RegexBuilder};

use super::{BLOCK, Block, REGEX_PREFIX as PREFIX, Scanner, dialect};
use crate::error::TokenizerError;

/// The longest pattern, in bytes. Published ones have up to 500.
const MAX_PATTERN_NBYTES: usize = 2048;
/// The longest piece, in bytes. Longer words are rare, and a search may read all of it at each place.
pub(crate) const WINDOW: usize = 1 << 14;
/// Steps back that a search may take at first.
const QUICK: usize = 512;
/// Steps back of a search that needs more: a few for each byte that it sees, as a search takes that finds nothing.
const PATIENT: usize = 1 << 17;
/// What a text may spend on the patient ones, whatever its length,
const ACCOUNT: usize = 1 << 21;
/// and for each byte of it.
const ACCOUNT_A_BYTE: usize = 256;
/// The largest program of a part of a pattern that takes no steps back, in bytes: `\p{L}{100}` has a third of it.
const MAX_PART_NBYTES: usize = 4 << 20;
/// The largest program of the others, in instructions.
const MAX_INSTRUCTIONS: usize = 1 << 14;

/// A compiled pattern. To copy it is cheap.
#[derive(Clone)]
pub struct RegexSplit(Arc<Compiled>);

struct Compiled {
    name: String,
    quick: Regex,
    patient: Regex,
}

impl RegexSplit {
    /// Compile a pattern.
    pub(super) fn new(pattern: &str) -> Result<Self, TokenizerError> {
        let bad = |problem: String| TokenizerError::BadPattern {
            pattern: pattern.to_string(),
            problem,
        };
        if pattern.len() > MAX_PATTERN_NBYTES {
            let problem = format!("{} bytes, at most {MAX_PATTERN_NBYTES}", pattern.len());
            return Err(bad(problem));
        }
        let said = dialect::translate(pattern).map_err(|problem| bad(problem.to_string()))?;
        let compile = |steps| {
            let mut builder = RegexBuilder::new(&said);
            // In Oniguruma's syntax ^ and $ are always those of a line.
            builder.oniguruma_mode(true).multi_line(true);
            builder.backtrack_limit(steps);
            builder
                .delegate_size_limit(MAX_PART_NBYTES)
                .max_prog_size(MAX_INSTRUCTIONS);
            builder.build().map_err(|error| bad(error.to_string()))
        };
        Ok(Self(Arc::new(Compiled {
            name: format!("{PREFIX}{pattern}"),
            quick: compile(QUICK)?,
            patient: compile(PATIENT)?,
        })))
    }

    /// `regex:` and the pattern.
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    /// The pattern.
    pub(super) fn pattern(&self) -> &str {
        &self.0.name[PREFIX.len()..]
    }
}

/// What the patient searches in a text of `nbytes` bytes may spend.
pub(crate) fn account(nbytes: usize) -> usize {
    ACCOUNT.saturating_add(nbytes.saturating_mul(ACCOUNT_A_BYTE))
}

impl PartialEq for RegexSplit {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for RegexSplit {}

impl fmt::Debug for RegexSplit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.name.fmt(f)
    }
}

/// The searches in one text, and what they may still spend.
pub(crate) struct Searches<'r> {
    split: &'r RegexSplit,
    account: Cell<usize>,
    /// How many there were: in all, and patient ones.
    #[cfg(test)]
    count: Cell<[usize; 2]>,
}

impl<'r> Searches<'r> {
    /// Searches that may spend what is on the account.
    pub(crate) fn new(split: &'r RegexSplit, account: usize) -> Self {
        Self {
            split,
            account: Cell::new(account),
            #[cfg(test)]
            count: Cell::default(),
        }
    }

    /// What is left on the account.
    pub(super) fn left(&self) -> usize {
        self.account.get()
    }

    /// The first match that begins at `at` or later; `Err` where finding it takes too many steps.
    fn find<'t>(&self, text: &'t str, at: usize) -> Result<Option<Match<'t>>, GivenUp> {
        let Compiled { quick, patient, .. } = &*self.split.0;
        #[cfg(test)]
        self.count(1, 0);
        if let Ok(found) = quick.find_from_pos(text, at) {
            return Ok(found);
        }
        let left = self.account.get().checked_sub(PATIENT).ok_or(GivenUp)?;
        self.account.set(left);
        #[cfg(test)]
        self.count(0, 1);
        patient.find_from_pos(text, at).map_err(|_| GivenUp)
    }

    #[cfg(test)]
    fn count(&self, all: usize, patient: usize) {
        let [all_before, patient_before] = self.count.get();
        self.count.set([all_before + all, patient_before + patient]);
    }

    /// Where the piece that starts at `start` ends, if no search is given up.
    fn end(&self, text: &str, start: usize) -> Result<usize, GivenUp> {
        let end_of = |found: Option<Match<'_>>| match found {
            None => text.len(),
            Some(found) if found.start() > start => found.start(),
            Some(found) => found.end(),
        };
        let end = end_of(self.find(text, start)?);
        if end > start {
            return Ok(end);
        }
        // Nothing was matched: that cuts where a piece begins already.
        let next = floor(text, start + 1, 1);
        Ok(end_of(self.find(text, next)?))
    }
}

/// A search takes more steps than it may.
struct GivenUp;

/// The place of the character at `place` or, where one goes on there, of the next (`step` 1) or of that one (-1).
fn floor(text: &str, mut place: usize, step: isize) -> usize {
    while !text.is_char_boundary(place) {
        place = place.wrapping_add_signed(step);
    }
    place
}

impl Scanner for Searches<'_> {
    fn piece_end(&self, text: &str, start: usize) -> usize {
        let within = |nbytes: usize| match text.len() - start > nbytes {
            true => floor(text, start + nbytes, -1),
            false => text.len(),
        };
        let window = within(WINDOW);
        self.end(&text[..within(2 * WINDOW)], start)
            .map_or(window, |end| end.min(window))
    }

    fn starts(&self, _: &Block, _: &[u8; BLOCK]) -> u64 {
        1
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::{ACCOUNT, ACCOUNT_A_BYTE, PATIENT, RegexSplit, Scanner, Searches, WINDOW, account};

    /// The lengths of the pieces of a text, and how many searches found them.
    fn pieces(pattern: &str, text: &str) -> (Vec<usize>, [usize; 2]) {
        let split = RegexSplit::new(pattern).unwrap();
        let searches = Searches::new(&split, account(text.len()));
        let mut lengths = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let end = searches.piece_end(text, at);
            lengths.push(end - at);
            at = end;
        }
        (lengths, searches.count.get())
    }

    /// Patterns that ask for exponentially many steps back; for as many as the text is long, at each place, with steps back and without; that
    /// match nothing at each place; and that look ahead to the end.
    #[test]
    fn work_is_bounded_whatever_is_asked_for() {
        for pattern in [
            r"(?:a|a)*+b|(a*)*\1c|a",
            r"(?:a?){20}a{20}(?!a)|a",
            r"a*(?=b)|.",
            r"a*[bc]|.",
            r"(?=.*b)a|.",
            r"(?=a)",
            r"x(?=y)",
            r"",
        ] {
            let text: String = "a".repeat(3 * WINDOW + WINDOW / 2);
            let (lengths, [all, patient]) = pieces(pattern, &text);
            assert_eq!(lengths.iter().sum::<usize>(), text.len());
            assert!(lengths.iter().all(|&length| length <= WINDOW), "{pattern}");
            assert!(all <= 2 * lengths.len(), "{pattern}: {all}");
            let most = (ACCOUNT + ACCOUNT_A_BYTE * text.len()) / PATIENT;
            assert!(patient <= most, "{pattern}: {patient}");
        }
    }

    #[test]
    fn a_search_that_is_given_up_makes_a_piece_of_the_window() {
        let text = "a".repeat(WINDOW + 9);
        let (lengths, [_, patient]) = pieces(r"(a*)*\1c|a", &text);
        assert_eq!(lengths[0], WINDOW);
        assert!(patient > 0);
    }
}
