//! What measuring a GPU's kernels has found, kept in the user's cache folder: one file for all adapters and models.

use std::path::PathBuf;
use std::{env, fs, io, process};

/// Where it is kept; `None` where the environment names no folder.
fn path() -> Option<PathBuf> {
    let folder = |name| {
        let value = env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    let cache = folder("XDG_CACHE_HOME")
        .or_else(|| folder("LOCALAPPDATA"))
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("pocketlm").join("tunings"))
}

/// What is known; empty where nothing is, or it cannot be read: then it is measured again.
pub fn read() -> String {
    let text = path().and_then(|path| fs::read_to_string(path).ok());
    text.unwrap_or_default()
}

/// Keep it for the next time, whole or not at all.
///
/// # Errors
/// The folder's.
pub fn write(text: &str) -> io::Result<()> {
    let Some(path) = path() else { return Ok(()) };
    let new = path.with_extension(format!("{}", process::id()));
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(&new, text)?;
    fs::rename(&new, &path)
}
