//! Deletes an image: its manifest first, so that what remains of a half-done deletion is no image.

use model::ImageId;
use serde::{Deserialize, Serialize};
use workflow::{StepContext, Failure, Lock, StepOutcome, Step, Steps, Workflow};

use crate::images::image_key;
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
    const NAME: &'static str = "delete-image";
    const VERSION: i32 = 1;
    type Services = Services;

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive(image_key(self.image))]
    }

    fn steps() -> Steps<Self> {
        Steps::first::<DeleteImageObjects>().then::<DeleteImageRecord>()
    }
}

/// Takes the objects out of the store.
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
            let store = stores::access::open(&cx.services, model::StoreId(store)).await?;
            store.delete_image(&prefix).await?;
        }
        Ok(StepOutcome::Done(()))
    }

    /// Nothing can be put back; what remains is not restorable and says so. It can be deleted again.
    async fn undo(cx: &StepContext<DeleteImage>) -> Result<(), Failure> {
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.image set status = case when manifest is null then 'failed' else 'corrupt' end,
                 error = 'It could not be deleted whole. Delete it again.' where id = $1",
            cx.input.image.0
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Takes the row out of the catalogue.
pub(crate) struct DeleteImageRecord;

impl Step for DeleteImageRecord {
    const NAME: &'static str = "DeleteImageRecord";
    type Workflow = DeleteImage;
    type Output = ();

    async fn run(cx: &StepContext<DeleteImage>) -> Result<StepOutcome<()>, Failure> {
        let mut tx = cx.fenced().await?;
        Keyring::forget(&mut tx, Kind::ImagePassword, cx.input.image.0).await?;
        sqlx::query!("delete from toygres.image where id = $1", cx.input.image.0).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(StepOutcome::Done(()))
    }
}
