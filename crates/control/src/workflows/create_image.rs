//! The workflow that backs up a running instance into an image.

use std::time::Duration;

use image::ImageReader;
use model::agent::{Connection, Location, Outcome, PreviousImage, Work};
use model::{FailureCode, ImageId, InstanceId, InstanceStatus, WorkflowName};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use workflow::{Failure, Lock, Retry, Step, StepContext, StepOutcome, Steps, Workflow};

use crate::error::Error;
use crate::instances::{self, access};
use crate::jobs::{self, JobRequest};
use crate::locks::image_key;
use crate::locks::instance_key;
use crate::secrets::{Keyring, Kind};
use crate::services::Services;
use crate::store_checks::scope;
use crate::stores;

/// The time limit of a backup.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// How long the deletion of earlier attempts may take.
const SWEEP_LIMIT: Duration = Duration::from_secs(20);

/// Backs up a running instance into an image.
#[derive(Serialize, Deserialize)]
pub struct CreateImage {
    /// The source.
    pub instance: InstanceId,
    /// The new image, whose row is reserved.
    pub image: ImageId,
}

impl Workflow for CreateImage {
    const NAME: &'static str = WorkflowName::CreateImage.as_str();
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

/// The prefix that an attempt writes to.
fn attempt_prefix(cx: &StepContext<CreateImage>, attempt: i32) -> String {
    let attempt = Uuid::new_v5(&cx.run.0, format!("{}/{attempt}", RunBackupJob::NAME).as_bytes());
    image::prefix(cx.input.image, attempt)
}

/// Fails if the store is a directory without its images, as when its volume is not mounted.
async fn ensure_store_mounted(cx: &StepContext<CreateImage>) -> Result<(), Failure> {
    let store = stores::of_image(&cx.services, cx.input.image).await?;
    Ok(scope::of(&cx.services, store).await?.ensure_mounted(&cx.services).await?)
}

/// Completes the image's row with the source's version, and seals the source's present password with the image.
pub(crate) struct CreateImageRecord;

/// The store and the selection of the image.
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
        ensure_store_mounted(cx).await?;
        let instance = instances::by_id(cx.services.db(), cx.input.instance).await?;
        let password = access::password(&cx.services, &instance).await?;
        let mut tx = cx.fenced().await?;
        cx.services
            .keys()
            .save(&mut tx, Kind::ImagePassword, cx.input.image.0, &password)
            .await
            .map_err(Error::from)?;
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
        Ok(StepOutcome::Done(ImageRecord {
            store: row.url,
            username: row.username,
            databases: row.selection,
        }))
    }

    /// A published image stays available, whatever ended the run afterwards.
    async fn undo(cx: &StepContext<CreateImage>) -> Result<(), Failure> {
        let mut tx = cx.fenced().await?;
        // A run without an error was cancelled.
        let failed = sqlx::query!(
            "update toygres.image i set status = 'failed', manifest = null, manifest_sha256 = null,
                 error = coalesce(r.error, 'cancelled'), error_subject = r.error_subject,
                 error_code = case when r.error is null then $3 else r.error_code end
             from toygres.run r where i.id = $1 and r.id = $2 and i.prefix is null",
            cx.input.image.0,
            cx.run.0,
            FailureCode::Cancelled.as_str()
        )
        .execute(&mut *tx)
        .await?;
        if failed.rows_affected() > 0 {
            Keyring::delete(&mut tx, Kind::ImagePassword, cx.input.image.0).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Finds the source and its connection parameters.
pub(crate) struct GetInstanceByK8sName;

impl Step for GetInstanceByK8sName {
    const NAME: &'static str = "GetInstanceByK8sName";
    type Workflow = CreateImage;
    type Output = Connection;

    async fn run(cx: &StepContext<CreateImage>) -> Result<StepOutcome<Connection>, Failure> {
        let instance = instances::by_id(cx.services.db(), cx.input.instance).await?;
        instances::ensure_here(&cx.services, &instance)?;
        if instance.status != InstanceStatus::Running {
            let detail = format!("instance {} is {}", instance.name, instance.status);
            return Err(Failure::fatal(FailureCode::Refused.as_str(), detail));
        }
        Ok(StepOutcome::Done(access::connection(&instance)))
    }
}

/// Runs the job that copies the instance.
pub(crate) struct RunBackupJob;

/// The copy: its prefix and what the agent reported.
#[derive(Serialize, Deserialize)]
pub(crate) struct BackupResult {
    prefix: String,
    outcome: Outcome,
}

impl BackupResult {
    /// SHA-256 of the manifest that the job wrote, in hexadecimal.
    fn manifest_sha256(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Backup { manifest_sha256, .. } => Some(manifest_sha256),
            _ => None,
        }
    }
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
            // An earlier attempt may have failed because the volume was unmounted.
            ensure_store_mounted(cx).await?;
            let record = cx.output::<CreateImageRecord>()?;
            let instance = instances::by_id(cx.services.db(), cx.input.instance).await?;
            let password = cx
                .services
                .keys()
                .read(cx.services.db(), Kind::ImagePassword, cx.input.image.0)
                .await
                .map_err(Error::from)?;
            let to = Location { store: record.store, prefix: prefix.clone() };
            let work = Work::Backup {
                image: cx.input.image,
                to: to.clone(),
                source: cx.output::<GetInstanceByK8sName>()?,
                image_type: instance.image_type,
                databases: record.databases,
                streams: 2,
                bin_dir: None,
                fixed_clients: cx.services.require_fixed_clients(),
                previous: previous_image(cx).await?,
            };
            Ok(JobRequest {
                work,
                password,
                store: Some(stores::of_image(&cx.services, cx.input.image).await?),
                volume: None,
                major: instance.major,
                log: Some(to),
                network: jobs::network_of(&cx.services, instance.origin).await,
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
        if cx.output_if_done::<CreateImageRecord>()?.is_none() {
            return Ok(());
        }
        let published = published_prefix(cx).await?;
        let store = stores::of_image(&cx.services, cx.input.image).await?;
        let store = match stores::access::existing(&cx.services, store).await {
            // The directory does not exist: there is nothing to delete. Objects on a volume that is not mounted are deleted by
            // the checks of stores.
            Err(error) if error.code() == FailureCode::StoreContainerMissing.as_str() => return Ok(()),
            store => store?,
        };
        let prefixes = (1..=cx.attempt).map(|attempt| attempt_prefix(cx, attempt));
        for prefix in prefixes.filter(|prefix| Some(prefix) != published.as_ref()) {
            store.delete_image(&prefix).await.map_err(Error::from)?;
        }
        Ok(())
    }
}

/// The sizes of the newest image of the same databases of the instance.
async fn previous_image(cx: &StepContext<CreateImage>) -> Result<Option<PreviousImage>, Failure> {
    let row = sqlx::query!(
        r#"select p.source_bytes as "source_bytes!", p.stored_bytes as "stored_bytes!"
           from toygres.image i join toygres.image p on p.instance = i.instance and p.selection = i.selection
           where i.id = $1 and p.id <> i.id and p.status = 'available'
             and p.source_bytes is not null and p.stored_bytes is not null
           order by p.created_at desc limit 1"#,
        cx.input.image.0
    )
    .fetch_optional(cx.services.db())
    .await?;
    Ok(row.map(|row| PreviousImage {
        source_bytes: row.source_bytes.unsigned_abs(),
        stored_bytes: row.stored_bytes.unsigned_abs(),
    }))
}

/// The prefix of the published image; `None` before it is published. The fence waits for a publication that an interrupted
/// call has begun.
async fn published_prefix(cx: &StepContext<CreateImage>) -> Result<Option<String>, Failure> {
    let mut tx = cx.fenced().await?;
    let prefix = sqlx::query_scalar!("select prefix from toygres.image where id = $1", cx.input.image.0)
        .fetch_optional(&mut *tx)
        .await?;
    Ok(prefix.flatten())
}

/// Runs a second job that reads every byte back.
pub(crate) struct VerifyImage;

impl Step for VerifyImage {
    const NAME: &'static str = "VerifyImage";
    const DEADLINE: Duration = A_DAY;
    type Workflow = CreateImage;
    type Output = Outcome;

    async fn run(cx: &StepContext<CreateImage>) -> Result<StepOutcome<Outcome>, Failure> {
        jobs::run(cx, async || {
            let backup = cx.output::<RunBackupJob>()?;
            let manifest_sha256 = backup.manifest_sha256().map(str::to_owned);
            let from = Location { store: cx.output::<CreateImageRecord>()?.store, prefix: backup.prefix };
            Ok(JobRequest {
                work: Work::Verify { from, manifest_sha256 },
                password: None,
                store: Some(stores::of_image(&cx.services, cx.input.image).await?),
                volume: None,
                major: None,
                log: None,
                network: None,
                deadline: A_DAY,
            })
        })
        .await
    }

    async fn undo(cx: &StepContext<CreateImage>) -> Result<(), Failure> {
        jobs::undo(cx).await
    }
}

/// Publishes the image in the catalogue. From here on it can be restored.
pub(crate) struct UpdateImageStatus;

impl Step for UpdateImageStatus {
    const NAME: &'static str = "UpdateImageStatus";
    type Workflow = CreateImage;
    type Output = ();

    async fn run(cx: &StepContext<CreateImage>) -> Result<StepOutcome<()>, Failure> {
        let backup = cx.output::<RunBackupJob>()?;
        let store = stores::of_image(&cx.services, cx.input.image).await?;
        let store = stores::access::existing(&cx.services, store).await?;
        let written = backup.manifest_sha256();
        let reader = ImageReader::open_as_written(store.clone(), &backup.prefix, written);
        let reader = reader.await.map_err(Error::from)?;
        let source_databases = match backup.outcome {
            // An agent of the version before does not report the number.
            Outcome::Backup { source_databases: 0, .. } => None,
            Outcome::Backup { source_databases, .. } => i32::try_from(source_databases).ok(),
            _ => None,
        };
        reader.write_seal(cx.services.keys().seal_key()).await.map_err(Error::from)?;
        publish(cx, &reader, &backup.prefix, source_databases).await?;
        sweep_earlier_attempts(cx, &store, &backup.prefix).await;
        Ok(StepOutcome::Done(()))
    }
}

/// Deletes the objects of the attempts before the published one. They are not needed, but the image is complete: a store
/// that refuses or does not respond is only logged.
async fn sweep_earlier_attempts(cx: &StepContext<CreateImage>, store: &image::Store, published: &str) {
    // The attempt that succeeded has the last prefix.
    let earlier = (1..).map(|attempt| attempt_prefix(cx, attempt)).take_while(|prefix| prefix != published);
    let sweeping = async {
        for prefix in earlier {
            store.delete_image(&prefix).await?;
        }
        Ok::<_, image::Error>(())
    };
    let image = cx.input.image;
    match tokio::time::timeout(SWEEP_LIMIT, sweeping).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%image, %error, "objects of earlier attempts remain in the store"),
        Err(_) => {
            tracing::warn!(%image, "objects of earlier attempts remain in the store: it does not respond");
        }
    }
}

