//! Writes images: objects that appear whole or not at all, then the manifest. It does not know the objects' content.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use model::ImageId;
use model::image::{Manifest, Object};
use object_store::{MultipartUpload, PutPayload};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::layout::{GUIDE, MANIFEST};
use crate::manifest;
use crate::store::Store;

/// Writes one image below one prefix. Clones write the same image.
#[derive(Clone, Debug)]
pub struct ImageWriter {
    store: Store,
    prefix: Arc<str>,
    image: ImageId,
    objects: Arc<Mutex<Vec<Object>>>,
}

impl ImageWriter {
    /// Creates a writer. The store is not accessed yet.
    #[must_use]
    pub fn new(store: Store, prefix: impl Into<Arc<str>>, image: ImageId) -> Self {
        Self { store, prefix: prefix.into(), image, objects: Arc::default() }
    }

    /// The image that is written.
    #[must_use]
    pub fn image(&self) -> ImageId {
        self.image
    }

    /// Starts the upload of an object. `format` and `compression` are recorded in the manifest.
    ///
    /// # Errors
    /// The store refuses or fails.
    pub async fn object(&self, key: &str, format: &str, compression: Option<&str>) -> Result<ObjectWriter> {
        let full_key = format!("{}/{key}", self.prefix);
        self.store.ensure_space(&full_key, 0).await?;
        let upload = self.store.begin(&full_key).await?;
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

    /// Writes a small object in one call.
    ///
    /// # Errors
    /// The store refuses or fails.
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

    /// The finished objects, ordered by key.
    #[must_use]
    pub fn objects(&self) -> Vec<Object> {
        let mut objects = self.objects.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        objects
    }

    /// Writes the guide, checks the size of every object in the store, and creates the manifest, which lists all finished
    /// objects. The image exists from then on. Returns the manifest and its SHA-256 in hexadecimal.
    ///
    /// # Errors
    /// An object does not exist or is truncated, or there is a manifest already.
    pub async fn commit(&self, mut manifest: Manifest) -> Result<(Manifest, String)> {
        self.write(GUIDE, "markdown", None, crate::guide::guide(&manifest).as_bytes()).await?;
        manifest.image = self.image;
        manifest.objects = self.objects();
        for object in &manifest.objects {
            let size = self.store.size(&format!("{}/{}", self.prefix, object.key)).await?;
            if size != object.bytes {
                let detail = format!("the object has {size} bytes; {} were written", object.bytes);
                return Err(Error::damaged(&object.key, detail));
            }
        }
        let key = format!("{}/{MANIFEST}", self.prefix);
        let text = manifest::to_bytes(&manifest).map_err(|error| Error::internal(MANIFEST, error))?;
        // Write only a manifest that a reader accepts.
        manifest::from_bytes(MANIFEST, &text)?;
        let sha256 = manifest::sha256(&text);
        self.store.create(&key, text).await?;
        Ok((manifest, sha256))
    }
}

/// Writes one object. It appears in the store with [`ObjectWriter::finish`]; a writer that is dropped leaves nothing.
pub struct ObjectWriter {
    image: ImageWriter,
    upload: Option<Box<dyn MultipartUpload>>,
    /// The part that is being uploaded while the next one is filled. Memory is limited to two parts.
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
    /// The upload of an earlier part failed.
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

    /// The bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.object.bytes
    }

    async fn await_part(&mut self) -> Result<()> {
        let Some(part) = self.in_flight.take() else { return Ok(()) };
        let uploaded = part.await.map_err(|error| Error::internal(&self.object.key, error))?;
        uploaded.map_err(|error| self.image.store.error(&self.object.key, &error))
    }

    async fn send(&mut self) -> Result<()> {
        self.await_part().await?;
        self.image.store.admit_part(&self.object.key, self.parts)?;
        self.image.store.ensure_space(&self.object.key, self.buffer.len() as u64).await?;
        let capacity = self.image.store.part_size(self.parts + 1);
        let part = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(capacity)));
        if let Some(upload) = &mut self.upload {
            self.in_flight = Some(tokio::spawn(upload.put_part(PutPayload::from_bytes(part))));
        }
        self.parts += 1;
        Ok(())
    }

    /// Uploads the last part and completes the object.
    ///
    /// # Errors
    /// The store refuses or fails.
    pub async fn finish(mut self) -> Result<Object> {
        if !self.buffer.is_empty() || self.parts == 0 {
            self.send().await?;
        }
        self.await_part().await?;
        if let Some(mut upload) = self.upload.take() {
            let completed = upload.complete().await;
            if completed.is_err() {
                // Best effort: the caller gets the error of the completion.
                upload.abort().await.ok();
            }
            completed.map_err(|error| self.image.store.error(&self.object.key, &error))?;
        }
        self.object.sha256 = HEXLOWER.encode(&std::mem::take(&mut self.hash).finalize());
        let object = self.object.clone();
        self.image.objects.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(object.clone());
        Ok(object)
    }

    /// Aborts the upload.
    pub async fn abort(mut self) {
        self.await_part().await.ok();
        if let Some(mut upload) = self.upload.take() {
            // Best effort: remains are swept with the attempt's prefix.
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
            // Best effort: remains are swept with the attempt's prefix.
            upload.abort().await.ok();
        });
    }
}

#[cfg(test)]
mod tests {
    use model::FailureCode;

    use super::*;
    use crate::StoreOptions;
    use crate::store::parts;

    /// Reliability: an upload beyond the limit of parts fails at once, and never leaves a cut object.
    #[tokio::test]
    async fn object_of_more_parts_than_the_store_accepts_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let url = format!("file://{}", dir.path().display());
        let store = Store::open(&url, &StoreOptions::default()).expect("a store").with_tiny_parts();
        let writer = ImageWriter::new(store.clone(), "images/one", ImageId::new());
        let most = vec![b'x'; usize::try_from(parts::MOST).expect("a size")];
        writer.write("whole", "text", None, &most).await.expect("written");
        let refused =
            writer.write("more", "text", None, &[&*most, b"x"].concat()).await.expect_err("refused");
        assert_eq!(refused.code(), FailureCode::ObjectTooLarge);
        assert_eq!(store.size("images/one/whole").await.expect("a size"), parts::MOST);
        assert_eq!(
            store.size("images/one/more").await.expect_err("no object").code(),
            FailureCode::ObjectMissing
        );
    }
}
