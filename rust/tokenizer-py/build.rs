//! Tells the linker that the interpreter's symbols come at load time, which macOS wants to hear.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
