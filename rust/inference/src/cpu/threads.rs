//! What the CPU backend computes with: the instructions and the threads that its caller has.
//!
//! The engine has no threads of its own (it knows no `std`): work that falls into parts goes to the caller's [`Threads`].

use core::sync::atomic::{AtomicUsize, Ordering};

use super::isa::Isa;

/// Threads that share a piece of work.
pub trait Threads: Send + Sync {
    /// How many there are, the calling one among them: at least 1.
    fn count(&self) -> usize;

    /// Call `work` on this thread and at the same time on others, and return when all calls have returned.
    ///
    /// Every call takes parts until none is left. So one call does all of the work, another thread's is a help, and one that comes too
    /// late does nothing: there is no need to wait for a thread that has not begun.
    fn run(&self, work: &(dyn Fn() + Sync));
}

/// The calling thread alone.
#[derive(Debug, Clone, Copy)]
pub struct OneThread;

impl Threads for OneThread {
    fn count(&self) -> usize {
        1
    }

    fn run(&self, work: &(dyn Fn() + Sync)) {
        work();
    }
}

/// Instructions and threads.
#[derive(Clone, Copy)]
pub struct Cores<'a> {
    /// The instructions of the matrix loop.
    pub isa: Isa,
    /// The threads that share an operation.
    pub threads: &'a dyn Threads,
}

impl Cores<'static> {
    /// What every processor has, on one thread.
    pub const PORTABLE: Self = Self {
        isa: Isa::PORTABLE,
        threads: &OneThread,
    };
}

impl Cores<'_> {
    /// Call `part` once with each number below `parts`, on all threads.
    ///
    /// No number is given out twice, whatever the caller's [`Threads`] do: a part may rely on having what belongs to it alone.
    ///
    /// # Panics
    /// Where [`Threads::run`] never called its work.
    pub(super) fn for_each(self, parts: usize, part: impl Fn(usize) + Sync) {
        if parts <= 1 || self.threads.count() == 1 {
            (0..parts).for_each(part);
            return;
        }
        let next = AtomicUsize::new(0);
        self.threads.run(&|| {
            loop {
                // Relaxed: it only counts. What the parts write is handed over by the end of the calls.
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= parts {
                    return;
                }
                part(index);
            }
        });
        assert!(
            next.into_inner() >= parts,
            "Threads::run returned before its work was called"
        );
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use alloc::vec::Vec;
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::{Cores, Isa, OneThread, Threads};

    struct Scoped(usize);

    impl Threads for Scoped {
        fn count(&self) -> usize {
            self.0
        }

        fn run(&self, work: &(dyn Fn() + Sync)) {
            thread::scope(|scope| {
                for _ in 1..self.0 {
                    scope.spawn(work);
                }
                work();
            });
        }
    }

    struct Idle;

    impl Threads for Idle {
        fn count(&self) -> usize {
            2
        }

        fn run(&self, _: &(dyn Fn() + Sync)) {}
    }

    fn cores(threads: &dyn Threads) -> Cores<'_> {
        Cores {
            isa: Isa::PORTABLE,
            threads,
        }
    }

    #[test]
    fn every_part_runs_once() {
        for (threads, parts) in [(1, 5), (2, 0), (2, 1), (3, 2), (4, 1000)] {
            let runs: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
            cores(&Scoped(threads)).for_each(parts, |index| {
                runs[index].fetch_add(1, Ordering::Relaxed);
            });
            assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
        }
        let runs = AtomicUsize::new(0);
        cores(&OneThread).for_each(7, |index| {
            runs.fetch_add(index, Ordering::Relaxed);
        });
        assert_eq!(runs.into_inner(), 21);
    }

    #[test]
    #[should_panic(expected = "before its work was called")]
    fn work_that_was_left_undone_is_noticed() {
        cores(&Idle).for_each(2, |_| {});
    }
}
