//! Writing an image: objects that appear whole or not at all, then the manifest. It knows nothing of what is in them.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use model::ImageId;
use model::image::{Manifest, Object};
use object_store::{MultipartUpload, PutPayload};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::manifest;
use crate::store::Store;

/// Writes one attempt at an image. Clones write the same one.
#[derive(Clone, Debug)]
pub struct ImageWriter {
    store: Store,
    prefix: Arc<str>,
    image: ImageId,
    objects: Arc<Mutex<Vec<Object>>>,
}

impl ImageWriter {
    /// Begins an image below `prefix`.
    #[must_use]
    pub fn new(store: Store, prefix: impl Into<Arc<str>>, image: ImageId) -> Self {
        Self { store, prefix: prefix.into(), image, objects: Arc::default() }
    }

    /// The image.
    #[must_use]
    pub fn image(&self) -> ImageId {
        self.image
    }

    /// Begins an object. `format` and `compression` are for the manifest.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn object(&self, key: &str, format: &str, compression: Option<&str>) -> Result<ObjectWriter> {
        let whole = format!("{}/{key}", self.prefix);
        let upload = self.store.begin(&whole).await?;
        Ok(ObjectWriter {
            image: self.clone(),
            upload: Some(upload),
            in_flight: None,
            buffer: Vec::with_capacity(self.store.part_size(0)),
            parts: 0,
            hash: Sha256::new(),
            object: Object {
                key: key.to_owned(),
                bytes: 0,
                sha256: String::new(),
                format: format.to_owned(),
                compression: compression.map(str::to_owned),
                encryption: None,
            },
        })
    }

    /// Writes a small object whole.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn write(
        &self,
        key: &str,
        format: &str,
        compression: Option<&str>,
        bytes: &[u8],
    ) -> Result<Object> {
        let mut object = self.object(key, format, compression).await?;
        object.write(bytes).await?;
        object.finish().await
    }

    /// The objects that are finished, by key.
    #[must_use]
    pub fn objects(&self) -> Vec<Object> {
        let mut objects = self.objects.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        objects
    }

    /// Writes the guide, looks whether the store holds every byte, and then creates the manifest with all finished
    /// objects in it. Only now there is an image. Returns the manifest's SHA-256, in hexadecimal.
    ///
    /// # Errors
    /// An object is missing or short, or the manifest is there already.
    pub async fn commit(&self, mut manifest: Manifest) -> Result<(Manifest, String)> {
        self.write(crate::GUIDE, "markdown", None, crate::guide::guide(&manifest).as_bytes()).await?;
        manifest.image = self.image;
        manifest.objects = self.objects();
        for object in &manifest.objects {
            let size = self.store.size(&format!("{}/{}", self.prefix, object.key)).await?;
            if size != object.bytes {
                let why = format!("the store has {size} bytes of the {} that were written", object.bytes);
                return Err(Error::corrupt(&object.key, why));
            }
        }
        let key = format!("{}/{}", self.prefix, crate::MANIFEST);
        let text = manifest::to_bytes(&manifest);
        let text = text.map_err(|error| Error::corrupt(crate::MANIFEST, error.to_string()))?;
        // What could not be read back is not written.
        manifest::from_bytes(crate::MANIFEST, &text)?;
        let sha256 = manifest::sha256(&text);
        self.store.create(&key, text).await?;
        Ok((manifest, sha256))
    }
}

/// Writes one object. It appears in the store at [`ObjectWriter::finish`]; dropped before, nothing appears.
pub struct ObjectWriter {
    image: ImageWriter,
    upload: Option<Box<dyn MultipartUpload>>,
    /// At most one part is on its way while the next one fills: memory stays at two parts.
    in_flight: Option<JoinHandle<object_store::Result<()>>>,
    buffer: Vec<u8>,
    parts: u64,
    hash: Sha256,
    object: Object,
}

impl ObjectWriter {
    /// Appends bytes.
    ///
    /// # Errors
    /// The store did not take an earlier part.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.object.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = self.image.store.part_size(self.parts).saturating_sub(self.buffer.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() >= self.image.store.part_size(self.parts) {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.object.bytes
    }

    async fn landed(&mut self) -> Result<()> {
        let Some(part) = self.in_flight.take() else { return Ok(()) };
        let landed = part
            .await
            .map_err(|error| Error::Transient { key: self.object.key.clone(), cause: error.to_string() })?;
        landed.map_err(|error| self.image.store.error(&self.object.key, error))
    }

    async fn send(&mut self) -> Result<()> {
        self.landed().await?;
        let capacity = self.image.store.part_size(self.parts + 1);
        let part = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(capacity)));
        if let Some(upload) = &mut self.upload {
            self.in_flight = Some(tokio::spawn(upload.put_part(PutPayload::from_bytes(part))));
        }
        self.parts += 1;
        Ok(())
    }

    /// Sends the rest and makes the object appear.
    ///
    /// # Errors
    /// The store did not take all of it.
    pub async fn finish(mut self) -> Result<Object> {
        if !self.buffer.is_empty() || self.parts == 0 {
            self.send().await?;
        }
        self.landed().await?;
        if let Some(mut upload) = self.upload.take() {
            let completed = upload.complete().await;
            if completed.is_err() {
                // Best effort: the error that counts is the one of completing.
                upload.abort().await.ok();
            }
            completed.map_err(|error| self.image.store.error(&self.object.key, error))?;
        }
        self.object.sha256 = hex::encode(std::mem::take(&mut self.hash).finalize());
        let object = self.object.clone();
        self.image.objects.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(object.clone());
        Ok(object)
    }

    /// Gives up: nothing appears.
    pub async fn abort(mut self) {
        self.landed().await.ok();
        if let Some(mut upload) = self.upload.take() {
            // What cannot be aborted is swept with the attempt's prefix.
            upload.abort().await.ok();
        }
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else { return };
        let part = self.in_flight.take();
        self.image.store.abandon(async move {
            if let Some(part) = part {
                part.await.ok();
            }
            // What a store keeps of it is no object, and is swept.
            upload.abort().await.ok();
        });
    }
}
