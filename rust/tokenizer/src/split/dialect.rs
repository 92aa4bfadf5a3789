//! A pattern of Oniguruma's, which is what Hugging Face's are, in the words of `fancy-regex`.
//!
//! The two differ in little. Where it can be said in other words it is; else the pattern is refused, since its pieces would be others than
//! theirs without anyone seeing it. `tests/tokenizer/test_regex_split.py` compares them character by character and on random patterns.

use alloc::string::String;
use alloc::vec::Vec;
use core::iter::Peekable;
use core::str::Chars;

/// `\w` in brackets: theirs has not the two joiners.
const IN_CLASS: [&str; 2] = [
    r"[\w&&[^\x{200C}\x{200D}]]",
    r"[^[\w&&[^\x{200C}\x{200D}]]]",
];
/// And outside of them: there it has the superscripts and fractions of Latin-1 as well.
const WORD: &str = r"[[\w&&[^\x{200C}\x{200D}]]\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}]";
const NO_WORD: &str = r"[^[\w&&[^\x{200C}\x{200D}]]\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE}]";
/// `^`: theirs is not at the end of the text, in look-around either.
const LINE_START: &str = r"(?:\A|(?<=\n)(?!\z))";

/// Properties that hold other characters in one engine than in the other.
const UNLIKE_PROPERTIES: [&str; 3] = ["word", "graph", "print"];

/// The pattern in the other engine's words, or why there are none.
pub(super) fn translate(pattern: &str) -> Result<String, &'static str> {
    let mut translator = Translator {
        rest: pattern.chars().peekable(),
        said: String::with_capacity(pattern.len() + 64),
        ignores_case: false,
        groups: Vec::new(),
        literal: None,
    };
    translator.all()?;
    Ok(translator.said)
}

struct Translator<'p> {
    rest: Peekable<Chars<'p>>,
    said: String,
    /// Whether (?i) is in force.
    ignores_case: bool,
    /// Whether it was before each group that is open.
    groups: Vec<bool>,
    /// The character before, where it stands for itself.
    literal: Option<char>,
}

