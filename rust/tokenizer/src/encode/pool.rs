//! Encoding with threads, by encoders that stay warm from one call to the next.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZero;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::thread;

use super::{Encoder, Memory};
use crate::added::Specials;
use crate::tokenizer::Tokenizer;

/// A thread takes so many bytes of text at a time, or one document: a millisecond's work, other sizes were not tried.
const PORTION_NBYTES: usize = 256 << 10;

/// A tokenizer and the caches of encoders that are not at work. Shared by any number of threads.
///
/// There are never more caches than encoders at work at once, and at most two a core are kept: memory is bounded by
/// [`Encoder::MAX_CACHE_NBYTES`] times that number.
///
/// ```
/// # use std::sync::Arc;
/// # use pocketlm_tokenizer::{Pool, train::{TrainConfig, train}};
/// # let config = TrainConfig { vocab_size: 260, ..TrainConfig::default() };
/// let tokenizer = Arc::new(train(["to be or not to be"], &config)?);
/// let pool = Pool::new(tokenizer);
/// let (ids, ends) = pool.encode_batch(&["to be", "or not"], false, 2);
/// assert_eq!(ids[..ends[0]], pool.encode("to be", false));
/// # Ok::<(), pocketlm_tokenizer::TokenizerError>(())
/// ```
#[derive(Debug)]
pub struct Pool {
    tokenizer: Arc<Tokenizer>,
    idle: Mutex<Vec<Box<Memory>>>,
    most_idle: usize,
}

/// The number of threads that run at once on this machine.
pub fn all_threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

impl Pool {
    /// A pool of encoders that have seen nothing.
    pub fn new(tokenizer: Arc<Tokenizer>) -> Self {
        Self {
            tokenizer,
            idle: Mutex::default(),
            most_idle: 2 * all_threads(),
        }
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// The ids of `text`; added tokens in it become their own ids where `special`, see [`Encoder::encode_with_special`].
    pub fn encode(&self, text: &str, special: bool) -> Vec<u32> {
        let mut ids = Vec::new();
        self.with_encoder(|encoder| encoder.encode_as(text, Specials::all_if(special), &mut ids));
        ids
    }

    /// As [`Pool::encode`], by up to `threads` threads where the text is long and can be cut.
    pub fn encode_long(&self, text: &str, special: bool, threads: usize) -> Vec<u32> {
        self.encode_batch(&[text], special, threads).0
    }

    /// The ids of all `texts`, one after the other, and where each text's end, by up to `threads` threads, which share a long text too
    /// where it can be cut.
    pub fn encode_batch<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        special: bool,
        threads: usize,
    ) -> (Vec<u32>, Vec<usize>) {
        let is_long = |text: &T| text.as_ref().len() >= 2 * PORTION_NBYTES;
        if threads < 2
            || !texts.iter().any(is_long)
            || !self.tokenizer.looks_at_pieces_alone(special)
        {
            return self.encode_whole(texts, special, threads);
        }
        let mut parts = Vec::new();
        let counts = texts.iter().map(|text| {
            self.cut(text.as_ref(), &mut parts);
            parts.len()
        });
        let counts: Vec<usize> = counts.collect();
        let (ids, ends) = self.encode_whole(&parts, special, threads);
        // A text is one part at the least, if only an empty one.
        (
            ids,
            counts.into_iter().map(|count| ends[count - 1]).collect(),
        )
    }

    /// Append the parts of a text, of about PORTION_NBYTES each, whose ids are together the text's.
    fn cut<'t>(&self, text: &'t str, parts: &mut Vec<&'t str>) {
        let mut rest = text;
        while rest.len() >= 2 * PORTION_NBYTES {
            let mut near = PORTION_NBYTES;
            while !rest.is_char_boundary(near) {
                near -= 1;
            }
            let at = match self.tokenizer.split().safe_cut(&rest[..near]) {
                0 => break,
                at => at,
            };
            let (part, after) = rest.split_at(at);
            parts.push(part);
            rest = after;
        }
        parts.push(rest);
    }

    /// As [`Pool::encode_batch`], each text by one thread.
    fn encode_whole<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        special: bool,
        threads: usize,
    ) -> (Vec<u32>, Vec<usize>) {
        let portions = portions(texts);
        let threads = threads.clamp(1, portions.len().max(1));
        let encode = |portion: &[T]| {
            self.with_encoder(|encoder| {
                let mut ids = Vec::new();
                let ends = portion.iter().map(|text| {
                    encoder.encode_as(text.as_ref(), Specials::all_if(special), &mut ids);
                    ids.len()
                });
                let ends: Vec<usize> = ends.collect();
                (ids, ends)
            })
        };
        if threads == 1 {
            return encode(texts);
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(&(start, end)) = portions.get(index) else {
                    return done;
                };
                done.push((index, encode(&texts[start..end])));
            }
        };
        let mut results = vec![Default::default(); portions.len()];
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for other in others {
                done.extend(other.join().expect("encoding does not panic"));
            }
            for (index, result) in done {
                results[index] = result;
            }
        });
        join(results)
    }

    /// Lend an encoder, as warm as there is one.
    pub fn with_encoder<R>(&self, work: impl FnOnce(&mut Encoder<'_>) -> R) -> R {
        // A thread that panicked left no cache behind, and the list is sound at any time.
        let idle = || {
            self.idle
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        };
        let memory = idle().pop().unwrap_or_else(Memory::new);
        let mut encoder = Encoder {
            tokenizer: &self.tokenizer,
            memory,
        };
        let result = work(&mut encoder);
        let mut idle = idle();
        if idle.len() < self.most_idle {
            idle.push(encoder.memory);
        }
        result
    }
}

/// Ranges of texts of about PORTION_NBYTES together.
fn portions<T: AsRef<str>>(texts: &[T]) -> Vec<(usize, usize)> {
    let mut portions = Vec::new();
    let (mut start, mut nbytes) = (0, 0);
    for (index, text) in texts.iter().enumerate() {
        nbytes += text.as_ref().len();
        if nbytes >= PORTION_NBYTES || index + 1 == texts.len() {
            portions.push((start, index + 1));
            (start, nbytes) = (index + 1, 0);
        }
    }
    portions
}

/// All ids in one list, and all ends.
fn join(results: Vec<(Vec<u32>, Vec<usize>)>) -> (Vec<u32>, Vec<usize>) {
    let mut ids = Vec::with_capacity(results.iter().map(|(ids, _)| ids.len()).sum());
    let mut ends = Vec::with_capacity(results.iter().map(|(_, ends)| ends.len()).sum());
    for (more, more_ends) in results {
        ends.extend(more_ends.into_iter().map(|end| ids.len() + end));
        ids.extend(more);
    }
    (ids, ends)
}
