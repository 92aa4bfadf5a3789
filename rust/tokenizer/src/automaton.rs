//! Finds the leftmost of many patterns in a text, of those that begin there the longest, in time linear in the text.
//!
//! A trie of the patterns' bytes, in which each node knows the longest other beginning of a pattern that its own bytes end with: there
//! the search goes on where a byte does not fit. Source: Aho & Corasick 1975, "Efficient String Matching".

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::ops::Range;

/// A node's number; they stand by depth, so that the children of a node stand side by side, by their bytes.
type Node = u32;
const ROOT: Node = 0;
/// No pattern.
const NONE: u32 = u32::MAX;
/// More kinds of first bytes than this are looked up one byte after another.
const FEW: usize = 4;
/// Bytes of a text that are compared together with a few first bytes.
const BLOCK: usize = 32;

/// Numbers by their texts; equal texts by their numbers. By a heap, since the standard library's sorts are ten times the code.
pub(crate) fn sorted_by_text<'t>(
    numbers: impl Iterator<Item = u32>,
    text: impl Fn(u32) -> &'t [u8],
) -> Vec<u32> {
    let heap: BinaryHeap<_> = numbers.map(|number| (text(number), number)).collect();
    let sorted = heap.into_sorted_vec().into_iter();
    sorted.map(|(_, number)| number).collect()
}

/// Patterns, ready to be looked for.
#[derive(Clone)]
pub(crate) struct Automaton {
    /// The last byte of each node.
    bytes: Vec<u8>,
    /// How long its bytes are.
    depths: Vec<u32>,
    /// Its first child; with the next node's, where they end.
    children: Vec<Node>,
    /// The longest proper end of its bytes that is a node's.
    falls: Vec<Node>,
    /// The longest pattern that its bytes end with, and that pattern's length.
    ends: Vec<(u32, u32)>,
    /// The kinds of first bytes, where they are few.
    few: Vec<u8>,
}

impl Automaton {
    /// Of the texts of patterns, each of a byte and more; of equal ones the first is found.
    pub fn new(texts: &[Vec<u8>]) -> Self {
        let sorted = sorted_by_text(0..texts.len() as u32, |pattern| &texts[pattern as usize]);
        let mut this = Self {
            bytes: alloc::vec![0],
            depths: alloc::vec![0],
            children: Vec::new(),
            falls: alloc::vec![ROOT],
            ends: alloc::vec![(NONE, 0)],
            few: Vec::new(),
        };
        // Of each node, in their order: which of the sorted patterns begin with its bytes.
        let mut begun = alloc::vec![0..sorted.len()];
        let mut node = 0;
        while node < begun.len() {
            let Range { mut start, end } = begun[node].clone();
            let depth = this.depths[node] as usize;
            let text = |at: usize| &texts[sorted[at] as usize];
            while start < end && text(start).len() == depth {
                start += 1;
            }
            this.children.push(begun.len() as Node);
            while start < end {
                let byte = text(start)[depth];
                let more = (start..end)
                    .take_while(|&at| text(at)[depth] == byte)
                    .count();
                let is_pattern = text(start).len() == depth + 1;
                this.add_child(node as Node, byte, is_pattern.then(|| sorted[start]));
                begun.push(start..start + more);
                start += more;
            }
            node += 1;
        }
        this.children.push(node as Node);
        if this.children_of(ROOT).len() <= FEW {
            this.few = this.bytes[this.children_of(ROOT)].to_vec();
        }
        this
    }

    /// A node below one whose children are not yet all there, and the pattern that it is. The children of all nodes before that one are.
    fn add_child(&mut self, parent: Node, byte: u8, pattern: Option<u32>) {
        // The parent's falls are shorter than it, and so stand before it with all their children.
        let fall = match parent {
            ROOT => ROOT,
            _ => self.step(self.falls[parent as usize], byte),
        };
        let depth = self.depths[parent as usize] + 1;
        let end = pattern.map_or(self.ends[fall as usize], |pattern| (pattern, depth));
        self.bytes.push(byte);
        self.depths.push(depth);
        self.falls.push(fall);
        self.ends.push(end);
    }

    fn children_of(&self, node: Node) -> Range<usize> {
        self.children[node as usize] as usize..self.children[node as usize + 1] as usize
    }

    /// The node of the longest end of this one's bytes and `byte` that there is.
    fn step(&self, mut node: Node, byte: u8) -> Node {
        loop {
            let children = self.children_of(node);
            if let Ok(nth) = self.bytes[children.clone()].binary_search(&byte) {
                return (children.start + nth) as Node;
            }
            if node == ROOT {
                return ROOT;
            }
            node = self.falls[node as usize];
        }
    }

