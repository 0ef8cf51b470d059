//! An object store by its address. Directories today; other kinds are other arms of [`Store::open`] and nothing else.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::task::JoinSet;

use crate::error::{Error, Result};

/// An object store.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) inner: Arc<dyn ObjectStore>,
    url: String,
    /// Where it is, if it is a directory: a killed writer's staging files are found only there.
    directory: Option<PathBuf>,
    /// Bytes of a part of an upload at first.
    pub(crate) part: usize,
    /// Uploads that were dropped and are being aborted.
    abandoned: Arc<Mutex<JoinSet<()>>>,
}

/// The smallest part that every object store takes (S3's limit).
const SMALLEST_PART: usize = 5 * 1024 * 1024;

impl Store {
    /// Opens the store at `url`: `file:///absolute/path`. Other kinds of store follow here.
    ///
    /// # Errors
    /// The address is of no kind that this program knows, or the directory cannot be made or read.
    pub fn open(url: &str) -> Result<Self> {
        let directory = directory_of(url)?;
        if !directory.is_dir() {
            make_private(&directory).map_err(|error| Error::io(&directory.display().to_string(), error))?;
        }
        Self::existing(url)
    }

    /// Opens the store at `url` to read from: nothing is made there.
    ///
    /// # Errors
    /// The address is of no kind that this program knows, or there is no such directory.
    pub fn existing(url: &str) -> Result<Self> {
        let directory = directory_of(url)?;
        if !directory.is_dir() {
            let place = directory.display();
            let words = format!(
                "the store's directory {place} does not exist: mount what belongs there, or correct the URL"
            );
            return Err(Error::Unsupported(words));
        }
        let inner = LocalFileSystem::new_with_prefix(&directory)
            .map_err(|error| Error::of(url, error))?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self {
            inner: Arc::new(inner),
            url: url.to_owned(),
            directory: Some(directory),
            part: 1024 * 1024,
            abandoned: Arc::default(),
        })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Bytes of part number `number` of an upload, from 0. A directory has no limit on their number; where there is one
    /// (10,000), parts grow with the object, so that little memory is taken by objects of ordinary size.
    pub(crate) fn part_size(&self, number: u64) -> usize {
        match number {
            _ if self.directory.is_some() => self.part,
            0..2000 => self.part.max(SMALLEST_PART),
            2000..5000 => self.part.max(SMALLEST_PART) * 2,
            _ => self.part.max(SMALLEST_PART) * 4,
        }
    }

    /// Reads a small object whole.
    ///
    /// # Errors
    /// It is not there, or the store does not give it.
    pub async fn get(&self, key: &str) -> Result<Bytes> {
        let got = self.inner.get(&path(key)?).await.map_err(|error| Error::of(key, error))?;
        got.bytes().await.map_err(|error| Error::of(key, error))
    }

    /// Writes a small object, over one that is there.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn put(&self, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let payload = PutPayload::from_bytes(bytes.into());
        self.inner.put(&path(key)?, payload).await.map(drop).map_err(|error| Error::of(key, error))
    }

    /// Writes a small object if there is none of that key.
    ///
    /// # Errors
    /// [`Error::Exists`], or the store does not take it.
    pub async fn create(&self, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let payload = PutPayload::from_bytes(bytes.into());
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.inner.put_opts(&path(key)?, payload, options).await;
        put.map(drop).map_err(|error| Error::of(key, error))
    }

    /// How many bytes an object has.
    ///
    /// # Errors
    /// It is not there, or the store does not say.
    pub async fn size(&self, key: &str) -> Result<u64> {
        self.inner.head(&path(key)?).await.map(|meta| meta.size).map_err(|error| Error::of(key, error))
    }

    /// Keys and sizes of everything below a prefix, the keys relative to the store.
    ///
    /// # Errors
    /// The store does not list it.
    pub async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let objects = self.inner.list(Some(&path(prefix)?));
        objects
            .map_ok(|meta| (meta.location.to_string(), meta.size))
            .try_collect()
            .await
            .map_err(|error| Error::of(prefix, error))
    }

    /// Deletes an object; one that is not there is fine.
    ///
    /// # Errors
    /// The store does not let us.
    pub async fn delete(&self, key: &str) -> Result<()> {
        match self.inner.delete(&path(key)?).await.map_err(|error| Error::of(key, error)) {
            Ok(()) | Err(Error::Missing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes an image or what an attempt at one left: the manifest first, so that what remains of a half-done deletion
    /// is no image. Repeating it is fine.
    ///
    /// # Errors
    /// The store does not let us.
    pub async fn delete_image(&self, prefix: &str) -> Result<()> {
        self.delete(&format!("{prefix}/{}", crate::MANIFEST)).await?;
        for (key, _) in self.list(prefix).await? {
            self.delete(&key).await?;
        }
        self.sweep(prefix).await.map(drop)
    }

    /// Takes away what an attempt wrote that did not come to its end, all but its log. Repeating it is fine.
    ///
    /// # Errors
    /// [`Error::Exists`] if there is a manifest, for then it is an image; or the store does not let us.
    pub async fn discard(&self, prefix: &str) -> Result<()> {
        let all = self.list(prefix).await?;
        let manifest = format!("{prefix}/{}", crate::MANIFEST);
        if all.iter().any(|(key, _)| *key == manifest) {
            return Err(Error::Exists(manifest));
        }
        for (key, _) in all {
            if !key.strip_prefix(prefix).and_then(|key| key.strip_prefix('/')).is_some_and(crate::is_log) {
                self.delete(&key).await?;
            }
        }
        self.sweep(prefix).await.map(drop)
    }

    /// Removes the files that uploads into a directory left when their process was killed (`name#1`), which a list does
    /// not show: how many. Call it only where nobody writes. Other stores forget such uploads by themselves.
    ///
    /// # Errors
    /// The store does not let us.
    pub async fn sweep(&self, prefix: &str) -> Result<u64> {
        let Some(directory) = &self.directory else { return Ok(0) };
        let below = directory.join(path(prefix)?.as_ref());
        let swept = tokio::task::spawn_blocking(move || sweep(&below)).await;
        let swept =
            swept.map_err(|error| Error::Transient { key: prefix.to_owned(), cause: error.to_string() })?;
        swept.map_err(|error| Error::io(prefix, error))
    }

    /// Gives up an upload in the background; [`Store::settle`] waits for it.
    pub(crate) fn abandon(&self, give_up: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).spawn_on(give_up, &runtime);
        }
    }

    /// Waits until every upload that was dropped is aborted. Call it before the process ends.
    pub async fn settle(&self) {
        let mut abandoned =
            std::mem::take(&mut *self.abandoned.lock().unwrap_or_else(PoisonError::into_inner));
        while abandoned.join_next().await.is_some() {}
    }
}

