//! Constants that several rooms share.

/// Tokens of a prompt that are read at once. A caller that wants to be able to stop gives prompts in pieces of this size.
pub const PREFILL_CHUNK: usize = 64;

/// The most tokens that a GPU samples in one submission. A batch must end well before an operating system takes the GPU for hung
/// (2 s), on slow adapters too.
pub const RING: u32 = 16;
