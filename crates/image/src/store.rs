//! An object store by its address: small objects in and out, lists, deletions. It knows nothing of what an image is but
//! the name of its manifest.

mod address;
mod answer;
mod azcopy;
mod directory;
mod known;
mod options;
mod place;
mod remote;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use tokio::task::JoinSet;

use self::address::Address;
pub(crate) use self::address::path;
use self::azcopy::Azcopy;
pub use self::options::{ROOT_CERTIFICATE, StoreOptions, TRANSFER};
use self::place::Place;
use crate::error::{Error, Result};

/// An object store.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    url: String,
    place: Place,
    /// Bytes of a part of an upload at first.
    pub(crate) part: usize,
    /// What carries large objects, if not the library.
    azcopy: Option<Arc<Azcopy>>,
    /// Uploads that were dropped and are being aborted.
    abandoned: Arc<Mutex<JoinSet<()>>>,
}

/// The smallest part that every object store takes (S3's limit).
const SMALLEST_PART: usize = 5 * 1024 * 1024;
/// Bytes of one read: small enough for memory, large enough for the way there.
const CHUNK_HERE: u64 = 1024 * 1024;
const CHUNK_FAR: u64 = 4 * 1024 * 1024;

impl Store {
    /// Opens the store at `url`: `file:///absolute/path`, `pvc://claim/prefix`, `az://account/container/prefix`,
    /// `s3://bucket/prefix`. A directory that is not there is made; nothing else is, and nobody is asked yet.
    ///
    /// # Errors
    /// The address or the options are wrong, or the directory cannot be made or read.
    pub fn open(url: &str, options: &StoreOptions) -> Result<Self> {
        if let Address::Directory(directory) | Address::Claim { directory, .. } = mounted(url)?
            && !directory.is_dir()
        {
            directory::make_private(&directory)?;
        }
        Self::existing(url, options)
    }

