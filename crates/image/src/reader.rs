//! Reads images. Every byte is checked against the SHA-256 in the manifest.

use bytes::{Buf, Bytes, BytesMut};
use data_encoding::HEXLOWER;
use model::FailureCode;
use model::image::{Manifest, Object};
use sha2::{Digest, Sha256};
use zstd::bulk::Decompressor;
use zstd::zstd_safe;

use crate::compression::{LARGEST_FRAME, LARGEST_TEXT, decompress};
use crate::error::{Error, Result};
use crate::index::Index;
use crate::layout::{GLOBALS, MANIFEST};
use crate::manifest;
use crate::store::Store;

/// The largest manifest that a reader accepts, in bytes.
const LARGEST_MANIFEST: u64 = 64 * 1024 * 1024;

/// An image in a store.
#[derive(Clone, Debug)]
pub struct ImageReader {
    pub(crate) store: Store,
    pub(crate) prefix: String,
    /// Its manifest.
    pub manifest: Manifest,
    /// The SHA-256 of the manifest, in hexadecimal.
    pub manifest_sha256: String,
}

impl ImageReader {
    /// Opens an image: reads and checks its manifest. The manifest's own checksum proves only that it is complete: every account that can
    /// write to the store can compute it. [`ImageReader::open_as_written`] accepts one manifest only.
    ///
    /// # Errors
    /// [`FailureCode::ManifestMissing`], [`FailureCode::ImageUnsupported`] for another format version or an unknown field,
    /// [`FailureCode::ObjectDamaged`], or the store refuses or fails.
    pub async fn open(store: Store, prefix: &str) -> Result<Self> {
        Self::open_as_written(store, prefix, None).await
    }

    /// Opens an image whose manifest must have the SHA-256 `written`, in hexadecimal; any if none.
    ///
    /// # Errors
    /// [`FailureCode::ManifestReplaced`], or one of [`ImageReader::open`].
    pub async fn open_as_written(store: Store, prefix: &str, written: Option<&str>) -> Result<Self> {
        let key = format!("{prefix}/{MANIFEST}");
        let text = store.get_at_most(&key, LARGEST_MANIFEST).await.map_err(|error| match error.code() {
            FailureCode::ObjectMissing => {
                let subject = format!("{}/{prefix}", store.url());
                Error::new(FailureCode::ManifestMissing, subject, "there is no manifest.json")
            }
            _ => error,
        })?;
        let manifest_sha256 = manifest::sha256(&text);
        if let Some(written) = written.filter(|written| *written != manifest_sha256) {
            let detail = format!("its SHA-256 is {manifest_sha256}; {written} was written");
            return Err(Error::new(FailureCode::ManifestReplaced, MANIFEST, detail));
        }
        let manifest = manifest::from_bytes(MANIFEST, &text)?;
        if let Some(image) = prefix.rsplit('/').nth(1).and_then(|part| part.parse::<model::ImageId>().ok())
            && image != manifest.image
        {
            let detail = format!("the manifest belongs to another image, {}", manifest.image);
            return Err(Error::damaged(MANIFEST, detail));
        }
        Ok(Self { store, prefix: prefix.to_owned(), manifest, manifest_sha256 })
    }

    /// The manifest's entry of an object.
    ///
    /// # Errors
    /// The manifest does not list the object.
    pub fn entry(&self, key: &str) -> Result<&Object> {
        self.manifest
            .objects
            .iter()
            .find(|object| object.key == key)
            .ok_or_else(|| Error::damaged(MANIFEST, format!("the manifest does not list {key}")))
    }