impl Translator<'_> {
    fn all(&mut self) -> Result<(), &'static str> {
        while let Some(c) = self.rest.next() {
            let before = self.literal.take();
            match c {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '(' => self.open()?,
                '^' => self.said.push_str(LINE_START),
                ')' => {
                    self.ignores_case = self.groups.pop().unwrap_or(self.ignores_case);
                    self.said.push(c);
                }
                _ => {
                    if self.ignores_case && before.is_some_and(|before| fold_together(before, c)) {
                        return Err(
                            "without regard to case one engine takes two of its characters for one, as ss for ß; write [Ss][Ss]",
                        );
                    }
                    self.literal = Some(c);
                    self.said.push(c);
                }
            }
        }
        Ok(())
    }

    /// What follows `\`.
    fn escape(&mut self, in_class: bool) -> Result<(), &'static str> {
        let Some(c) = self.rest.next() else {
            self.said.push('\\');
            return Ok(());
        };
        match c {
            'w' | 'W' if in_class => self.said.push_str(IN_CLASS[usize::from(c == 'W')]),
            'w' => self.said.push_str(WORD),
            'W' => self.said.push_str(NO_WORD),
            'b' | 'B' if !in_class => {
                let (first, second) = if c == 'b' { ("!", "=") } else { ("=", "!") };
                let between = [
                    "(?:(?<=", WORD, ")(?", first, WORD, ")|(?<!", WORD, ")(?", second, WORD, "))",
                ];
                self.said.extend(between);
            }
            'R' | 'Z' if !in_class => {
                return Err(
                    "\\R and \\Z match in other ways in one engine than in another; write the line ends that are meant",
                );
            }
            'G' | 'K' => return Err("\\G and \\K depend on where the search before ended"),
            'p' | 'P' => {
                if self.ignores_case {
                    return Err(
                        "\\p means other characters in one engine than in another where (?i) is in force",
                    );
                }
                self.said.extend(['\\', c]);
                if self.rest.peek() == Some(&'{') {
                    self.property()?;
                }
            }
            _ => self.said.extend(['\\', c]),
        }
        Ok(())
    }

    /// `{…}` after `\p`.
    fn property(&mut self) -> Result<(), &'static str> {
        let from = self.said.len();
        self.said
            .extend(self.rest.by_ref().take_while(|&c| c != '}'));
        let name = self.said[from..].trim_start_matches(['{', '^']);
        let name = name.trim_matches([' ', '_', '-']).to_ascii_lowercase();
        self.said.push('}');
        if UNLIKE_PROPERTIES.contains(&name.as_str()) {
            return Err(
                "\\p{Word}, \\p{Graph} and \\p{Print} hold other characters in one engine than in another",
            );
        }
        Ok(())
    }

    /// What follows `[`, with the classes inside, to the end of the outermost.
    fn class(&mut self) -> Result<(), &'static str> {
        self.said.push('[');
        let mut depth = 1;
        let mut begins = true; // a class; there `]` stands for itself
        let mut before = '[';
        while depth > 0 {
            let Some(c) = self.rest.next() else {
                return Ok(()); // the engine says what is missing
            };
            let next = self.rest.peek().copied();
            let begun = core::mem::take(&mut begins);
            match c {
                '\\' => self.escape(true)?,
                '[' if next == Some(':') => {
                    return Err(
                        "[:…:] holds other characters in one engine than in another; write \\p{…}",
                    );
                }
                '[' => {
                    (depth, begins) = (depth + 1, true);
                    self.said.push(c);
                }
                ']' if begun => self.said.push_str(r"\]"),
                ']' => {
                    depth -= 1;
                    self.said.push(c);
                }
                '-' | '~' if next == Some(c) || before == c => {
                    return Err(
                        "-- and ~~ in brackets are operators in one engine alone; write \\- and \\~",
                    );
                }
                '^' if begun && before == '[' => {
                    begins = true;
                    self.said.push(c);
                }
                _ => self.said.push(c),
            }
            before = c;
        }
        Ok(())
    }

    /// What follows `(`: flags are the group's.
    fn open(&mut self) -> Result<(), &'static str> {
        self.said.push('(');
        let mut after = self.rest.clone();
        if after.clone().take(2).eq(['?', '#']) {
            return Err("a comment cannot be told from the rest here; leave it out");
        }
        let is_flag = |c: &char| c.is_ascii_alphabetic() || *c == '-';
        let has_flags = after.next() == Some('?') && after.peek().is_some_and(is_flag);
        let flags: String = after.clone().take_while(is_flag).collect();
        let end = after.nth(flags.chars().count());
        if !has_flags || !matches!(end, Some(':' | ')')) {
            self.groups.push(self.ignores_case);
            return Ok(());
        }
        if flags.contains(|c| c != 'i' && c != '-') {
            return Err(
                "of all flags (?i) alone means the same to every engine; say in other words what the others do",
            );
        }
        if end == Some(':') {
            self.groups.push(self.ignores_case);
        }
        self.ignores_case = !flags.contains('-');
        self.said.push('?');
        self.said.push_str(&flags);
        self.said.extend(end);
        self.rest = after;
        Ok(())
    }
}

/// Whether there is a character whose case folding is these two, or begins with them (Unicode's CaseFolding.txt, status F), or a repetition
/// of the first could be one.
fn fold_together(first: char, second: char) -> bool {
    let armenian = |c| ('\u{531}'..='\u{58F}').contains(&c);
    match (first.to_ascii_lowercase(), second.to_ascii_lowercase()) {
        ('s', 's' | 't' | '{') | ('f', 'f' | 'i' | 'l' | '{') | ('\u{2BC}', 'n') => true,
        (_, '\u{300}'..='\u{36F}' | '\u{2BE}' | 'ι' | 'Ι') => true,
        (first, second) => armenian(first) && armenian(second),
    }
}