    /// Opens the store at `url` to read from: nothing is made there.
    ///
    /// # Errors
    /// The address or the options are wrong, or there is no such directory.
    pub fn existing(url: &str, options: &StoreOptions) -> Result<Self> {
        let mut azcopy = None;
        let (inner, place) = match mounted(url)? {
            Address::Directory(directory) | Address::Claim { directory, .. } => {
                if !directory.is_dir() {
                    let place = directory.display();
                    return Err(Error::Settings(format!(
                        "the store's directory {place} does not exist: mount what belongs there, or correct the URL"
                    )));
                }
                (directory::open(&directory)?, Place::Directory(directory))
            }
            Address::Azure { account, container, prefix } => {
                azcopy = Azcopy::chosen(&account, &container, &prefix, options)?.map(Arc::new);
                remote::azure(&account, &container, &prefix, options)?
            }
            Address::S3 { bucket, prefix } => remote::s3(&bucket, &prefix, options)?,
        };
        let (url, part) = (url.to_owned(), 1024 * 1024);
        Ok(Self { inner, url, place, part, azcopy, abandoned: Arc::default() })
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
            _ if self.place.directory().is_some() => self.part,
            0..2000 => self.part.max(SMALLEST_PART),
            2000..5000 => self.part.max(SMALLEST_PART) * 2,
            _ => self.part.max(SMALLEST_PART) * 4,
        }
    }

    /// Bytes of one read.
    pub(crate) fn chunk(&self) -> u64 {
        if self.place.directory().is_some() { CHUNK_HERE } else { CHUNK_FAR }
    }

    /// Sorts what the library says about `key`.
    pub(crate) fn error(&self, key: &str, error: object_store::Error) -> Error {
        self.place.error(key, error)
    }

    /// Begins an upload.
    pub(crate) async fn begin(&self, key: &str) -> Result<Box<dyn MultipartUpload>> {
        match &self.azcopy {
            Some(azcopy) => azcopy.begin(key, Arc::clone(&self.inner)),
            None => self.inner.put_multipart(&path(key)?).await.map_err(|error| self.error(key, error)),
        }
    }

    /// Reads a small object whole.
    ///
    /// # Errors
    /// It is not there, or the store does not give it.
    pub async fn get(&self, key: &str) -> Result<Bytes> {
        let got = self.inner.get(&path(key)?).await.map_err(|error| self.error(key, error))?;
        got.bytes().await.map_err(|error| self.error(key, error))
    }

    /// Reads a range of the object whose version is `etag` (any, if none is known yet), and says which version it is.
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
                return Err(Error::corrupt(key, "it was written over while it was read"));
            }
            other => other.map_err(|error| self.error(key, error))?,
        };
        let etag = got.meta.e_tag.clone();
        Ok((got.bytes().await.map_err(|error| self.error(key, error))?, etag))
    }

    /// Writes a small object, over one that is there.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn put(&self, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let payload = PutPayload::from_bytes(bytes.into());
        self.inner.put(&path(key)?, payload).await.map(drop).map_err(|error| self.error(key, error))
    }

    /// Writes a small object if there is none of that key. What is there and equal is taken for our own: a request whose
    /// answer was lost is sent again.
    ///
    /// # Errors
    /// [`Error::Exists`], or the store does not take it.
    pub async fn create(&self, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let bytes = bytes.into();
        let payload = PutPayload::from_bytes(bytes.clone());
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = self.inner.put_opts(&path(key)?, payload, options).await;
        match put.map_err(|error| self.error(key, error)) {
            Err(Error::Exists(_)) if self.get(key).await.is_ok_and(|there| there == bytes) => Ok(()),
            other => other.map(drop),
        }
    }

    /// How many bytes an object has.
    ///
    /// # Errors
    /// It is not there, or the store does not say.
    pub async fn size(&self, key: &str) -> Result<u64> {
        match self.inner.head(&path(key)?).await {
            Ok(meta) => Ok(meta.size),
            // The answer to this question has no body, so no code of the provider's: asked for bytes, it says why not.
            Err(error) => match self.range(key, 0..1, None).await {
                Err(told @ (Error::Denied(_) | Error::Settings(_))) => Err(told),
                _ => Err(self.error(key, error)),
            },
        }
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
            .map_err(|error| self.error(prefix, error))
    }

    /// Deletes an object; one that is not there is fine.
    ///
    /// # Errors
    /// The store does not let us.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.delete_all(&[key.to_owned()]).await
    }

    /// Deletes objects, many by one request where the store can; those that are not there are fine.
    ///
    /// # Errors
    /// The store does not let us.
    pub(crate) async fn delete_all(&self, keys: &[String]) -> Result<()> {
        let paths: Vec<_> = keys.iter().map(|key| path(key)).collect::<Result<_>>()?;
        let mut deleted = self.inner.delete_stream(stream::iter(paths.into_iter().map(Ok)).boxed());
        let shown = keys.first().map_or("", String::as_str);
        while let Some(one) = deleted.next().await {
            match one.map_err(|error| self.error(shown, error)) {
                Ok(_) | Err(Error::Missing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes the files that uploads into a directory left when their process was killed (`name#1`), which a list does
    /// not show: how many. Call it only where nobody writes. Other stores forget such uploads by themselves.
    ///
    /// # Errors
    /// The store does not let us.
    pub async fn sweep(&self, prefix: &str) -> Result<u64> {
        let Some(directory) = self.place.directory() else { return Ok(0) };
        let below = directory.join(path(prefix)?.as_ref());
        let swept = tokio::task::spawn_blocking(move || directory::sweep(&below)).await;
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

/// The address, a claim's only where the claim is mounted: a directory that is made in its stead would not be on it.
fn mounted(url: &str) -> Result<Address> {
    let address = Address::parse(url)?;
    if let Address::Claim { claim, mount, .. } = &address
        && !mount.is_dir()
    {
        let mount = mount.display();
        return Err(Error::Settings(format!(
            "the claim {claim} is not mounted here: mount it at {mount}, in the server's pods as in those of jobs (which Toygres does)"
        )));
    }
    Ok(address)
}
