//! Copies a running instance into an image.

use std::time::Duration;

use anyhow::anyhow;
use model::agent::{Connection, Location, Outcome, Work};
use model::run::CANCELLED;
use model::{ImageId, InstanceId, InstanceStatus};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use workflow::{StepContext, Failure, Lock, StepOutcome, Retry, Step, Steps, Workflow};

use crate::images::image_key;
use crate::instances::{self, instance_key};
use crate::jobs::{self, Plan};
use crate::secrets::{Keyring, Kind};
use crate::services::Services;
use crate::{health, stores};

/// How long a backup may take.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Copies a running instance into an image.
#[derive(Serialize, Deserialize)]
pub struct CreateImage {
    /// The source.
    pub instance: InstanceId,
    /// The image to be, whose row is reserved.
    pub image: ImageId,
}

impl Workflow for CreateImage {
    const NAME: &'static str = "create-image";
    const VERSION: i32 = 1;
    type Services = Services;

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::shared(instance_key(self.instance)), Lock::exclusive(image_key(self.image))]
    }

    fn steps() -> Steps<Self> {
        Steps::first::<CreateImageRecord>()
            .then::<GetInstanceByK8sName>()
            .then::<RunBackupJob>()
            .then::<VerifyImage>()
            .then::<UpdateImageStatus>()
    }
}

/// Where attempt number `attempt` at the image writes.
fn attempt_prefix(cx: &StepContext<CreateImage>, attempt: i32) -> String {
    let attempt = Uuid::new_v5(&cx.run.0, format!("{}/{attempt}", RunBackupJob::NAME).as_bytes());
    image::prefix(cx.input.image, attempt)
}

/// Fills in what is known of the source, and keeps its password with the image as of now.
pub(crate) struct CreateImageRecord;

/// Where an image goes.
#[derive(Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    store: String,
    username: String,
    databases: Vec<String>,
}

impl Step for CreateImageRecord {
    const NAME: &'static str = "CreateImageRecord";
    type Workflow = CreateImage;
    type Output = ImageRecord;

