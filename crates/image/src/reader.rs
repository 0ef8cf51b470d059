//! Reading an image: nothing is used that is not what was written. It knows nothing of where the rows go.

use bytes::{Buf, Bytes, BytesMut};
use model::image::{Manifest, Object};
use sha2::{Digest, Sha256};
use zstd::bulk::Decompressor;
use zstd::zstd_safe;

use crate::error::{Error, Result};
use crate::index::Index;
use crate::manifest;
use crate::rows::LARGEST_FRAME;
use crate::store::Store;

/// What memory is lent for.
const LARGEST_MANIFEST: u64 = 64 * 1024 * 1024;

/// An image in a store.
#[derive(Clone, Debug)]
pub struct ImageReader {
    store: Store,
    prefix: String,
    /// What it consists of.
    pub manifest: Manifest,
    /// The SHA-256 of the manifest, in hexadecimal.
    pub manifest_sha256: String,
}

impl ImageReader {
    /// Reads the manifest.
    ///
    /// # Errors
    /// There is none, or it is of another version or has a field that this program does not know.
    pub async fn open(store: Store, prefix: &str) -> Result<Self> {
        let key = format!("{prefix}/{}", crate::MANIFEST);
        match store.size(&key).await {
            Err(Error::Missing(_)) => return Err(Error::NoImage(format!("{}/{prefix}", store.url()))),
            Err(error) => return Err(error),
            Ok(size) if size > LARGEST_MANIFEST => {
                return Err(Error::corrupt(
                    crate::MANIFEST,
                    format!("{size} bytes are more than any manifest has"),
                ));
            }
            Ok(_) => {}
        }
        let text = store.get(&key).await?;
        let manifest = manifest::from_bytes(crate::MANIFEST, &text)?;
        let manifest_sha256 = manifest::sha256(&text);
        if let Some(of) = prefix.rsplit('/').nth(1).and_then(|part| part.parse::<model::ImageId>().ok())
            && of != manifest.image
        {
            let why = format!("it is the manifest of another image, {}", manifest.image);
            return Err(Error::corrupt(crate::MANIFEST, why));
        }
        Ok(Self { store, prefix: prefix.to_owned(), manifest, manifest_sha256 })
    }

    /// The manifest's line about an object.
    ///
    /// # Errors
    /// The manifest does not name it.
    pub fn entry(&self, key: &str) -> Result<&Object> {
        self.manifest
            .objects
            .iter()
            .find(|object| object.key == key)
            .ok_or_else(|| Error::corrupt(crate::MANIFEST, format!("it does not name {key}")))
    }

    /// Whether the manifest names an object.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.manifest.objects.iter().any(|object| object.key == key)
    }

    /// Begins to read an object from its first byte to its last.
    ///
    /// # Errors
    /// It is missing or has another size than was written.
    pub async fn object(&self, key: &str) -> Result<ObjectReader> {
        let entry = self.entry(key)?.clone();
        let whole = format!("{}/{key}", self.prefix);
        let size = self.store.size(&whole).await?;
        if size != entry.bytes {
            return Err(Error::corrupt(key, format!("it has {size} bytes and should have {}", entry.bytes)));
        }
        Ok(ObjectReader {
            store: self.store.clone(),
            whole,
            entry,
            etag: None,
            offset: 0,
            hash: Sha256::new(),
        })
    }

    /// Reads a small object whole; its SHA-256 is checked before it is given.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub async fn read(&self, key: &str) -> Result<Bytes> {
        let mut object = self.object(key).await?;
        let mut whole = BytesMut::new();
        while let Some(bytes) = object.next().await? {
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }

    /// Reads the index of a database.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub async fn index(&self, ordinal: u32) -> Result<Index> {
        let key = Index::key(ordinal);
        Index::parse(&key, &self.read(&key).await?)
    }

    /// Begins to read a rows object frame by frame.
    ///
    /// # Errors
    /// It is missing or has another size than was written.
    pub async fn rows(&self, key: &str) -> Result<RowsReader> {
        let object = self.object(key).await?;
        let decompressor = Decompressor::new().map_err(|error| Error::io(key, error))?;
        Ok(RowsReader { object, pending: BytesMut::new(), offset: 0, decompressor })
    }
}

