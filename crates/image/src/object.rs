//! Writes one object: hashed and counted on the way, sent in parts, in the store only once it is finished. It does not
//! know what the bytes mean.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use model::Object;
use object_store::{MultipartUpload, PutPayload};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use crate::compress::{FRAME, FrameEncoder};
use crate::error::{Error, Result};
use crate::store::Store;

/// How the bytes given to an [`ObjectWriter`] are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    None,
    /// In zstd frames.
    Zstd,
}

/// The objects of an image that were finished, to be listed in its manifest.
pub(crate) type Finished = Arc<Mutex<Vec<Object>>>;

/// An object being written. Dropped before [`ObjectWriter::finish`], it is aborted and nothing is published.
pub struct ObjectWriter {
    sink: Sink,
    encoder: Option<FrameEncoder>,
}

impl ObjectWriter {
    pub(crate) fn new(sink: Sink, compression: Compression) -> Result<Self> {
        let encoder = match compression {
            Compression::None => None,
            Compression::Zstd => Some(FrameEncoder::new().map_err(|error| sink.failed(&error))?),
        };
        Ok(Self { sink, encoder })
    }

    /// Appends bytes. Returns when they are sent or buffered; at most two parts are in memory.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        let Some(encoder) = &mut self.encoder else { return self.sink.write(bytes).await };
        while !bytes.is_empty() {
            let some = &bytes[..bytes.len().min(FRAME - encoder.open())];
            let (taken, out) = encoder.push(some).map_err(|error| self.sink.failed(&error))?;
            self.sink.write(out).await?;
            bytes = &bytes[taken..];
            if encoder.open() == FRAME {
                self.sink.end_frame(encoder).await?;
            }
        }
        Ok(())
    }

    /// Bytes of it in the store so far, or on their way there.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.sink.bytes
    }

    /// Publishes the object: from here on it belongs to the image.
    pub async fn finish(mut self) -> Result<Object> {
        if let Some(encoder) = &mut self.encoder
            && (encoder.open() > 0 || self.sink.bytes == 0)
        {
            self.sink.end_frame(encoder).await?;
        }
        self.sink.finish().await
    }
}

/// The way into the store: parts, hash and length.
pub(crate) struct Sink {
    store: Store,
    /// The key below the store.
    key: String,
    /// What the manifest will say, but for length and hash.
    object: Object,
    finished: Finished,
    buffer: BytesMut,
    upload: Option<Box<dyn MultipartUpload>>,
    parts: usize,
    in_flight: Option<JoinHandle<object_store::Result<()>>>,
    hash: Sha256,
    pub(crate) bytes: u64,
}

impl Sink {
    pub(crate) fn new(store: Store, prefix: &str, object: Object, finished: Finished) -> Self {
        let key = format!("{prefix}/{}", object.key);
        Self {
            store,
            key,
            object,
            finished,
            buffer: BytesMut::new(),
            upload: None,
            parts: 0,
            in_flight: None,
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    /// The key relative to the image.
    pub(crate) fn relative_key(&self) -> &str {
        &self.object.key
    }

    /// A failure inside this process, not of the store.
    pub(crate) fn failed(&self, error: &std::io::Error) -> Error {
        Error::Transient { key: self.key.clone(), why: error.to_string() }
    }

    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let size = self.store.part_size(self.parts);
            if self.buffer.len() == size {
                self.send().await?;
                continue;
            }
            let some = bytes.len().min(size - self.buffer.len());
            self.buffer.extend_from_slice(&bytes[..some]);
            bytes = &bytes[some..];
        }
        Ok(())
    }

    pub(crate) async fn end_frame(&mut self, encoder: &mut FrameEncoder) -> Result<()> {
        loop {
            let (out, all) = encoder.end().map_err(|error| self.failed(&error))?;
            self.write(out).await?;
            if all {
                return Ok(());
            }
        }
    }

    /// Sends the buffer as a part, once the part before has arrived.
    async fn send(&mut self) -> Result<()> {
        self.arrived().await?;
        let part = self.buffer.split().freeze();
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(self.store.upload(&self.key).await?),
        };
        self.in_flight = Some(tokio::spawn(upload.put_part(PutPayload::from_bytes(part))));
        self.parts += 1;
        Ok(())
    }

    async fn arrived(&mut self) -> Result<()> {
        let Some(part) = self.in_flight.take() else { return Ok(()) };
        match part.await {
            Ok(sent) => sent.map_err(|error| Error::of_store(&self.key, &error)),
            Err(error) => Err(Error::Transient { key: self.key.clone(), why: error.to_string() }),
        }
    }

    pub(crate) async fn finish(mut self) -> Result<Object> {
        if self.upload.is_some() {
            if !self.buffer.is_empty() {
                self.send().await?;
            }
            self.arrived().await?;
        }
        match &mut self.upload {
            Some(upload) => {
                upload.complete().await.map_err(|error| Error::of_store(&self.key, &error))?;
                self.upload = None;
            }
            None => {
                let bytes: Bytes = std::mem::take(&mut self.buffer).freeze();
                self.store.create_object(&self.key, bytes).await?;
            }
        }
        self.object.bytes = self.bytes;
        self.object.sha256 = hex::encode(std::mem::take(&mut self.hash).finalize());
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).push(self.object.clone());
        Ok(self.object.clone())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            self.store.abandon(upload);
        }
    }
}