    async fn run(cx: &StepContext<CreateImage>) -> Result<StepOutcome<ImageRecord>, Failure> {
        let instance =
            instances::by_id(cx.services.db(), cx.input.instance).await.map_err(jobs::of_control)?;
        let password = health::password(&cx.services, &instance).await.map_err(jobs::of_control)?;
        let mut tx = cx.fenced().await?;
        cx.services.keys().keep(&mut tx, Kind::ImagePassword, cx.input.image.0, &password).await?;
        let row = sqlx::query!(
            "update toygres.image i set version = $2, major = $3, image_type = $4
             from toygres.store s where i.id = $1 and s.id = i.store returning s.url, i.username, i.selection",
            cx.input.image.0,
            instance.version,
            instance.major,
            instance.image_type.as_str()
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(StepOutcome::Done(ImageRecord { store: row.url, username: row.username, databases: row.selection }))
    }

    async fn undo(cx: &StepContext<CreateImage>) -> Result<(), Failure> {
        let mut tx = cx.fenced().await?;
        let error = sqlx::query_scalar!("select error from toygres.run where id = $1", cx.run.0)
            .fetch_one(&mut *tx)
            .await?;
        sqlx::query!(
            "update toygres.image set status = 'failed', error = $2, prefix = null, manifest = null where id = $1",
            cx.input.image.0,
            error.unwrap_or_else(|| CANCELLED.to_owned())
        )
        .execute(&mut *tx)
        .await?;
        Keyring::forget(&mut tx, Kind::ImagePassword, cx.input.image.0).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Finds the source and how to reach it.
pub(crate) struct GetInstanceByK8sName;

impl Step for GetInstanceByK8sName {
    const NAME: &'static str = "GetInstanceByK8sName";
    type Workflow = CreateImage;
    type Output = Connection;

    async fn run(cx: &StepContext<CreateImage>) -> Result<StepOutcome<Connection>, Failure> {
        let instance =
            instances::by_id(cx.services.db(), cx.input.instance).await.map_err(jobs::of_control)?;
        if instance.status != InstanceStatus::Running {
            return Err(Failure::fatal(anyhow!("{} is {}.", instance.name, instance.status)));
        }
        Ok(StepOutcome::Done(health::connection(&instance)))
    }
}

/// Runs the agent that copies everything.
pub(crate) struct RunBackupJob;

/// What the copy consists of.
#[derive(Serialize, Deserialize)]
pub(crate) struct BackupResult {
    prefix: String,
    outcome: Outcome,
}

impl Step for RunBackupJob {
    const NAME: &'static str = "RunBackupJob";
    const RETRY: Retry = Retry::times(5);
    const DEADLINE: Duration = A_DAY;
    type Workflow = CreateImage;
    type Output = BackupResult;

    async fn run(cx: &StepContext<CreateImage>) -> Result<StepOutcome<BackupResult>, Failure> {
        let prefix = attempt_prefix(cx, cx.attempt);
        let outcome = jobs::run(cx, async || {
            let record = cx.output::<CreateImageRecord>()?;
            let instance =
                instances::by_id(cx.services.db(), cx.input.instance).await.map_err(jobs::of_control)?;
            let password =
                cx.services.keys().read(cx.services.db(), Kind::ImagePassword, cx.input.image.0).await?;
            let to = Location { store: record.store, prefix: prefix.clone() };
            let work = Work::Backup {
                image: cx.input.image,
                to: to.clone(),
                source: cx.output::<GetInstanceByK8sName>()?,
                image_type: instance.image_type,
                databases: record.databases,
                streams: 2,
                bin_dir: None,
            };
            Ok(Plan {
                work,
                password,
                store: Some(stores::of_image(&cx.services, cx.input.image).await?),
                volume: None,
                major: instance.major,
                log: Some(to),
                deadline: A_DAY,
            })
        })
        .await?;
        Ok(match outcome {
            StepOutcome::Wait(pause) => StepOutcome::Wait(pause),
            StepOutcome::Done(outcome) => StepOutcome::Done(BackupResult { prefix, outcome }),
        })
    }

    async fn undo(cx: &StepContext<CreateImage>) -> Result<(), Failure> {
        jobs::undo(cx).await?;
        sweep(cx, cx.attempt).await
    }
}

/// Deletes what attempts up to number `last` left in the store.
async fn sweep(cx: &StepContext<CreateImage>, last: i32) -> Result<(), Failure> {
    if cx.output_if_done::<CreateImageRecord>()?.is_none() {
        return Ok(());
    }
    let store = stores::of_image(&cx.services, cx.input.image).await?;
    let store = stores::access::open(&cx.services, store).await?;
    for attempt in 1..=last {
        store.delete_image(&attempt_prefix(cx, attempt)).await?;
    }
    Ok(())
}

/// Runs another agent that reads everything back.
pub(crate) struct VerifyImage;

impl Step for VerifyImage {
    const NAME: &'static str = "VerifyImage";
    const DEADLINE: Duration = A_DAY;
    type Workflow = CreateImage;
    type Output = Outcome;

    async fn run(cx: &StepContext<CreateImage>) -> Result<StepOutcome<Outcome>, Failure> {
        jobs::run(cx, async || {
            let from = Location {
                store: cx.output::<CreateImageRecord>()?.store,
                prefix: cx.output::<RunBackupJob>()?.prefix,
            };
            Ok(Plan {
                work: Work::Verify { from },
                password: None,
                store: Some(stores::of_image(&cx.services, cx.input.image).await?),
                volume: None,
                major: None,
                log: None,
                deadline: A_DAY,
            })
        })
        .await
    }

    async fn undo(cx: &StepContext<CreateImage>) -> Result<(), Failure> {
        jobs::undo(cx).await
    }
}

/// Puts the image into the catalogue: from here on it can be restored.
pub(crate) struct UpdateImageStatus;

impl Step for UpdateImageStatus {
    const NAME: &'static str = "UpdateImageStatus";
    type Workflow = CreateImage;
    type Output = ();

    async fn run(cx: &StepContext<CreateImage>) -> Result<StepOutcome<()>, Failure> {
        let backup = cx.output::<RunBackupJob>()?;
        let store = stores::of_image(&cx.services, cx.input.image).await?;
        let store = stores::access::open(&cx.services, store).await?;
        let reader = image::ImageReader::open(store.clone(), &backup.prefix).await?;
        let manifest = &reader.manifest;
        let text = serde_json::to_value(manifest)?;
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.image i set status = 'available', prefix = $2, manifest = $3, version = $4, major = $5,
                 source_bytes = $6, stored_bytes = $7, databases = $8, tables = $9, rows = $10,
                 duration_ms = (extract(epoch from clock_timestamp() - r.created_at) * 1000)::bigint,
                 verified_at = clock_timestamp(), error = null
             from toygres.run r where i.id = $1 and r.id = $11",
            cx.input.image.0,
            backup.prefix,
            text,
            manifest.source.version.split(' ').next(),
            manifest.source.major,
            manifest.source.bytes,
            i64::try_from(manifest.stored_bytes())?,
            i32::try_from(manifest.databases.len())?,
            i64::try_from(manifest.tables())?,
            i64::try_from(manifest.rows())?,
            cx.run.0
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        // What attempts before the one that won left is no image; gone or not, the image is whole.
        for attempt in 1..10 {
            let prefix = attempt_prefix(cx, attempt);
            if prefix == backup.prefix {
                break;
            }
            store.delete_image(&prefix).await?;
        }
        Ok(StepOutcome::Done(()))
    }
}

/// Where an image is.
pub(super) async fn location(services: &Services, image: ImageId) -> Result<Location, Failure> {
    let row = sqlx::query!("select store, prefix from toygres.image where id = $1", image.0)
        .fetch_optional(services.db())
        .await?
        .ok_or_else(|| Failure::fatal(anyhow!("The image is gone.")))?;
    let prefix = row.prefix.ok_or_else(|| Failure::fatal(anyhow!("The image has no objects.")))?;
    let (store, _) =
        stores::access::row(services, model::StoreId(row.store)).await.map_err(jobs::of_control)?;
    Ok(Location { store, prefix })
}
