//! Reads an image: the manifest first, then its objects, each checked to its end. It knows no PostgreSQL.

use bytes::Bytes;
use model::{Manifest, Object};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use crate::compress::FrameDecoder;
use crate::error::{Error, Result};
use crate::index::{IndexEntry, RowsEntry, from_lines};
use crate::manifest;
use crate::rows_read::RowsReader;
use crate::store::{Store, path_of};
use crate::write::keys;

/// The largest manifest, and the largest object that is read whole: what memory is lent for.
const WHOLE: u64 = 64 * 1024 * 1024;

/// An image that has a manifest.
#[derive(Clone, Debug)]
pub struct ImageReader {
    store: Store,
    prefix: String,
    manifest: std::sync::Arc<Manifest>,
    manifest_sha256: String,
}

impl ImageReader {
    /// Reads and checks the manifest below `prefix`.
    pub async fn open(store: Store, prefix: &str) -> Result<Self> {
        path_of(prefix)?;
        let key = format!("{prefix}/{}", keys::MANIFEST);
        let size = match store.size(&key).await {
            Err(Error::Missing { .. }) => return Err(Error::NoImage { prefix: prefix.to_owned() }),
            other => other?,
        };
        if size > WHOLE || size == 0 {
            return Err(Error::corrupt(key, format!("a manifest of {size} bytes cannot be right")));
        }
        let bytes = store.range(&key, 0..size).await?;
        let manifest = manifest::from_bytes(&key, &bytes)?;
        if let Some(of) = prefix.rsplit('/').nth(1).and_then(|part| part.parse::<uuid::Uuid>().ok())
            && of != manifest.image.0
        {
            return Err(Error::corrupt(
                key,
                format!("it is the manifest of another image, {}", manifest.image),
            ));
        }
        Ok(Self {
            store,
            prefix: prefix.to_owned(),
            manifest: manifest.into(),
            manifest_sha256: manifest::sha256(&bytes),
        })
    }

    /// What the image says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of `manifest.json`, in hexadecimal.
    #[must_use]
    pub fn manifest_sha256(&self) -> &str {
        &self.manifest_sha256
    }

    /// Whether the image has an object of that key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.manifest.objects.iter().any(|object| object.key == key)
    }

    /// Begins to read an object as it is stored.
    pub async fn object(&self, key: &str) -> Result<ObjectReader> {
        let full = format!("{}/{key}", self.prefix);
        let object = self.manifest.objects.iter().find(|object| object.key == key).cloned();
        let object = object.ok_or_else(|| {
            Error::corrupt(format!("{}/{}", self.prefix, keys::MANIFEST), format!("it does not list {key}"))
        })?;
        ObjectReader::open(self.store.clone(), full, object).await
    }

    /// Reads a small object whole, decompressed.
    pub async fn whole(&self, key: &str) -> Result<Vec<u8>> {
        let mut object = self.object(key).await?;
        let zstd = object.object.compression.is_some();
        let mut decoder = FrameDecoder::new().map_err(|error| object.bad(error.to_string()))?;
        let mut whole = Vec::new();
        while let Some(chunk) = object.next().await? {
            let mut rest = &chunk[..];
            if !zstd {
                whole.extend_from_slice(rest);
                rest = &[];
            }
            while !rest.is_empty() {
                let (taken, text) = decoder
                    .push(rest)
                    .map_err(|error| object.bad(format!("a frame cannot be decoded ({error})")))?;
                rest = &rest[taken..];
                whole.extend_from_slice(&text.unwrap_or_default());
            }
            if whole.len() as u64 > WHOLE {
                return Err(object.bad("it is too large to be read whole".to_owned()));
            }
        }
        if decoder.inside() {
            return Err(object.bad("its last frame has no end".to_owned()));
        }
        Ok(whole)
    }

    /// The index of database `ordinal`.
    pub async fn index(&self, ordinal: u32) -> Result<Vec<IndexEntry>> {
        let key = keys::index(ordinal);
        let text = self.whole(&key).await?;
        from_lines(&text).map_err(|why| Error::corrupt(format!("{}/{key}", self.prefix), why))
    }

    /// Reads one object of rows, range after range. `entries` are all those of the index that are in this object.
    pub async fn rows(&self, key: &str, entries: Vec<RowsEntry>) -> Result<RowsReader> {
        RowsReader::new(self.object(key).await?, entries)
    }
}

/// An object being read: fetched ahead by one chunk, hashed on the way. Its last chunk is given out only once the hash of the
/// whole is right, so that whoever has seen the end has seen what was written.
pub struct ObjectReader {
    store: Store,
    /// The key below the store.
    key: String,
    pub(crate) object: Object,
    fetched: u64,
    ahead: Option<JoinHandle<Result<Bytes>>>,
    hash: Sha256,
    read: u64,
}

impl ObjectReader {
    async fn open(store: Store, key: String, object: Object) -> Result<Self> {
        let size = store.size(&key).await?;
        if size != object.bytes {
            return Err(Error::corrupt(
                key,
                format!("it has {size} bytes, and the manifest says {}", object.bytes),
            ));
        }
        let mut reader = Self { store, key, object, fetched: 0, ahead: None, hash: Sha256::new(), read: 0 };
        if reader.object.bytes == 0 {
            reader.check()?;
        }
        reader.fetch();
        Ok(reader)
    }

    /// The key below the store.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The next bytes; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(ahead) = self.ahead.take() else { return Ok(None) };
        let chunk = ahead
            .await
            .map_err(|error| Error::Transient { key: self.key.clone(), why: error.to_string() })??;
        self.read += chunk.len() as u64;
        if self.read != self.fetched {
            return Err(self.bad(format!("it ended after {} bytes while it was read", self.read)));
        }
        self.fetch();
        self.hash.update(&chunk);
        if self.read == self.object.bytes {
            self.check()?;
        }
        Ok(Some(chunk))
    }

    fn fetch(&mut self) {
        let to = self.object.bytes.min(self.fetched + self.store.part_size(0) as u64);
        if to > self.fetched {
            let (store, key, range) = (self.store.clone(), self.key.clone(), self.fetched..to);
            self.ahead = Some(tokio::spawn(async move { store.range(&key, range).await }));
            self.fetched = to;
        }
    }

    fn check(&mut self) -> Result<()> {
        let found = hex::encode(std::mem::take(&mut self.hash).finalize());
        if found == self.object.sha256 {
            return Ok(());
        }
        Err(self.bad("its contents do not match their SHA-256 in the manifest".to_owned()))
    }

    pub(crate) fn bad(&self, why: String) -> Error {
        Error::corrupt(&self.key, why)
    }
}
