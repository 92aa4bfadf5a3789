//! The threads that share the CPU's operations: this one, and helpers that wait for its next operation.
//!
//! An operation takes some ten microseconds and the next follows at once. A helper looks for it without a pause for a while before it
//! sleeps, for to be woken takes longer than that. Chosen by measurement beside rayon (docs/PERFORMANCE.md), whose threads give the
//! processor away while they wait: on a busy machine they came too late for nearly every operation.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{hint, io};

use anyhow::Context;
use pocketlm_inference::cpu::Threads;

/// How long a helper looks for work before it sleeps: longer than sampling a token takes, during which there is none.
const PATIENCE: Duration = Duration::from_micros(500);
/// How often this thread looks whether a helper is done before it lets others have the processor.
const LOOKS: u32 = 10_000;

type Work<'a> = &'a (dyn Fn() + Sync);

/// Nothing to do.
const IDLE: u8 = 0;
/// Work is there, and nobody has begun it.
const POSTED: u8 = 1;
/// The helper is at it.
const TAKEN: u8 = 2;
/// The program ends.
const OVER: u8 = 3;

/// Where a helper finds its work. The thread that posts it takes it back, or waits for its end, before it goes on.
struct Post {
    state: AtomicU8,
    /// Written while the state is IDLE, by who posts; read while it is TAKEN, by the helper.
    work: UnsafeCell<Option<Work<'static>>>,
    has_panicked: AtomicBool,
}

// SAFETY: `work`, the one field that is not Sync by itself, is handed over by `state`.
unsafe impl Sync for Post {}

impl Post {
    /// Take the work that is posted, and do it.
    fn help(&self) -> bool {
        let taken =
            self.state
                .compare_exchange(POSTED, TAKEN, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            return false;
        }
        // SAFETY: it was written before the state became POSTED, and is not written while it is TAKEN.
        if let Some(work) = unsafe { *self.work.get() }
            && catch_unwind(AssertUnwindSafe(work)).is_err()
        {
            self.has_panicked.store(true, Ordering::Relaxed);
        }
        self.state.store(IDLE, Ordering::Release);
        true
    }

    /// Do what is posted, until the program ends.
    fn serve(&self) {
        let mut idle_since = Instant::now();
        while self.state.load(Ordering::Relaxed) != OVER {
            if self.help() {
                idle_since = Instant::now();
            } else if idle_since.elapsed() < PATIENCE {
                for _ in 0..16 {
                    hint::spin_loop();
                }
            } else {
                thread::park(); // who posts work wakes it, also where that was just before
                idle_since = Instant::now();
            }
        }
    }

    /// Take back the work that was posted here, or wait until it is done.
    fn settle(&self) {
        let back = self
            .state
            .compare_exchange(POSTED, IDLE, Ordering::Relaxed, Ordering::Relaxed);
        let mut looks = 0;
        while back.is_err() && self.state.load(Ordering::Acquire) != IDLE {
            looks += 1;
            if looks < LOOKS {
                hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }
}

/// This thread and its helpers.
pub struct Pool {
    helpers: Vec<(Arc<Post>, JoinHandle<()>)>,
    /// Held while work is posted.
    posting: Mutex<()>,
}

impl Pool {
    /// `count` threads, this one among them.
    ///
    /// # Errors
    /// The operating system gives no more threads.
    pub fn new(count: usize) -> anyhow::Result<Self> {
        let helper = |_| {
            let post = Arc::new(Post {
                state: AtomicU8::new(IDLE),
                work: UnsafeCell::new(None),
                has_panicked: AtomicBool::new(false),
            });
            let served = post.clone();
            let thread = thread::Builder::new().spawn(move || served.serve())?;
            Ok((post, thread))
        };
        let helpers: io::Result<Vec<_>> = (1..count).map(helper).collect();
        Ok(Self {
            helpers: helpers.with_context(|| format!("cannot start {count} threads"))?,
            posting: Mutex::new(()),
        })
    }
}

/// The posts of some work, which is taken back or over when they are dropped: also where this thread's share of it panics.
struct Posted<'a>(&'a [(Arc<Post>, JoinHandle<()>)]);

impl Drop for Posted<'_> {
    fn drop(&mut self) {
        for (post, _) in self.0 {
            post.settle();
        }
    }
}

