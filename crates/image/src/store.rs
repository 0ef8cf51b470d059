//! Object stores, opened by their address, and what uploads need of them. It does not know the content of images.

pub(crate) mod address;
mod azcopy;
mod backend;
mod causes;
mod directory;
mod error_codes;
mod error_response;
mod network;
mod objects;
mod options;
pub(crate) mod parts;
mod reading;
mod remote;
mod sas;
mod space;
mod token;

use std::sync::{Arc, Mutex, PoisonError};

use model::FailureCode;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
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

    /// Whether it is a directory or a mounted volume.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.backend.directory().is_some()
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
