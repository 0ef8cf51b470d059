//! Object stores, opened by their address: small objects, lists and deletions. It does not know the content of images.

pub(crate) mod address;
mod azcopy;
mod backend;
mod causes;
mod directory;
mod error_codes;
mod error_response;
mod network;
mod options;
pub(crate) mod parts;
mod reading;
mod remote;
mod sas;
mod space;
mod token;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use model::FailureCode;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use tokio::task::JoinSet;

use self::address::Address;
pub(crate) use self::address::path;
use self::azcopy::Azcopy;
use self::backend::Backend;
pub use self::network::host_and_port;
pub use self::options::{NETWORK, ROOT_CERTIFICATE, StoreOptions, TRANSFER};
use self::parts::Parts;
pub use self::reading::Reading;
pub use self::space::Space;
use crate::error::{Error, Result};

/// An object store: a directory, a container of Azure Blob Storage or a bucket of S3. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    url: String,
    backend: Backend,
    /// azcopy, if it uploads the objects.
    azcopy: Option<Arc<Azcopy>>,
    parts: Parts,
    /// Tasks that abort dropped uploads.
    abandoned: Arc<Mutex<JoinSet<()>>>,
}

/// The size of one read from a directory, in bytes.
const LOCAL_CHUNK: u64 = 1024 * 1024;
/// The size of one read from a remote store, in bytes: larger, because of its latency.
const REMOTE_CHUNK: u64 = 4 * 1024 * 1024;

impl Store {
    /// Opens the store at `url`: `file:///absolute/path`, `pvc://claim/prefix`, `az://account/container/prefix`,
    /// `s3://bucket/prefix`. A directory is created if it does not exist. Remote stores are not contacted yet.
    ///
    /// # Errors
    /// The address or the options are invalid, or the directory cannot be created or read.
    pub fn open(url: &str, options: &StoreOptions) -> Result<Self> {
        if let Address::Directory(directory) | Address::Claim { directory, .. } = mounted(url)?
            && !directory.is_dir()
        {
            directory::create_private(&directory)?;
        }
        Self::existing(url, options)
    }

    /// Opens the store at `url`, as [`Store::open`] does, but creates nothing.
    ///
    /// # Errors
    /// The address or the options are invalid, or the directory does not exist.
    pub fn existing(url: &str, options: &StoreOptions) -> Result<Self> {
        let mut azcopy = None;
        let (inner, backend) = match mounted(url)? {
            Address::Directory(directory) | Address::Claim { directory, .. } => {
                if !directory.is_dir() {
                    let subject = directory.display().to_string();
                    let detail = "the directory does not exist";
                    return Err(Error::new(FailureCode::StoreContainerMissing, subject, detail));
                }
                (directory::open(&directory)?, Backend::Directory(directory))
            }
            Address::Azure { account, container, prefix } => {
                azcopy = Azcopy::selected(&account, &container, &prefix, options)?.map(Arc::new);
                let (inner, remote) = remote::azure(&account, &container, &prefix, options)?;
                (inner, Backend::Remote(remote))
            }
            Address::S3 { bucket, prefix } => {
                let (inner, remote) = remote::s3(&bucket, &prefix, options)?;
                (inner, Backend::Remote(remote))
            }
        };
        let parts = if backend.directory().is_some() { Parts::Local } else { Parts::Remote };
        Ok(Self { inner, url: url.to_owned(), backend, azcopy, parts, abandoned: Arc::default() })
    }

    /// The same store, with parts of one byte.
    #[cfg(test)]
    pub(crate) fn with_tiny_parts(self) -> Self {
        Self { parts: Parts::Tiny, ..self }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The size in bytes of part `number` (from 0) of an upload.
    pub(crate) fn part_size(&self, number: u64) -> usize {
        self.parts.size(number)
    }

    /// Refuses part `number` (from 0) of an upload beyond what remote stores accept.
    ///
    /// # Errors
    /// [`FailureCode::ObjectTooLarge`].
    pub(crate) fn admit_part(&self, key: &str, number: u64) -> Result<()> {
        match self.parts.largest_object() {
            Some(limit) if number >= parts::MOST => {
                let detail = format!("the compressed data exceed {limit} bytes, the most of one object");
                Err(Error::new(FailureCode::ObjectTooLarge, key, detail))
            }
            _ => Ok(()),
        }
    }

    /// The size of one read, in bytes.
    pub(crate) fn chunk(&self) -> u64 {
        if self.backend.directory().is_some() { LOCAL_CHUNK } else { REMOTE_CHUNK }
    }

    /// Classifies an error of the client about `key`.
    pub(crate) fn error(&self, key: &str, error: &object_store::Error) -> Error {
        self.backend.classify(key, error)
    }

    /// Starts an upload.
    pub(crate) async fn begin(&self, key: &str) -> Result<Box<dyn MultipartUpload>> {
        match &self.azcopy {
            Some(azcopy) => azcopy.begin(key, Arc::clone(&self.inner)),
            None => self.inner.put_multipart(&path(key)?).await.map_err(|error| self.error(key, &error)),
        }
    }

    /// Reads a small object into memory.
    ///
    /// # Errors
    /// [`FailureCode::ObjectMissing`], or the store refuses or fails.
    pub async fn get(&self, key: &str) -> Result<Bytes> {
        let got = self.inner.get(&path(key)?).await.map_err(|error| self.error(key, &error))?;
        got.bytes().await.map_err(|error| self.error(key, &error))
    }

    /// Reads an object of at most `limit` bytes into memory.
    ///
    /// # Errors
    /// It does not exist, it is larger, or the store refuses or fails.
    pub(crate) async fn get_at_most(&self, key: &str, limit: u64) -> Result<Bytes> {
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
    /// [`FailureCode::ObjectMissing`], or the store refuses or fails.
    pub async fn size(&self, key: &str) -> Result<u64> {
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

    /// Whether it is a directory or a mounted volume.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.backend.directory().is_some()
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

    /// Aborts an upload in the background; [`Store::settle`] waits for it.
    pub(crate) fn abandon(&self, abort: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).spawn_on(abort, &runtime);
        }
    }

    /// Waits until all dropped uploads are aborted. Call it before the process ends.
    pub async fn settle(&self) {
        let mut abandoned =
            std::mem::take(&mut *self.abandoned.lock().unwrap_or_else(PoisonError::into_inner));
        while abandoned.join_next().await.is_some() {}
    }
}

/// Parses an address. Fails if the volume of a claim is not mounted: a directory created there would not be on the volume.
fn mounted(url: &str) -> Result<Address> {
    let address = Address::parse(url)?;
    if let Address::Claim { claim, mount, .. } = &address
        && !mount.is_dir()
    {
        let detail = format!("the volume of claim {claim} is not mounted at {}", mount.display());
        return Err(Error::settings(url, detail));
    }
    Ok(address)
}

/// Whether a code explains why the store refuses, as opposed to an object that does not exist or an outage.
fn is_refusal(code: FailureCode) -> bool {
    code.is_permanent() && !matches!(code, FailureCode::ObjectMissing | FailureCode::ObjectDamaged)
}
