//! The workflow that reads every byte of an image back and compares it with the manifest.

use std::time::Duration;

use model::agent::{Outcome, Work};
use model::{ImageId, WorkflowName};
use serde::{Deserialize, Serialize};
use workflow::{Failure, Lock, Step, StepContext, StepOutcome, Steps, Workflow};

use super::create_image::location;
use super::damaged_image::mark_corrupt;
use crate::jobs::{self, JobRequest};
use crate::locks::image_key;
use crate::services::Services;
use crate::stores;

/// Reads every byte of an image back.
#[derive(Serialize, Deserialize)]
pub struct VerifyImage {
    /// The image.
    pub image: ImageId,
}

impl Workflow for VerifyImage {
    const NAME: &'static str = WorkflowName::VerifyImage.as_str();
    const VERSION: i32 = 1;
    type Services = Services;

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::shared(image_key(self.image)), Lock::exclusive(format!("verify/{}", self.image))]
    }

    fn steps() -> Steps<Self> {
        Steps::first::<RunVerifyJob>().then::<UpdateImageStatus>()
    }
}

/// Runs the job that reads every object.
pub(crate) struct RunVerifyJob;

impl Step for RunVerifyJob {
    const NAME: &'static str = "RunVerifyJob";
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    type Workflow = VerifyImage;
    type Output = Outcome;

    async fn run(cx: &StepContext<VerifyImage>) -> Result<StepOutcome<Outcome>, Failure> {
        let ended = jobs::run(cx, async || {
            let (from, manifest_sha256) = location(&cx.services, cx.input.image).await?;
            let work = Work::Verify { from, manifest_sha256 };
            let store = Some(stores::of_image(&cx.services, cx.input.image).await?);
            Ok(JobRequest {
                work,
                password: None,
                store,
                volume: None,
                major: None,
                log: None,
                network: None,
                deadline: Self::DEADLINE,
            })
        })
        .await;
        if let Err(failure) = &ended {
            mark_corrupt(cx, cx.input.image, failure).await?;
        }
        ended
    }

    async fn undo(cx: &StepContext<VerifyImage>) -> Result<(), Failure> {
        jobs::undo(cx).await
    }
}

/// Records that the image is verified.
pub(crate) struct UpdateImageStatus;

impl Step for UpdateImageStatus {
    const NAME: &'static str = "UpdateImageStatus";
    type Workflow = VerifyImage;
    type Output = ();

    async fn run(cx: &StepContext<VerifyImage>) -> Result<StepOutcome<()>, Failure> {
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.image set status = 'available', verified_at = clock_timestamp(), error = null,
                 error_code = null, error_subject = null
             where id = $1 and status in ('available', 'corrupt')",
            cx.input.image.0
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(StepOutcome::Done(()))
    }
}