/// Records the manifest and its SHA-256, and makes the image available.
async fn publish(
    cx: &StepContext<CreateImage>,
    reader: &ImageReader,
    prefix: &str,
    source_databases: Option<i32>,
) -> Result<(), Failure> {
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let bytes = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let manifest = &reader.manifest;
    let text = serde_json::to_value(manifest).map_err(Error::from)?;
    let mut tx = cx.fenced().await?;
    sqlx::query!(
        "update toygres.image i set status = 'available', prefix = $2, manifest = $3, version = $4, major = $5,
             source_bytes = $6, stored_bytes = $7, databases = $8, source_databases = $12, tables = $9, rows = $10,
             manifest_sha256 = $13,
             duration_ms = (extract(epoch from clock_timestamp() - r.created_at) * 1000)::bigint,
             verified_at = clock_timestamp(), error = null, error_code = null, error_subject = null
         from toygres.run r where i.id = $1 and r.id = $11",
        cx.input.image.0,
        prefix,
        text,
        manifest.source.version.split(' ').next(),
        manifest.source.major,
        manifest.source.bytes,
        bytes(manifest.stored_bytes()),
        i32::try_from(manifest.databases.len()).unwrap_or(i32::MAX),
        count(manifest.tables()),
        bytes(manifest.rows()),
        cx.run.0,
        source_databases,
        reader.manifest_sha256
    )
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// The store and the prefix of an image, and the SHA-256 of the manifest that its backup wrote; none if an earlier version of Toygres
/// made the image.
pub(super) async fn location(
    services: &Services,
    image: ImageId,
) -> Result<(Location, Option<String>), Failure> {
    let missing = |detail: &str| Error::Failed(model::Failure::new(FailureCode::ManifestMissing, detail));
    let row = sqlx::query!("select store, prefix, manifest_sha256 from toygres.image where id = $1", image.0)
        .fetch_optional(services.db())
        .await?
        .ok_or_else(|| missing("the image does not exist"))?;
    let prefix = row.prefix.ok_or_else(|| missing("the image has no objects"))?;
    let (store, _) = stores::access::row(services, model::StoreId(row.store)).await?;
    Ok((Location { store, prefix }, row.manifest_sha256))
}
