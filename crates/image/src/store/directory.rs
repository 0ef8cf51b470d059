//! A store that is a directory: the only kind that needs making, and that keeps the remains of killed writers.

use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use crate::error::{Error, Result};

/// Opens a directory.
pub(crate) fn open(directory: &Path) -> Result<Arc<dyn ObjectStore>> {
    let shown = directory.display().to_string();
    let opened = LocalFileSystem::new_with_prefix(directory).map_err(|error| Error::of(&shown, error))?;
    Ok(Arc::new(opened.with_fsync(true).with_automatic_cleanup(true)))
}

/// Images hold password verifiers: nobody but the owner looks in.
pub(crate) fn make_private(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| Error::io(&directory.display().to_string(), error))
}

/// Removes staging files below a directory, and the directories that are empty then.
pub(crate) fn sweep(directory: &Path) -> std::io::Result<u64> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            swept += sweep(&entry.path())?;
        } else if is_staging(&entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path())?;
            swept += 1;
        }
    }
    // It stays where something is in it, as it should.
    let _ = std::fs::remove_dir(directory);
    Ok(swept)
}

fn is_staging(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
}