impl Threads for Pool {
    fn count(&self) -> usize {
        self.helpers.len() + 1
    }

    fn run(&self, work: &(dyn Fn() + Sync)) {
        // Work that comes while other work is posted is done by who brings it.
        let _posting = match self.posting.try_lock() {
            Ok(posting) => posting,
            Err(TryLockError::Poisoned(error)) => error.into_inner(), // work that panicked was settled, too
            Err(TryLockError::WouldBlock) => return work(),
        };
        // SAFETY: `Posted` lets nobody hold it when this function is left.
        let shared = unsafe { std::mem::transmute::<Work<'_>, Work<'static>>(work) };
        let posted = Posted(&self.helpers);
        for (post, helper) in &self.helpers {
            // SAFETY: the state is IDLE, for the last work was settled: the helper does not read it.
            unsafe { *post.work.get() = Some(shared) };
            post.has_panicked.store(false, Ordering::Relaxed);
            post.state.store(POSTED, Ordering::Release);
            helper.thread().unpark();
        }
        work();
        drop(posted);
        for (post, _) in &self.helpers {
            assert!(
                !post.has_panicked.load(Ordering::Relaxed),
                "a thread panicked"
            );
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for (post, helper) in self.helpers.drain(..) {
            post.state.store(OVER, Ordering::Relaxed);
            helper.thread().unpark();
            // A helper catches what its work panics with.
            let _ = helper.join();
        }
    }
}

/// As many threads as this process may have processors.
pub fn available() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use pocketlm_inference::cpu::Threads;

    use super::Pool;

    /// Parts taken by turns, as the engine has them.
    fn sum_of_parts(pool: &Pool, parts: usize) -> usize {
        let (next, sum) = (AtomicUsize::new(0), AtomicUsize::new(0));
        pool.run(&|| {
            loop {
                let part = next.fetch_add(1, Ordering::Relaxed);
                if part >= parts {
                    return;
                }
                sum.fetch_add(part, Ordering::Relaxed);
            }
        });
        sum.into_inner()
    }

    #[test]
    fn all_parts_are_done_when_it_returns() {
        for count in 1..5 {
            let pool = Pool::new(count).expect("threads");
            assert_eq!(pool.count(), count);
            for parts in 0..2000 {
                assert_eq!(sum_of_parts(&pool, parts), (0..parts).sum::<usize>());
            }
        }
    }

    #[test]
    fn a_helper_that_sleeps_is_woken() {
        let pool = Pool::new(2).expect("threads");
        thread::sleep(3 * super::PATIENCE);
        let calls = AtomicUsize::new(0);
        pool.run(&|| {
            // Each waits for the other: one thread alone would not come to an end.
            calls.fetch_add(1, Ordering::SeqCst);
            while calls.load(Ordering::SeqCst) < 2 {
                thread::sleep(Duration::from_micros(50));
            }
        });
        assert_eq!(calls.into_inner(), 2);
    }

    #[test]
    fn work_within_work_is_done() {
        let pool = Pool::new(3).expect("threads");
        let sum = AtomicUsize::new(0);
        pool.run(&|| {
            sum.fetch_add(sum_of_parts(&pool, 10), Ordering::Relaxed);
        });
        let sum = sum.into_inner();
        assert!(sum >= 45 && sum.is_multiple_of(45), "{sum}");
    }

    #[test]
    fn a_panic_of_any_thread_is_the_callers() {
        let pool = Pool::new(2).expect("threads");
        let main = thread::current().id();
        for of_main in [true, false] {
            let calls = AtomicUsize::new(0);
            let result = catch_unwind(AssertUnwindSafe(|| {
                pool.run(&|| {
                    calls.fetch_add(1, Ordering::SeqCst);
                    while calls.load(Ordering::SeqCst) < 2 {
                        thread::sleep(Duration::from_micros(50));
                    }
                    assert!((thread::current().id() == main) != of_main);
                });
            }));
            assert!(result.is_err());
        }
        assert_eq!(sum_of_parts(&pool, 100), 4950);
    }
}
