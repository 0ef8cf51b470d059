//! Object stores by URL, and the few things asked of them. It knows no image.

use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use tokio::task::JoinSet;

use crate::error::{Error, Result};

const MIB: usize = 1024 * 1024;

/// An object store. Clones share one connection.
#[derive(Clone)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    url: Arc<str>,
    /// Where it is on this machine, for stores that are directories.
    root: Option<Arc<FilePath>>,
    parts: PartSizes,
    /// Uploads that were dropped and are being aborted.
    aborts: Arc<Mutex<JoinSet<()>>>,
}

/// How much is sent and fetched at once.
#[derive(Clone, Copy, Debug)]
struct PartSizes {
    first: usize,
    largest: usize,
}

impl PartSizes {
    /// A directory has no limit on the number of parts.
    const DIRECTORY: Self = Self { first: MIB, largest: MIB };

    /// How large part number `n` is: it grows with the object, so that a store's limit on their number (10,000) is not
    /// met before 200 GiB, and little memory is taken by objects of ordinary size.
    fn of(self, n: usize) -> usize {
        match n {
            0..2_000 => self.first,
            2_000..5_000 => self.largest.min(self.first * 2),
            _ => self.largest,
        }
    }
}

impl Store {
    /// Opens a store: `file:///…` names a directory that is there. Other kinds of store follow here: each is an
    /// [`ObjectStore`] and its part sizes.
    pub fn open(url: &str) -> Result<Self> {
        let path = directory_of(url)?;
        let meta = std::fs::metadata(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::Configuration(format!(
                "the store's directory {} does not exist: make it, mount what belongs there, or correct the store's URL",
                path.display()
            )),
            _ => Error::of_io(path.display().to_string(), &error),
        })?;
        if !meta.is_dir() {
            let words = format!("{} is not a directory: correct the store's URL", path.display());
            return Err(Error::Configuration(words));
        }
        let inner = LocalFileSystem::new_with_prefix(&path)
            .map_err(|error| Error::of_store(path.display().to_string(), &error))?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self {
            inner: Arc::new(inner),
            url: url.into(),
            root: Some(path.into()),
            parts: PartSizes::DIRECTORY,
            aborts: Arc::default(),
        })
    }

    /// Opens a store, and makes it first where it is a directory that is not there: images hold password verifiers, so
    /// nobody but its owner looks in.
    pub fn create(url: &str) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;

        let path = directory_of(url)?;
        if !path.exists() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(|error| Error::of_io(path.display().to_string(), &error))?;
        }
        Self::open(url)
    }

    /// The URL that it was opened with.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the store is on this machine, for stores that are directories.
    pub(crate) fn root(&self) -> Option<&FilePath> {
        self.root.as_deref()
    }

    pub(crate) fn part_size(&self, n: usize) -> usize {
        self.parts.of(n)
    }

    /// Writes a small object whole; refuses to overwrite one.
    pub async fn create_object(&self, key: &str, bytes: Bytes) -> Result<()> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.inner.put_opts(&path_of(key)?, PutPayload::from_bytes(bytes), options).await;
        put.map(drop).map_err(|error| Error::of_store(key, &error))
    }

    /// Begins an upload in parts.
    pub(crate) async fn upload(&self, key: &str) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart(&path_of(key)?).await.map_err(|error| Error::of_store(key, &error))
    }

    /// The size of an object.
    pub async fn size(&self, key: &str) -> Result<u64> {
        let head = self.inner.head(&path_of(key)?).await;
        head.map(|meta| meta.size).map_err(|error| Error::of_store(key, &error))
    }

    /// Some bytes of an object, fewer only at its end.
    pub async fn range(&self, key: &str, range: std::ops::Range<u64>) -> Result<Bytes> {
        self.inner.get_range(&path_of(key)?, range).await.map_err(|error| Error::of_store(key, &error))
    }

    /// Key and size of every object below a prefix.
    pub async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let path = path_of(prefix)?;
        let objects = self.inner.list(Some(&path)).map_ok(|meta| (meta.location.to_string(), meta.size));
        objects.try_collect().await.map_err(|error| Error::of_store(prefix, &error))
    }

    /// Takes an object away; one that is not there is fine.
    pub async fn remove(&self, key: &str) -> Result<()> {
        match self.inner.delete(&path_of(key)?).await.map_err(|error| Error::of_store(key, &error)) {
            Err(Error::Missing { .. }) => Ok(()),
            other => other,
        }
    }

    /// Gives up an upload in the background; [`Store::settle`] waits for it.
    pub(crate) fn abandon(&self, mut upload: Box<dyn MultipartUpload>) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let abort = async move {
                // What a store keeps of an upload that was never completed is no object, and is swept.
                let _ = upload.abort().await;
            };
            self.aborts.lock().unwrap_or_else(PoisonError::into_inner).spawn_on(abort, &runtime);
        }
    }

    /// Waits until every upload that was dropped is aborted. Call it before the process ends.
    pub async fn settle(&self) {
        let mut aborts = std::mem::take(&mut *self.aborts.lock().unwrap_or_else(PoisonError::into_inner));
        while aborts.join_next().await.is_some() {}
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.url)
    }
}

/// A key as the store takes it: what would be changed on the way is refused.
pub(crate) fn path_of(key: &str) -> Result<Path> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(letter);
    if key.len() > 512 || !key.split('/').all(part) {
        let words =
            format!("{key:?} cannot be a key in a store: use letters, digits, - _ . and single slashes");
        return Err(Error::Configuration(words));
    }
    Ok(Path::from(key))
}

/// The directory that a URL names.
fn directory_of(url: &str) -> Result<PathBuf> {
    let refused = |words: String| Err(Error::Configuration(words));
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
            ("file:///no/such/place", "does not exist"),
            ("file:///etc/passwd", "not a directory"),
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
            assert!(path_of(key).is_err(), "{key:?}");
        }
        assert_eq!(
            path_of("images/0-1/1/rows-0-1.zst").expect("a key").as_ref(),
            "images/0-1/1/rows-0-1.zst"
        );
    }

    #[test]
    fn parts_grow_with_the_object() {
        let parts = PartSizes { first: 8 * MIB, largest: 32 * MIB };
        let all: usize = (0..10_000).map(|n| parts.of(n)).sum();
        assert!(all > 200 * 1024 * MIB, "{all}");
        assert_eq!(parts.of(0), 8 * MIB);
    }
}
