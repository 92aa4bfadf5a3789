//! Native command line of PocketLM.
fn main() {}
