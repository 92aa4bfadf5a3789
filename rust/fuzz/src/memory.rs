//! A bound on what a parser allocates, in proportion to its input: a header that claims 45 GiB must not get them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn add(nbytes: usize) {
    // The last allocations of a thread come when its thread-locals are gone.
    let _ = LIVE.try_with(|live| {
        live.set(live.get().saturating_add(nbytes));
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

fn remove(nbytes: usize) {
    let _ = LIVE.try_with(|live| live.set(live.get().saturating_sub(nbytes)));
}

// SAFETY: every call is passed on to `System` as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        remove(layout.size());
        // SAFETY: the caller's promise is the same.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        add(new_size);
        remove(layout.size());
        // SAFETY: the caller's promise is the same.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// Run `parse`; a panic if more than `allowed` bytes were allocated at once meanwhile. A reallocation counts twice.
pub fn bounded<T>(allowed: usize, parse: impl FnOnce() -> T) -> T {
    let before = LIVE.get();
    PEAK.set(before);
    let result = parse();
    let used = PEAK.get().saturating_sub(before);
    assert!(
        used <= allowed,
        "{used} bytes allocated at once, {allowed} allowed"
    );
    result
}
