//! An object store by its address. Directories today; other kinds are other arms of [`Store::open`] and nothing else.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

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
}

/// The smallest part that every object store takes (S3's limit).
const SMALLEST_PART: usize = 5 * 1024 * 1024;

impl Store {
    /// Opens the store at `url`: `file:///absolute/path`.
    ///
    /// # Errors
    /// The address is of no kind that this program knows, or the directory cannot be made or read.
    pub fn open(url: &str) -> Result<Self> {
        let Some(path) = url.strip_prefix("file://") else {
            let kind = url.split("://").next().unwrap_or_default();
            return Err(Error::Unsupported(format!(
                "{kind}:// is no kind of store that this version knows: use file:///absolute/path"
            )));
        };
        if !path.starts_with('/') {
            return Err(Error::Unsupported(format!(
                "{url} is no absolute path: a directory is file:///absolute/path"
            )));
        }
        let directory = PathBuf::from(path);
        if !directory.is_dir() {
            make_private(&directory).map_err(|error| Error::io(url, error))?;
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
        })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Bytes of part number `number` of an upload, from 0: larger parts later, because their number is limited.
    pub(crate) fn part_size(&self, number: u64) -> usize {
        if number < 1000 { self.part } else { (self.part * 8).max(SMALLEST_PART) }
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
        self.sweep(prefix).await
    }

    /// Removes what a killed writer left below a prefix and a list does not show: staging files of a directory.
    async fn sweep(&self, prefix: &str) -> Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let below = directory.join(path(prefix)?.as_ref());
        match tokio::fs::remove_dir_all(&below).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(prefix, error)),
            _ => Ok(()),
        }
    }
}

/// Images hold password verifiers: nobody but the owner looks in.
fn make_private(directory: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

pub(crate) fn path(key: &str) -> Result<Path> {
    Path::parse(key).map_err(|_| Error::Unsupported(format!("{key:?} is no key of a store")))
}
