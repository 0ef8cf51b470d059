//! The workflow that restores an image into a new instance, with the source's password, image type and version.

use std::time::Duration;

use model::agent::{Outcome, Work};
use model::run::Receipt;
use model::{FailureCode, ImageId, InstanceId, WorkflowName};
use serde::{Deserialize, Serialize};
use workflow::{Failure, Lock, Retry, Step, StepContext, StepOutcome, Steps, Workflow};

use super::create_image::location;
use super::damaged_image::mark_corrupt;
use super::instance_steps::{
    CreateInstanceRecord, CreatePvc, DeployPostgresFromPvc, ForInstance, TestConnection,
    UpdateInstanceStatus, delete_password, row,
};
use crate::error::Error;
use crate::jobs::{self, JobRequest};
use crate::locks::image_key;
use crate::locks::instance_key;
use crate::secrets::Kind;
use crate::services::Services;
use crate::stores;

/// The time limit of a restore.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Restores an image into a new instance.
#[derive(Serialize, Deserialize)]
pub struct RestoreImage {
    /// The new instance, whose row is reserved.
    pub instance: InstanceId,
    /// The image.
    pub image: ImageId,
}

impl Workflow for RestoreImage {
    const NAME: &'static str = WorkflowName::RestoreImage.as_str();
    const VERSION: i32 = 1;
    type Services = Services;

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive(instance_key(self.instance)), Lock::shared(image_key(self.image))]
    }

    fn steps() -> Steps<Self> {
        Steps::first::<CreatePvc<Self>>()
            .then::<GetSourcePassword>()
            .then::<CreateInstanceRecord<Self>>()
            .then::<RunRestoreJob>()
            .then::<DeployPostgresFromPvc<Self>>()
            .then::<TestConnection<Self>>()
            .then::<UpdateInstanceStatus<Self>>()
            .then::<UpdateImageStatus>()
    }
}

impl ForInstance for RestoreImage {
    fn instance(&self) -> InstanceId {
        self.instance
    }
}

/// Gives the instance the password that the source had when the image was made.
pub(crate) struct GetSourcePassword;

impl Step for GetSourcePassword {
    const NAME: &'static str = "GetSourcePassword";
    type Workflow = RestoreImage;
    type Output = ();

    async fn run(cx: &StepContext<RestoreImage>) -> Result<StepOutcome<()>, Failure> {
        let keys = cx.services.keys();
        let password =
            keys.read(cx.services.db(), Kind::ImagePassword, cx.input.image.0).await.map_err(Error::from)?;
        let password = password.ok_or_else(|| {
            Failure::fatal(FailureCode::PasswordMissing.as_str(), "no password is stored with the image")
        })?;
        let mut tx = cx.fenced().await?;
        keys.save(&mut tx, Kind::InstancePassword, cx.input.instance.0, &password)
            .await
            .map_err(Error::from)?;
        tx.commit().await?;
        Ok(StepOutcome::Done(()))
    }

    async fn undo(cx: &StepContext<RestoreImage>) -> Result<(), Failure> {
        delete_password(cx).await
    }
}

/// Runs the job that fills the volume and compares it with the image.
pub(crate) struct RunRestoreJob;

/// The comparison and the restored version.
#[derive(Serialize, Deserialize)]
pub(crate) struct RestoreResult {
    receipt: Receipt,
    version: String,
}

impl Step for RunRestoreJob {
    const NAME: &'static str = "RunRestoreJob";
    const RETRY: Retry = Retry::times(3);
    const DEADLINE: Duration = A_DAY;
    type Workflow = RestoreImage;
    type Output = RestoreResult;

    async fn run(cx: &StepContext<RestoreImage>) -> Result<StepOutcome<RestoreResult>, Failure> {
        let ended = jobs::run(cx, async || {
            let instance = row(cx).await?;
            let (from, manifest_sha256) = location(&cx.services, cx.input.image).await?;
            let installed = cx.services.platform().installations().await.map_err(Error::from)?;
            let bin_dir = installed
                .into_iter()
                .find(|one| Some(one.major) == instance.major)
                .and_then(|one| one.bin_dir);
            let work = Work::Restore {
                from,
                manifest_sha256,
                data_dir: cx.services.platform().data_dir(instance.id),
                superuser: instance.username,
                preload: Some(instance.preload),
                streams: 2,
                bin_dir,
                fixed_clients: cx.services.require_fixed_clients(),
            };
            let password = cx
                .services
                .keys()
                .read(cx.services.db(), Kind::InstancePassword, instance.id.0)
                .await
                .map_err(Error::from)?;
            Ok(JobRequest {
                work,
                password,
                store: Some(stores::of_image(&cx.services, cx.input.image).await?),
                volume: Some(instance.id),
                major: instance.major,
                log: None,
                network: None,
                deadline: A_DAY,
            })
        })
        .await;
        if let Err(failure) = &ended {
            mark_corrupt(cx, cx.input.image, failure).await?;
        }
        match ended? {
            StepOutcome::Wait(pause) => Ok(StepOutcome::Wait(pause)),
            StepOutcome::Done(Outcome::Restore { receipt, version, .. }) if receipt.difference_count == 0 => {
                Ok(StepOutcome::Done(RestoreResult { receipt, version }))
            }
            StepOutcome::Done(Outcome::Restore { receipt, .. }) => {
                Err(Failure::fatal(FailureCode::RestoreDiffers.as_str(), receipt.differences.join("; ")))
            }
            StepOutcome::Done(_) => Err(Failure::fatal(
                FailureCode::Internal.as_str(),
                "the job returned the outcome of another job",
            )),
        }
    }

    async fn undo(cx: &StepContext<RestoreImage>) -> Result<(), Failure> {
        jobs::undo(cx).await
    }
}

/// Marks the image as proven: the restored content compared equal, and the instance runs.
pub(crate) struct UpdateImageStatus;

impl Step for UpdateImageStatus {
    const NAME: &'static str = "UpdateImageStatus";
    type Workflow = RestoreImage;
    type Output = ();

    async fn run(cx: &StepContext<RestoreImage>) -> Result<StepOutcome<()>, Failure> {
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.image set proven_at = clock_timestamp(), verified_at = clock_timestamp()
             where id = $1 and status = 'available'",
            cx.input.image.0
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(StepOutcome::Done(()))
    }
}