    /// Whether the manifest lists an object.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.manifest.objects.iter().any(|object| object.key == key)
    }

    /// Opens an object for reading from its first byte to its last.
    ///
    /// # Errors
    /// It does not exist, or its size differs from the manifest.
    pub async fn object(&self, key: &str) -> Result<ObjectReader> {
        let entry = self.entry(key)?.clone();
        let full_key = format!("{}/{key}", self.prefix);
        let size = self.store.size(&full_key).await?;
        if size != entry.bytes {
            let detail = format!("the object has {size} bytes; {} were written", entry.bytes);
            return Err(Error::damaged(key, detail));
        }
        Ok(ObjectReader {
            store: self.store.clone(),
            full_key,
            entry,
            etag: None,
            offset: 0,
            hash: Sha256::new(),
        })
    }

    /// Reads a small object into memory and checks its SHA-256.
    ///
    /// # Errors
    /// It does not exist, is larger than 256 MiB, or is damaged.
    pub async fn read(&self, key: &str) -> Result<Bytes> {
        let size = self.entry(key)?.bytes;
        if size > LARGEST_TEXT {
            return Err(Error::damaged(
                key,
                format!("the object has {size} bytes; the maximum is {LARGEST_TEXT}"),
            ));
        }
        let mut object = self.object(key).await?;
        let mut content = BytesMut::new();
        while let Some(bytes) = object.next().await? {
            content.extend_from_slice(&bytes);
        }
        Ok(content.freeze())
    }

    /// Reads the index of a database.
    ///
    /// # Errors
    /// It does not exist, or it is damaged.
    pub async fn index(&self, ordinal: u32) -> Result<Index> {
        let key = Index::key(ordinal);
        Index::parse(&key, &self.read(&key).await?)
    }

    /// Reads the roles and role settings, as `pg_dumpall --globals-only` wrote them.
    ///
    /// # Errors
    /// They do not exist or are damaged, or decompress to more than 256 MiB.
    pub async fn globals(&self) -> Result<Vec<u8>> {
        decompress(GLOBALS, &self.read(GLOBALS).await?)
    }

    /// Opens a rows object for reading frame by frame.
    ///
    /// # Errors
    /// It does not exist, or its size differs from the manifest.
    pub async fn rows(&self, key: &str) -> Result<RowsReader> {
        let object = self.object(key).await?;
        let decompressor = Decompressor::new().map_err(|error| Error::internal(key, error))?;
        Ok(RowsReader { object, pending: BytesMut::new(), offset: 0, decompressor })
    }
}

/// Reads one object from its first byte to its last, and checks its SHA-256 at the end.
pub struct ObjectReader {
    store: Store,
    full_key: String,
    entry: Object,
    /// The version (ETag) that the store reported for the first range; all later ranges must have it.
    etag: Option<String>,
    offset: u64,
    hash: Sha256,
}

impl ObjectReader {
    /// The next bytes; none after the last, if the SHA-256 matches.
    ///
    /// # Errors
    /// The store fails, or the object is damaged. The caller must then discard the results of earlier bytes.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.offset == self.entry.bytes {
            let found = HEXLOWER.encode(&std::mem::take(&mut self.hash).finalize());
            // A later call must not compare again.
            self.offset += 1;
            if found != self.entry.sha256 {
                let detail = format!("the SHA-256 is {found}; {} was written", self.entry.sha256);
                return Err(Error::damaged(&self.entry.key, detail));
            }
            return Ok(None);
        }
        if self.offset > self.entry.bytes {
            return Ok(None);
        }
        let end = (self.offset + self.store.chunk()).min(self.entry.bytes);
        let (bytes, etag) = self.store.range(&self.full_key, self.offset..end, self.etag.clone()).await?;
        self.etag = self.etag.take().or(etag);
        if bytes.len() as u64 != end - self.offset {
            return Err(Error::damaged(&self.entry.key, "the object was truncated while it was read"));
        }
        self.hash.update(&bytes);
        self.offset = end;
        Ok(Some(bytes))
    }
}

/// One decompressed zstd frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its offset in the object.
    pub offset: u64,
    /// Its compressed size in the object, in bytes.
    pub length: u64,
    /// The COPY text.
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
    /// The next frame; none after the last, if the SHA-256 matches.
    ///
    /// # Errors
    /// The store fails, or the object is damaged. The caller must then discard the results of earlier frames.
    pub async fn frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Ok(length) = zstd_safe::find_frame_compressed_size(&self.pending)
                && !self.pending.is_empty()
            {
                return self.decode(length).map(Some);
            }
            // A frame with its headers. Anything longer was not written by Toygres.
            if self.pending.len() as u64 > LARGEST_FRAME + self.object.store.chunk() * 2 {
                return Err(self.damaged("a frame exceeds the maximum size"));
            }
            match self.object.next().await? {
                Some(bytes) => self.pending.extend_from_slice(&bytes),
                None if self.pending.is_empty() => return Ok(None),
                None => return Err(self.damaged("the object ends within a frame")),
            }
        }
    }

    fn decode(&mut self, length: usize) -> Result<Frame> {
        let size = match zstd_safe::get_frame_content_size(&self.pending[..length]) {
            Ok(Some(size)) if size <= LARGEST_FRAME => usize::try_from(size).unwrap_or(usize::MAX),
            _ => return Err(self.damaged("a frame exceeds the maximum size")),
        };
        let data = self
            .decompressor
            .decompress(&self.pending[..length], size)
            .map_err(|error| self.damaged(&format!("a frame cannot be decompressed: {error}")))?;
        let frame = Frame { offset: self.offset, length: length as u64, data };
        self.pending.advance(length);
        self.offset += length as u64;
        Ok(frame)
    }

    fn damaged(&self, detail: &str) -> Error {
        Error::damaged(&self.object.entry.key, detail)
    }
}
