//! What is taken out of a store: images, what attempts at them left, and the trace of a test.

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::store::Store;

impl Store {
    /// Deletes an image or what an attempt at one left: the manifest first, so that what remains of a half-done deletion
    /// is no image. Repeating it is fine.
    ///
    /// # Errors
    /// The store does not let us.
    pub async fn delete_image(&self, prefix: &str) -> Result<()> {
        self.delete(&format!("{prefix}/{}", crate::MANIFEST)).await?;
        self.delete_listed(prefix, |_| true).await
    }

    /// Takes away what an attempt wrote that did not come to its end, all but its log. Repeating it is fine.
    ///
    /// # Errors
    /// [`Error::Exists`] if there is a manifest, for then it is an image; or the store does not let us.
    pub async fn discard(&self, prefix: &str) -> Result<()> {
        let manifest = format!("{prefix}/{}", crate::MANIFEST);
        if self.list(prefix).await?.iter().any(|(key, _)| *key == manifest) {
            return Err(Error::Exists(manifest));
        }
        let is_log = |key: &str| {
            key.strip_prefix(prefix).and_then(|key| key.strip_prefix('/')).is_some_and(crate::is_log)
        };
        self.delete_listed(prefix, |key| !is_log(key)).await
    }

    async fn delete_listed(&self, prefix: &str, which: impl Fn(&str) -> bool) -> Result<()> {
        let keys = self.list(prefix).await?.into_iter().map(|(key, _)| key);
        self.delete_all(&keys.filter(|key| which(key)).collect::<Vec<_>>()).await?;
        self.sweep(prefix).await.map(drop)
    }

    /// Writes an object, reads it, lists it and deletes it: whether the store can be used, and if not, why not.
    ///
    /// # Errors
    /// The store does not let us; the words say which of the four, and the fix.
    pub async fn probe(&self) -> Result<()> {
        let prefix = format!("probe/{}", Uuid::now_v7());
        let key = format!("{prefix}/object");
        self.create(&key, "toygres").await?;
        let read = self.get(&key).await;
        let listed = self.list(&prefix).await;
        // It goes even if it was not read: nothing stays behind that could be taken away.
        let deleted = self.delete_image(&prefix).await;
        let (read, listed) = (read?, listed?);
        deleted?;
        if read != "toygres" || listed.len() != 1 {
            return Err(Error::Corrupt { key, why: "what was written was not read or listed".to_owned() });
        }
        Ok(())
    }
}
