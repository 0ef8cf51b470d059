//! The workflow that deletes an image, its manifest first: what remains of an incomplete deletion is not an image.

use model::{FailureCode, ImageId, WorkflowName};
use serde::{Deserialize, Serialize};
use workflow::{Failure, Lock, Step, StepContext, StepOutcome, Steps, Workflow};

use crate::error::Error;
use crate::locks::image_key;
use crate::secrets::{Keyring, Kind};
use crate::services::Services;
use crate::stores;

/// Deletes an image.
#[derive(Serialize, Deserialize)]
pub struct DeleteImage {
    /// The image.
    pub image: ImageId,
}

impl Workflow for DeleteImage {
    const NAME: &'static str = WorkflowName::DeleteImage.as_str();
    const VERSION: i32 = 1;
    type Services = Services;

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive(image_key(self.image))]
    }

    fn steps() -> Steps<Self> {
        Steps::first::<DeleteImageObjects>().then::<DeleteImageRecord>()
    }
}

/// Deletes the objects from the store.
pub(crate) struct DeleteImageObjects;

impl Step for DeleteImageObjects {
    const NAME: &'static str = "DeleteImageObjects";
    type Workflow = DeleteImage;
    type Output = ();

    async fn run(cx: &StepContext<DeleteImage>) -> Result<StepOutcome<()>, Failure> {
        let row = sqlx::query!("select store, prefix from toygres.image where id = $1", cx.input.image.0)
            .fetch_optional(cx.services.db())
            .await?;
        if let Some((store, prefix)) = row.and_then(|row| Some((row.store, row.prefix?))) {
            // A directory that does not exist here may exist on the machine of another platform.
            let store = stores::access::existing(&cx.services, model::StoreId(store)).await?;
            store.delete_image(&prefix).await.map_err(Error::from)?;
        }
        Ok(StepOutcome::Done(()))
    }

    /// Deleted objects cannot be restored. What remains is marked and can be deleted again. While the manifest exists,
    /// nothing was deleted, and the image is what it was.
    async fn undo(cx: &StepContext<DeleteImage>) -> Result<(), Failure> {
        let is_whole = has_manifest(cx).await?;
        let mut tx = cx.fenced().await?;
        if is_whole {
            sqlx::query!(
                "update toygres.image set status = case when manifest is null then 'failed'
                     when error is null then 'available' else 'corrupt' end where id = $1",
                cx.input.image.0
            )
            .execute(&mut *tx)
            .await?;
        } else {
            sqlx::query!(
                "update toygres.image set status = case when manifest is null then 'failed' else 'corrupt' end,
                     error = 'the deletion did not complete', error_code = $2, error_subject = null where id = $1",
                cx.input.image.0,
                FailureCode::DeletionIncomplete.as_str()
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Whether the store has the image's manifest, which is deleted first. False if the store does not say.
async fn has_manifest(cx: &StepContext<DeleteImage>) -> Result<bool, Failure> {
    let row = sqlx::query!("select store, prefix from toygres.image where id = $1", cx.input.image.0)
        .fetch_optional(cx.services.db())
        .await?;
    let Some((store, prefix)) = row.and_then(|row| Some((row.store, row.prefix?))) else {
        return Ok(false);
    };
    let found = async {
        let store = stores::access::existing(&cx.services, model::StoreId(store)).await?;
        store.size(&format!("{prefix}/{}", image::MANIFEST)).await.map_err(Error::from)
    };
    Ok(found.await.is_ok())
}

/// Deletes the row from the catalogue.
pub(crate) struct DeleteImageRecord;

impl Step for DeleteImageRecord {
    const NAME: &'static str = "DeleteImageRecord";
    type Workflow = DeleteImage;
    type Output = ();

    async fn run(cx: &StepContext<DeleteImage>) -> Result<StepOutcome<()>, Failure> {
        let mut tx = cx.fenced().await?;
        Keyring::delete(&mut tx, Kind::ImagePassword, cx.input.image.0).await?;
        sqlx::query!("delete from toygres.image where id = $1", cx.input.image.0).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(StepOutcome::Done(()))
    }
}
