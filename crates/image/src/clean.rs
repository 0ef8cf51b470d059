//! Deletions from a store: images, the objects of unfinished attempts, and the object that a store's test writes.

use model::FailureCode;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::layout::{self, MANIFEST};
use crate::store::Store;

impl Store {
    /// Deletes all objects of an image or of an unfinished attempt. The manifest is deleted first, so that the remains of
    /// an interrupted deletion are no image. Idempotent.
    ///
    /// # Errors
    /// The store refuses or fails.
    pub async fn delete_image(&self, prefix: &str) -> Result<()> {
        self.delete(&format!("{prefix}/{MANIFEST}")).await?;
        self.delete_listed(prefix, |_| true).await
    }

    /// Deletes the objects of an unfinished attempt, except its log. Its claim is deleted last, so that no other writer
    /// begins before. Idempotent.
    ///
    /// # Errors
    /// [`FailureCode::ObjectExists`] if there is a manifest, because then it is an image; or the store refuses or fails.
    pub async fn discard(&self, prefix: &str) -> Result<()> {
        let manifest = format!("{prefix}/{MANIFEST}");
        if self.list(prefix).await?.iter().any(|(key, _)| *key == manifest) {
            return Err(Error::new(FailureCode::ObjectExists, manifest, "the image is complete"));
        }
        let is_claim = |key: &str| layout::is_claim_of(prefix, key);
        self.delete_listed(prefix, |key| !layout::is_log_below(prefix, key) && !is_claim(key)).await?;
        self.delete_listed(prefix, is_claim).await
    }

    async fn delete_listed(&self, prefix: &str, selected: impl Fn(&str) -> bool) -> Result<()> {
        let keys = self.list(prefix).await?.into_iter().map(|(key, _)| key);
        self.delete_all(&keys.filter(|key| selected(key)).collect::<Vec<_>>()).await?;
        self.sweep(prefix).await.map(drop)
    }

    /// Tests credentials for reading, those of `reader`: they must read and list an object of this store and create an
    /// object of a log, and must not delete either.
    ///
    /// # Errors
    /// [`FailureCode::StoreReadingKeysTooWide`], or a request fails that must succeed.
    pub async fn probe_reading(&self, reader: &Self) -> Result<()> {
        let id = Uuid::now_v7();
        let (probe, log) = (format!("probe/{id}"), format!("logs/{id}"));
        self.create(&format!("{probe}/object"), "toygres").await?;
        let tested = reader.reads_and_creates(&probe, &log).await;
        // Delete the objects whatever the test found.
        for prefix in [probe, log] {
            self.delete_image(&prefix).await?;
        }
        tested
    }

    async fn reads_and_creates(&self, probe: &str, log: &str) -> Result<()> {
        let (object, segment) = (format!("{probe}/object"), format!("{log}/log-0.jsonl"));
        self.get(&object).await?;
        self.list(probe).await?;
        self.create(&segment, "toygres").await?;
        for key in [object, segment] {
            match self.delete(&key).await {
                Ok(()) => return Err(Error::new(FailureCode::StoreReadingKeysTooWide, key, "deleted")),
                Err(error) if error.code() == FailureCode::StoreAccessDenied => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tests the store: writes, reads, lists and deletes an object.
    ///
    /// # Errors
    /// One of the four requests fails, or its answer does not fit what was written.
    pub async fn probe(&self) -> Result<()> {
        let prefix = format!("probe/{}", Uuid::now_v7());
        let key = format!("{prefix}/object");
        self.create(&key, "toygres").await?;
        let read = self.get(&key).await;
        let listed = self.list(&prefix).await;
        // Delete the object even if it could not be read.
        let deleted = self.delete_image(&prefix).await;
        let (read, listed) = (read?, listed?);
        deleted?;
        if read != "toygres" || listed.len() != 1 {
            let detail = format!("read {} of 7 bytes, listed {} of 1 objects", read.len(), listed.len());
            return Err(Error::new(FailureCode::StoreForeignAnswer, key, detail));
        }
        Ok(())
    }
}
