//! From a path to a checked [`Model`].

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use pocketlm_inference::{EngineError, Model};

/// Read and check a model.bin.
///
/// # Errors
/// One line that names the file: it cannot be read, or what [`Model::parse`] found.
pub fn load(path: &Path) -> anyhow::Result<Arc<Model>> {
    let named = || format!("cannot read {}", path.display());
    let metadata = fs::metadata(path).with_context(named)?;
    if metadata.is_dir() {
        bail!(
            "{} is a directory; give the model.bin in it",
            path.display()
        );
    }
    if !metadata.is_file() {
        bail!("{} is not a regular file", path.display());
    }
    let bytes = fs::read(path).with_context(named)?;
    let model = Model::parse(bytes)
        .map_err(EngineError::from)
        .with_context(|| path.display().to_string())?;
    Ok(Arc::new(model))
}