/// Removes staging files below a directory, and the directories that are empty then.
fn sweep(directory: &std::path::Path) -> std::io::Result<u64> {
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

/// Images hold password verifiers: nobody but the owner looks in.
fn make_private(directory: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// A key as the store takes it: what would be changed on the way, or lead out of the store, is refused.
pub(crate) fn path(key: &str) -> Result<Path> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(letter);
    if key.len() > 512 || !key.split('/').all(part) {
        let words = format!("{key:?} is no key of a store: use letters, digits, - _ . and single slashes");
        return Err(Error::Unsupported(words));
    }
    Ok(Path::from(key))
}

/// The directory that a URL names.
fn directory_of(url: &str) -> Result<PathBuf> {
    let refused = |words: String| Err(Error::Unsupported(words));
    let Some((scheme, rest)) = url.split_once("://") else {
        return refused(format!("{url:?} is not a store's URL: write file:///a/directory"));
    };
    match scheme {
        "file" => decode(rest).filter(|path| path.is_absolute()).map_or_else(
            || {
                refused(format!(
                    "{url:?} names no absolute path: write file:///a/directory, with three slashes"
                ))
            },
            Ok,
        ),
        "az" | "azure" | "abfs" | "abfss" | "s3" | "s3a" => refused(format!(
            "this build of Toygres keeps images in directories only ({scheme}:// is not in it yet): use a file:///… URL"
        )),
        _ => refused(format!("{scheme}:// is no kind of store that Toygres knows: use a file:///… URL")),
    }
}

/// The path of a file URL, its %XX decoded.
fn decode(rest: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;

    let mut bytes = Vec::with_capacity(rest.len());
    let mut left = rest.bytes();
    while let Some(byte) = left.next() {
        if byte == b'%' {
            let digits = [left.next()?, left.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    (!bytes.contains(&0)).then(|| PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_name_no_store_are_refused_with_the_reason() {
        for (url, word) in [
            ("/var/images", "not a store's URL"),
            ("file://var/images", "three slashes"),
            ("s3://bucket/x", "directories only"),
            ("az://account/x", "directories only"),
            ("ftp://x", "no kind of store"),
            ("file:///%zz", "no absolute path"),
        ] {
            let refused = Store::open(url).expect_err(url);
            assert!(refused.to_string().contains(word), "{url}: {refused}");
            assert_eq!(refused.class(), model::ExitClass::Configuration);
        }
    }

    #[test]
    fn keys_that_leave_the_prefix_are_refused() {
        for key in ["", "/a", "a/", "a//b", "../a", "a/../b", ".a", "a#1", "a b", "a\n", "ä"] {
            assert!(path(key).is_err(), "{key:?}");
        }
        assert_eq!(path("images/0-1/1/rows-0-1.zst").expect("a key").as_ref(), "images/0-1/1/rows-0-1.zst");
    }
}
