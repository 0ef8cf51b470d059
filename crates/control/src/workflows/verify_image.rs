//! Reads every byte of an image back and compares it with the manifest.

use std::time::Duration;

use model::ImageId;
use model::agent::{Outcome, Work};
use serde::{Deserialize, Serialize};
use workflow::{StepContext, Failure, Lock, StepOutcome, Step, Steps, Workflow};

use super::create_image::location;
use crate::images::image_key;
use crate::jobs::{self, Plan};
use crate::services::Services;
use crate::stores;

/// Reads every byte of an image back.
#[derive(Serialize, Deserialize)]
pub struct VerifyImage {
    /// The image.
    pub image: ImageId,
}

impl Workflow for VerifyImage {
    const NAME: &'static str = "verify-image";
    const VERSION: i32 = 1;
    type Services = Services;

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::shared(image_key(self.image)), Lock::exclusive(format!("verify/{}", self.image))]
    }

    fn steps() -> Steps<Self> {
        Steps::first::<RunVerifyJob>().then::<UpdateImageStatus>()
    }
}

/// Runs the agent that reads everything.
pub(crate) struct RunVerifyJob;

impl Step for RunVerifyJob {
    const NAME: &'static str = "RunVerifyJob";
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    type Workflow = VerifyImage;
    type Output = Outcome;

    async fn run(cx: &StepContext<VerifyImage>) -> Result<StepOutcome<Outcome>, Failure> {
        let ended = jobs::run(cx, async || {
            let work = Work::Verify { from: location(&cx.services, cx.input.image).await? };
            let store = Some(stores::of_image(&cx.services, cx.input.image).await?);
            let (log, deadline) = (None, Self::DEADLINE);
            Ok(Plan { work, password: None, store, volume: None, major: None, log, deadline })
        })
        .await;
        if let Err(failure) = &ended
            && failure.is_fatal()
        {
            // What the store does not hold as it was written is not offered for a restore any more.
            let mut tx = cx.fenced().await?;
            sqlx::query!(
                "update toygres.image set status = 'corrupt', verified_at = null, error = $2
                 where id = $1 and status in ('available', 'corrupt')
                   and exists (select from toygres.job where run_id = $3 and result ->> 'class' = 'verification')",
                cx.input.image.0,
                failure.message(),
                cx.run.0
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
        }
        ended
    }

    async fn undo(cx: &StepContext<VerifyImage>) -> Result<(), Failure> {
        jobs::undo(cx).await
    }
}

/// Writes down that the image is whole.
pub(crate) struct UpdateImageStatus;

impl Step for UpdateImageStatus {
    const NAME: &'static str = "UpdateImageStatus";
    type Workflow = VerifyImage;
    type Output = ();

    async fn run(cx: &StepContext<VerifyImage>) -> Result<StepOutcome<()>, Failure> {
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.image set status = 'available', verified_at = clock_timestamp(), error = null
             where id = $1 and status in ('available', 'corrupt')",
            cx.input.image.0
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(StepOutcome::Done(()))
    }
}
