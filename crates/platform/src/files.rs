//! File operations for which a missing file is a normal case.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;

use crate::error::Result;

/// Removes a directory and its content; a missing one counts as removed.
pub(crate) async fn remove_dir(dir: &Path) -> Result<()> {
    let removed = tokio::fs::remove_dir_all(dir).await.or_else(missing_is_fine);
    Ok(removed.with_context(|| format!("remove {}", dir.display()))?)
}

/// Turns the error of a removal into success if the file did not exist.
pub(crate) fn missing_is_fine(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
