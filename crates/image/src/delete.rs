//! Takes images away, and what was left of unfinished ones. It does not know whether anybody still needs them.

use crate::error::{Error, Result};
use crate::store::{Store, path_of};
use crate::write::keys;

/// Takes an image away, the manifest first: whatever happens then, what is left is no image. Repeating it is fine.
pub async fn delete(store: &Store, prefix: &str) -> Result<()> {
    store.remove(&format!("{prefix}/{}", keys::MANIFEST)).await?;
    for (key, _) in store.list(prefix).await? {
        store.remove(&key).await?;
    }
    sweep(store, prefix).await?;
    Ok(())
}

/// Takes away what an attempt wrote that did not come to its end, all but its log. An image that has a manifest is refused.
pub async fn discard(store: &Store, prefix: &str) -> Result<()> {
    let all = store.list(prefix).await?;
    let manifest = format!("{prefix}/{}", keys::MANIFEST);
    if all.iter().any(|(key, _)| *key == manifest) {
        return Err(Error::Exists { key: manifest });
    }
    for (key, _) in all {
        if !key.rsplit('/').next().is_some_and(keys::is_log) {
            store.remove(&key).await?;
        }
    }
    sweep(store, prefix).await?;
    Ok(())
}

/// Takes away the files that uploads into a directory left when their process was killed (`name#1`): how many. Call it only
/// where nobody writes any more. Other stores forget such uploads by themselves.
pub async fn sweep(store: &Store, prefix: &str) -> Result<u64> {
    path_of(prefix)?;
    let Some(root) = store.root().map(|root| root.join(prefix)) else { return Ok(0) };
    let failed = |error: std::io::Error| Error::of_io(prefix, &error);
    let swept = tokio::task::spawn_blocking(move || sweep_directory(&root)).await;
    swept
        .map_err(|error| Error::Transient { key: prefix.to_owned(), why: error.to_string() })?
        .map_err(failed)
}

fn sweep_directory(directory: &std::path::Path) -> std::io::Result<u64> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            swept += sweep_directory(&entry.path())?;
        } else if is_staging(&entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path())?;
            swept += 1;
        }
    }
    // It fails where something is left, which is what is wanted.
    let _ = std::fs::remove_dir(directory);
    Ok(swept)
}

fn is_staging(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
}