/// Reads one object in order. The end comes only when its SHA-256 is the one that was written.
pub struct ObjectReader {
    store: Store,
    whole: String,
    entry: Object,
    /// The version that is read, once the store has named it: all ranges are of one.
    etag: Option<String>,
    offset: u64,
    hash: Sha256,
}

impl ObjectReader {
    /// The next bytes, or none after the last.
    ///
    /// # Errors
    /// The store does not give them, or they are not what was written: whatever was made of them must be thrown away.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.offset == self.entry.bytes {
            let found = hex::encode(std::mem::take(&mut self.hash).finalize());
            // Asked again after the end there is nothing more to compare.
            self.offset += 1;
            if found != self.entry.sha256 {
                let why = format!("its SHA-256 is {found} and should be {}", self.entry.sha256);
                return Err(Error::corrupt(&self.entry.key, why));
            }
            return Ok(None);
        }
        if self.offset > self.entry.bytes {
            return Ok(None);
        }
        let end = (self.offset + self.store.chunk()).min(self.entry.bytes);
        let (bytes, etag) = self.store.range(&self.whole, self.offset..end, self.etag.clone()).await?;
        self.etag = self.etag.take().or(etag);
        if bytes.len() as u64 != end - self.offset {
            return Err(Error::corrupt(&self.entry.key, "it became shorter while it was read"));
        }
        self.hash.update(&bytes);
        self.offset = end;
        Ok(Some(bytes))
    }
}

/// One zstd frame, decoded whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it begins in the object.
    pub offset: u64,
    /// Its bytes in the object.
    pub length: u64,
    /// The text.
    pub data: Vec<u8>,
}

/// Reads a rows object frame by frame.
pub struct RowsReader {
    object: ObjectReader,
    pending: BytesMut,
    offset: u64,
    decompressor: Decompressor<'static>,
}

impl RowsReader {
    /// The next frame, or none after the last one of an object whose SHA-256 is the one that was written.
    ///
    /// # Errors
    /// The object is damaged: whatever was made of its frames must be thrown away.
    pub async fn frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Ok(length) = zstd_safe::find_frame_compressed_size(&self.pending)
                && !self.pending.is_empty()
            {
                return self.decode(length).map(Some);
            }
            // A frame and what its headers take; whatever is longer is no frame of ours.
            if self.pending.len() as u64 > LARGEST_FRAME + self.object.store.chunk() * 2 {
                return Err(self.corrupt("a frame is larger than any that Toygres writes"));
            }
            match self.object.next().await? {
                Some(bytes) => self.pending.extend_from_slice(&bytes),
                None if self.pending.is_empty() => return Ok(None),
                None => return Err(self.corrupt("it ends in the middle of a frame")),
            }
        }
    }

    fn decode(&mut self, length: usize) -> Result<Frame> {
        let size = match zstd_safe::get_frame_content_size(&self.pending[..length]) {
            Ok(Some(size)) if size <= LARGEST_FRAME => usize::try_from(size).unwrap_or(usize::MAX),
            _ => return Err(self.corrupt("a frame is larger than any that Toygres writes")),
        };
        let data = self
            .decompressor
            .decompress(&self.pending[..length], size)
            .map_err(|_| self.corrupt("a part of it cannot be unpacked to what was packed"))?;
        let frame = Frame { offset: self.offset, length: length as u64, data };
        self.pending.advance(length);
        self.offset += length as u64;
        Ok(frame)
    }

    fn corrupt(&self, why: &str) -> Error {
        Error::corrupt(&self.object.entry.key, why)
    }
}
