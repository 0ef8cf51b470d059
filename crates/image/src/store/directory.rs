//! A store in a directory: creation, removal of staging files, and the classification of its errors.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::FailureCode;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use super::causes;
use crate::error::{Error, Result, code_of_io};

/// Opens a directory.
pub(crate) fn open(directory: &Path) -> Result<Arc<dyn ObjectStore>> {
    let opened = LocalFileSystem::new_with_prefix(directory)
        .map_err(|error| classify(&directory.display().to_string(), &error))?;
    Ok(Arc::new(opened.with_fsync(true).with_automatic_cleanup(true)))
}

/// Creates a directory that only its owner can read: images contain password verifiers.
pub(crate) fn create_private(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    created.map_err(|error| {
        let path = directory.display().to_string();
        match error.kind() {
            ErrorKind::AlreadyExists => {
                Error::new(FailureCode::StoreSettingsInvalid, path, "not a directory")
            }
            _ => Error::io(path, &error),
        }
    })
}

/// The keys and sizes of the objects below a prefix. Links are no objects, and are not followed: what is listed may be deleted,
/// and who can write the directory must not choose what.
pub(crate) fn list(directory: &Path, prefix: &str) -> std::io::Result<Vec<(String, u64)>> {
    let mut objects = Vec::new();
    if let Some(below) = without_links(directory, prefix)? {
        collect(&below, prefix, &mut objects)?;
    }
    Ok(objects)
}

/// The directory of a prefix; none if it does not exist or can be reached through a link only.
fn without_links(directory: &Path, prefix: &str) -> std::io::Result<Option<PathBuf>> {
    let mut below = directory.to_owned();
    for part in prefix.split('/').filter(|part| !part.is_empty()) {
        below.push(part);
        match below.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(below))
}

fn collect(directory: &Path, key: &str, objects: &mut Vec<(String, u64)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let child = if key.is_empty() { name.clone() } else { format!("{key}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), &child, objects)?;
        } else if kind.is_file() && !is_staging(&name) {
            match entry.metadata() {
                Ok(metadata) => objects.push((child, metadata.len())),
                // Deleted meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Removes the staging files below a prefix, then the empty directories. Links are not followed. Returns the number of files.
pub(crate) fn sweep(directory: &Path, prefix: &str) -> std::io::Result<u64> {
    without_links(directory, prefix)?.map_or(Ok(0), |below| sweep_below(&below))
}

fn sweep_below(directory: &Path) -> std::io::Result<u64> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            swept += sweep_below(&entry.path())?;
        } else if is_staging(&entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path())?;
            swept += 1;
        }
    }
    // Fails for a directory that is not empty, which must stay.
    let _ = std::fs::remove_dir(directory);
    Ok(swept)
}

fn is_staging(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Classifies an error of the client about `key`.
pub(crate) fn classify(key: &str, error: &object_store::Error) -> Error {
    let os_error = causes::of(error).find_map(|cause| cause.downcast_ref::<std::io::Error>());
    let code = match error {
        object_store::Error::NotFound { .. } => FailureCode::ObjectMissing,
        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
            FailureCode::ObjectExists
        }
        object_store::Error::PermissionDenied { .. } => FailureCode::StorePermissionDenied,
        _ => os_error.map_or(FailureCode::StoreUnavailable, |error| code_of_io(error.kind())),
    };
    let detail = os_error.map_or_else(|| error.to_string(), ToString::to_string);
    Error::new(code, key, detail)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn file_is_no_directory() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for path in [file.path().to_owned(), file.path().join("below")] {
            let error = create_private(&path).expect_err("an error");
            assert_eq!(error.code(), FailureCode::StoreSettingsInvalid, "{}", path.display());
        }
    }

    #[test]
    fn errors_of_the_operating_system_have_codes() {
        // ENOSPC, EDQUOT, EROFS, EACCES, EIO
        for (errno, code) in [
            (28, FailureCode::StoreFull),
            (122, FailureCode::StoreFull),
            (30, FailureCode::StoreReadOnly),
            (13, FailureCode::StorePermissionDenied),
            (5, FailureCode::StoreUnavailable),
        ] {
            let source = Box::new(io::Error::from_raw_os_error(errno));
            let error =
                classify("images/a/1/x", &object_store::Error::Generic { store: "LocalFileSystem", source });
            assert_eq!(error.code(), code, "{error}");
            assert_eq!(error.failure().subject.as_deref(), Some("images/a/1/x"));
        }
    }

    #[tokio::test]
    async fn deletion_does_not_follow_links() {
        let (directory, other) =
            (tempfile::tempdir().expect("created"), tempfile::tempdir().expect("created"));
        for name in ["precious", "precious#1"] {
            std::fs::write(other.path().join(name), "x").expect("written");
        }
        let url = format!("file://{}", directory.path().display());
        let store = crate::Store::open(&url, &crate::StoreOptions::default()).expect("opened");
        store.create("images/a/1/object", "x").await.expect("created");
        std::os::unix::fs::symlink(other.path(), directory.path().join("images/a/1/link")).expect("linked");
        std::os::unix::fs::symlink(other.path(), directory.path().join("images/b")).expect("linked");
        let listed = store.list("images/a").await.expect("listed");
        assert_eq!(listed, [("images/a/1/object".to_owned(), 1)]);
        for prefix in ["images/a/1", "images/b"] {
            store.delete_image(prefix).await.expect("deleted");
        }
        assert!(other.path().join("precious").exists() && other.path().join("precious#1").exists());
        assert!(!directory.path().join("images/a/1/object").exists());
    }

    #[tokio::test]
    async fn file_in_the_place_of_a_directory_is_an_invalid_setting() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("file");
        std::fs::write(&file, "x").expect("written");
        let error = create_private(&file.join("below")).expect_err("not a directory");
        assert_eq!(error.code(), FailureCode::StoreSettingsInvalid, "{error}");
    }
}
