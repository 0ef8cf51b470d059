//! One writer for each prefix, also where a platform starts the job of an attempt twice.

use model::FailureCode;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::layout;
use crate::store::Store;

impl Store {
    /// Claims a prefix for one writer, before it writes anything else. Of several writers at most one succeeds; the others
    /// must write and delete nothing below the prefix.
    ///
    /// Each writer creates an object of its own and then lists the prefix. Of two writers, the one whose object was created
    /// later finds the other. This requires consistent lists, which all supported stores have, but no conditional writes. A
    /// claim remains with the image and is deleted with it.
    ///
    /// # Errors
    /// [`FailureCode::AttemptInUse`] if the prefix has objects of another writer, or the store refuses or fails.
    pub async fn claim(&self, prefix: &str) -> Result<()> {
        let own = format!("{prefix}/{}", layout::claim(Uuid::new_v4()));
        self.put(&own, "").await?;
        let listed = self.list(prefix).await?;
        let objects = listed.iter().map(|(key, _)| key).filter(|key| !layout::is_log_below(prefix, key));
        let others: Vec<&String> = objects.clone().filter(|key| **key != own).collect();
        // The own claim is missing if the other writer has failed and deletes its objects at this moment.
        if others.is_empty() && objects.count() == 1 {
            return Ok(());
        }
        self.delete(&own).await?;
        let other = others.first().map_or(own.as_str(), |key| key.as_str());
        Err(Error::new(FailureCode::AttemptInUse, prefix, format!("another writer created {other}")))
    }
}