    /// The leftmost pattern in `text` from a byte on, the longest of those that begin there: where it is, and its number.
    pub fn find(&self, text: &[u8], from: usize) -> Option<(Range<usize>, usize)> {
        let mut found: Option<(Range<usize>, usize)> = None;
        let mut node = ROOT;
        let mut at = from;
        loop {
            if node == ROOT {
                if found.is_some() {
                    return found;
                }
                at += self.first_byte(&text[at..])?;
            }
            let Some(&byte) = text.get(at) else {
                return found;
            };
            node = self.step(node, byte);
            at += 1;
            // What is being read begins here. Where that is behind what was found, nothing can begin before it or be longer.
            let begins = at - self.depths[node as usize] as usize;
            if let Some((place, _)) = &found
                && begins > place.start
            {
                return found;
            }
            let (pattern, len) = self.ends[node as usize];
            if pattern != NONE {
                let start = at - len as usize;
                if found.as_ref().is_none_or(|(place, _)| start <= place.start) {
                    found = Some((start..at, pattern as usize));
                }
            }
        }
    }

    /// Where a pattern's first byte stands.
    fn first_byte(&self, text: &[u8]) -> Option<usize> {
        let begins = |byte: &u8| {
            self.bytes[self.children_of(ROOT)]
                .binary_search(byte)
                .is_ok()
        };
        if self.few.is_empty() {
            return text.iter().position(begins);
        }
        // A loop without a way out, which the compiler turns into vectors.
        let holds = |block: &[u8; BLOCK]| {
            let mut hit = false;
            for first in &self.few {
                for byte in block {
                    hit |= byte == first;
                }
            }
            hit
        };
        let (blocks, _) = text.as_chunks::<BLOCK>();
        let skipped = blocks.iter().take_while(|block| !holds(block)).count() * BLOCK;
        text[skipped..]
            .iter()
            .position(begins)
            .map(|at| skipped + at)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::ops::Range;

    use super::Automaton;
    use crate::random;

    /// The same by trying every pattern at every place.
    fn naive(texts: &[Vec<u8>], text: &[u8], from: usize) -> Option<(Range<usize>, usize)> {
        (from..text.len()).find_map(|start| {
            let here = texts
                .iter()
                .enumerate()
                .filter(|(_, pattern)| text[start..].starts_with(pattern));
            let (number, pattern) = here.rev().max_by_key(|(_, pattern)| pattern.len())?;
            Some((start..start + pattern.len(), number))
        })
    }

    fn word(random: &mut impl FnMut(usize) -> usize, longest: usize, letters: usize) -> Vec<u8> {
        let len = 1 + random(longest);
        (0..len).map(|_| b'a' + random(letters) as u8).collect()
    }

    #[test]
    fn finds_what_trying_every_pattern_everywhere_finds() {
        let mut random = random::numbers();
        for round in 0..3000 {
            let letters = 1 + random(12);
            let texts: Vec<_> = (0..1 + random(9))
                .map(|_| word(&mut random, 6, letters))
                .collect();
            let automaton = Automaton::new(&texts);
            let oracle = aho_corasick::AhoCorasick::builder()
                .match_kind(aho_corasick::MatchKind::LeftmostLongest)
                .build(&texts)
                .unwrap();
            // In letters that begin no pattern, too, and longer than a few blocks.
            let longest = if round % 10 == 0 { 300 } else { 30 };
            let letters = letters + random(9);
            let text = word(&mut random, longest, letters);
            let mut from = 0;
            loop {
                let found = automaton.find(&text, from);
                assert_eq!(
                    found,
                    naive(&texts, &text, from),
                    "{texts:?} in {text:?} from {from}"
                );
                let place = found.map(|(place, _)| place);
                let input = aho_corasick::Input::new(&text).range(from..);
                assert_eq!(place, oracle.find(input).map(|found| found.range()));
                match place {
                    Some(place) => {
                        from = if random(2) == 0 {
                            place.end
                        } else {
                            place.start + 1
                        }
                    }
                    None => break,
                }
            }
        }
    }

    #[test]
    fn reads_a_text_once_however_long_the_patterns_are() {
        // Trying them everywhere would take 5·10⁹ comparisons.
        let texts = [[&[b'a'; 50_000][..], b"b"].concat(), b"c".to_vec()];
        let text = [&[b'a'; 100_000][..], b"c"].concat();
        let found = Automaton::new(&texts).find(&text, 0);
        assert_eq!(found, Some((100_000..100_001, 1)));
    }
}
