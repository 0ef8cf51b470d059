//! Small objects, lists and deletions.

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use model::FailureCode;
use object_store::{GetOptions, GetRange, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::{Store, directory, path};
use crate::error::{Error, Result};

impl Store {
    /// Reads a small object into memory.
    ///
    /// # Errors
    /// [`FailureCode::ObjectMissing`], [`FailureCode::ObjectDamaged`] if a special file is in its place, or the store refuses
    /// or fails.
    pub async fn get(&self, key: &str) -> Result<Bytes> {
        self.require_regular(key).await?;
        let got = self.inner.get(&path(key)?).await.map_err(|error| self.error(key, &error))?;
        got.bytes().await.map_err(|error| self.error(key, &error))
    }

    /// Reads an object of at most `limit` bytes into memory.
    ///
    /// # Errors
    /// It does not exist, it is larger, or the store refuses or fails.
    pub(crate) async fn get_at_most(&self, key: &str, limit: u64) -> Result<Bytes> {
        self.require_regular(key).await?;
        let got = self.inner.get(&path(key)?).await.map_err(|error| self.error(key, &error))?;
        let mut stream = got.into_stream();
        let mut bytes = BytesMut::new();
        while let Some(part) = stream.try_next().await.map_err(|error| self.error(key, &error))? {
            bytes.extend_from_slice(&part);
            // Counted, because a store may send more than it announced.
            if bytes.len() as u64 > limit {
                return Err(Error::damaged(key, format!("the object is larger than {limit} bytes")));
            }
        }
        Ok(bytes.freeze())
    }

    /// Reads a range of the object with the version `etag` (any version if none), and returns the version that it has.
    pub(crate) async fn range(
        &self,
        key: &str,
        range: std::ops::Range<u64>,
        etag: Option<String>,
    ) -> Result<(Bytes, Option<String>)> {
        self.require_regular(key).await?;
        let options =
            GetOptions { range: Some(GetRange::Bounded(range)), if_match: etag, ..GetOptions::default() };
        let got = match self.inner.get_opts(&path(key)?, options).await {
            Err(object_store::Error::Precondition { .. }) => {
                return Err(Error::damaged(key, "the object was overwritten while it was read"));
            }
            other => other.map_err(|error| self.error(key, &error))?,
        };
        let etag = got.meta.e_tag.clone();
        Ok((got.bytes().await.map_err(|error| self.error(key, &error))?, etag))
    }

    /// Fails if a directory has a FIFO, a socket or a device in the place of the object: the client would wait until another
    /// process writes to the FIFO, and a device can have no end.
    async fn require_regular(&self, key: &str) -> Result<()> {
        let Some(directory) = self.backend.directory() else { return Ok(()) };
        match tokio::fs::metadata(directory.join(path(key)?.as_ref())).await {
            Ok(found) if !found.is_file() && !found.is_dir() => {
                Err(Error::damaged(key, "the object is not a regular file"))
            }
            // The client reports a missing object; a directory is no object.
            _ => Ok(()),
        }
    }

    /// Writes a small object; an existing one is replaced.
    ///
    /// # Errors
    /// The store refuses or fails.
    pub async fn put(&self, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let payload = PutPayload::from_bytes(bytes.into());
        self.inner.put(&path(key)?, payload).await.map(drop).map_err(|error| self.error(key, &error))
    }

    /// Creates a small object. It succeeds if an equal object exists: a retry of a request whose response was lost. A store
    /// may report an object that exists as a refusal, if the credentials do not allow to replace it.
    ///
    /// # Errors
    /// [`FailureCode::ObjectExists`] if another object exists, or the store refuses or fails.
    pub async fn create(&self, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let bytes = bytes.into();
        let payload = PutPayload::from_bytes(bytes.clone());
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.inner.put_opts(&path(key)?, payload, options).await;
        let Err(error) = put.map_err(|error| self.error(key, &error)) else { return Ok(()) };
        let is_refused = error.code() == FailureCode::StoreAccessDenied;
        if error.code() != FailureCode::ObjectExists && !is_refused {
            return Err(error);
        }
        match self.get(key).await {
            Ok(existing) if existing == bytes => Ok(()),
            Ok(_) if is_refused => Err(Error::new(FailureCode::ObjectExists, key, error.failure().detail)),
            _ => Err(error),
        }
    }

    /// The size of an object in bytes.
    ///
    /// # Errors
    /// [`FailureCode::ObjectMissing`], [`FailureCode::ObjectDamaged`] if a special file is in its place, or the store refuses
    /// or fails.
    pub async fn size(&self, key: &str) -> Result<u64> {
        self.require_regular(key).await?;
        match self.inner.head(&path(key)?).await {
            Ok(meta) => Ok(meta.size),
            // A response to HEAD has no body, hence no error code of the provider. The response to GET has one.
            Err(error) => match self.range(key, 0..1, None).await {
                Err(explained) if is_refusal(explained.code()) => Err(explained),
                _ => Err(self.error(key, &error)),
            },
        }
    }

    /// The keys, relative to the store, and the sizes of all objects below a prefix.
    ///
    /// # Errors
    /// The store refuses or fails.
    pub async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        self.list_each(prefix).await?.try_collect().await
    }

    /// Like [`Store::list`], one after the other.
    pub(crate) async fn list_each(&self, prefix: &str) -> Result<BoxStream<'_, Result<(String, u64)>>> {
        let subject = prefix.to_owned();
        if let Some(directory) = self.backend.directory() {
            let (directory, prefix_path) = (directory.to_owned(), path(prefix)?);
            let listed =
                tokio::task::spawn_blocking(move || directory::list(&directory, prefix_path.as_ref())).await;
            let listed = listed.map_err(|error| Error::internal(prefix, error))?;
            let objects = listed.map_err(|error| Error::io(prefix, &error))?;
            return Ok(futures::stream::iter(objects.into_iter().map(Ok)).boxed());
        }
        let objects = self.inner.list(Some(&path(prefix)?));
        let objects = objects.map_ok(|meta| (meta.location.to_string(), meta.size));
        Ok(objects.map_err(move |error| self.error(&subject, &error)).boxed())
    }

    /// Deletes an object. Succeeds if it does not exist.
    ///
    /// # Errors
    /// The store refuses or fails.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.delete_all(&[key.to_owned()]).await
    }

    /// Deletes objects, in batches if the store supports that. Objects that do not exist are ignored.
    ///
    /// # Errors
    /// The store refuses or fails.
    pub(crate) async fn delete_all(&self, keys: &[String]) -> Result<()> {
        let paths: Vec<_> = keys.iter().map(|key| path(key)).collect::<Result<_>>()?;
        let mut deleted = self.inner.delete_stream(stream::iter(paths.into_iter().map(Ok)).boxed());
        let first = keys.first().map_or("", String::as_str);
        while let Some(one) = deleted.next().await {
            match one.map_err(|error| self.error(first, &error)) {
                Err(error) if error.code() != FailureCode::ObjectMissing => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes the staging files (`name#1`) that killed processes left in a directory, which lists do not contain. Returns
    /// their number. Call it only while no upload writes below the prefix. Remote stores remove such parts automatically.
    ///
    /// # Errors
    /// The directory cannot be read or changed.
    pub async fn sweep(&self, prefix: &str) -> Result<u64> {
        let Some(directory) = self.backend.directory() else { return Ok(0) };
        let (directory, below) = (directory.to_owned(), path(prefix)?);
        let swept = tokio::task::spawn_blocking(move || directory::sweep(&directory, below.as_ref())).await;
        let swept = swept.map_err(|error| Error::internal(prefix, error))?;
        swept.map_err(|error| Error::io(prefix, &error))
    }
}

/// Whether a code explains why the store refuses, as opposed to an object that does not exist or an outage.
fn is_refusal(code: FailureCode) -> bool {
    code.is_permanent() && !matches!(code, FailureCode::ObjectMissing | FailureCode::ObjectDamaged)
}
