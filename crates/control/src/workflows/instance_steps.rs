//! The steps that creating, restoring and starting an instance share: its volume, its server, the connection test, its row.

use std::marker::PhantomData;
use std::time::Duration;

use model::agent::{Outcome, Work};
use model::{FailureCode, Instance, InstanceId, Level, RunId, workers};
use platform::{InstanceSpec, ServerState};
use workflow::{Failure, Retry, Step, StepContext, StepOutcome, Workflow};

use super::workers_seen::has_a_worker_of;
use crate::error::Error;
use crate::instances;
use crate::instances::access::{connection, password};
use crate::jobs::{self, DNS_SECONDS, JobRequest};
use crate::logs::{self, Line};
use crate::secrets::{Keyring, Kind};
use crate::services::Services;

/// A workflow that brings up an instance.
pub(crate) trait ForInstance: Workflow<Services = Services> {
    /// The instance, whose row exists.
    fn instance(&self) -> InstanceId;
}

pub(super) async fn row<W: ForInstance>(cx: &StepContext<W>) -> Result<Instance, Failure> {
    Ok(instances::by_id(cx.services.db(), cx.input.instance()).await?)
}

async fn spec<W: ForInstance>(cx: &StepContext<W>) -> Result<InstanceSpec, Failure> {
    let instance = row(cx).await?;
    Ok(InstanceSpec {
        id: instance.id,
        name: instance.name,
        major: instance.major.ok_or_else(|| {
            Failure::fatal(FailureCode::Internal.as_str(), "the instance's row has no version")
        })?,
        image_type: instance.image_type,
        trust_loopback: instance.trust_loopback,
        preload: instance.preload,
        username: instance.username,
        volume_bytes: instance.volume_bytes,
        dns_label: instance.dns_label,
    })
}

/// Creates the empty volume. Its undo deletes the volume: a failed run leaves no data.
pub(crate) struct CreatePvc<W>(PhantomData<W>);

impl<W: ForInstance> Step for CreatePvc<W> {
    const NAME: &'static str = "CreatePvc";
    type Workflow = W;
    type Output = ();

    async fn run(cx: &StepContext<W>) -> Result<StepOutcome<()>, Failure> {
        cx.services.platform().create_volume(&spec(cx).await?).await.map_err(Error::from)?;
        Ok(StepOutcome::Done(()))
    }

    async fn undo(cx: &StepContext<W>) -> Result<(), Failure> {
        cx.services.platform().delete_volume(cx.input.instance()).await.map_err(Error::from)?;
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.instance i set status = 'failed', health = 'unknown', host = null, port = null,
                 health_detail = case when r.error is null then 'cancelled' end,
                 health_code = case when r.error is null then $3 end, health_subject = null
             from toygres.run r where i.id = $1 and r.id = $2",
            cx.input.instance().0,
            cx.run.0,
            FailureCode::Cancelled.as_str()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Checks that the reserved row has everything that the server needs.
pub(crate) struct CreateInstanceRecord<W>(PhantomData<W>);

impl<W: ForInstance> Step for CreateInstanceRecord<W> {
    const NAME: &'static str = "CreateInstanceRecord";
    type Workflow = W;
    type Output = ();

    async fn run(cx: &StepContext<W>) -> Result<StepOutcome<()>, Failure> {
        let instance = row(cx).await?;
        password(&cx.services, &instance).await?;
        Ok(StepOutcome::Done(()))
    }
}

/// Configures and starts the server on its volume.
pub(crate) struct DeployPostgresFromPvc<W>(PhantomData<W>);

impl<W: ForInstance> Step for DeployPostgresFromPvc<W> {
    const NAME: &'static str = "DeployPostgresFromPvc";
    /// A cluster without free resources scales up within minutes, or an administrator frees some; the page shows what the step
    /// waits for.
    const DEADLINE: Duration = Duration::from_secs(3600);
    const TIMEOUT: Duration = Duration::from_secs(240);
    /// The retries span an API server that is unavailable for minutes, as during an upgrade.
    const RETRY: Retry = Retry::times(6);
    type Workflow = W;
    type Output = ();

    async fn run(cx: &StepContext<W>) -> Result<StepOutcome<()>, Failure> {
        deploy(cx).await
    }

    async fn undo(cx: &StepContext<W>) -> Result<(), Failure> {
        Ok(cx.services.platform().delete_server(cx.input.instance()).await.map_err(Error::from)?)
    }
}

/// Creates or updates every part of the server, waits until it runs, and records its address.
pub(super) async fn deploy<W: ForInstance>(cx: &StepContext<W>) -> Result<StepOutcome<()>, Failure> {
    let spec = spec(cx).await?;
    let password = password(&cx.services, &row(cx).await?).await?;
    let platform = cx.services.platform();
    platform.deploy_server(&spec, &password).await.map_err(Error::from)?;
    match platform.observe_server(spec.id).await.map_err(Error::from)? {
        ServerState::Starting(progress) => {
            log_progress(cx, &progress).await?;
            return Ok(StepOutcome::Wait(Duration::from_secs(1)));
        }
        ServerState::Waiting(failure) => {
            show_waiting(cx, &failure).await?;
            return Ok(StepOutcome::Wait(Duration::from_secs(1)));
        }
        // Even a permanent state may be that of a pod which is being replaced: the step's retries decide.
        ServerState::Failed(failure) => {
            return Err(Failure::retry(failure.code.as_str(), failure.detail).on(failure.subject));
        }
        ServerState::Absent | ServerState::Stopped | ServerState::Running | ServerState::Endangered(_) => {}
    }
    let endpoint = platform.endpoint(spec.id).await.map_err(Error::from)?;
    let endpoint = endpoint.ok_or_else(|| {
        Failure::retry(FailureCode::PlatformUnavailable.as_str(), "the server has no address yet")
    })?;
    let mut tx = cx.fenced().await?;
    sqlx::query!(
        "update toygres.instance set host = $2, port = $3, health_detail = null, health_code = null, health_subject = null
         where id = $1",
        spec.id.0,
        endpoint.host,
        i32::from(endpoint.port)
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(StepOutcome::Done(()))
}

/// Writes the server's progress into the log, once, and removes what the instance waited for.
async fn log_progress<W: ForInstance>(cx: &StepContext<W>, progress: &str) -> Result<(), Failure> {
    let mut tx = cx.fenced().await?;
    sqlx::query!(
        "update toygres.instance set health_detail = null, health_code = null, health_subject = null
         where id = $1 and health_detail is not null",
        cx.input.instance().0
    )
    .execute(&mut *tx)
    .await?;
    logs::append_once(&mut tx, RunId(cx.run.0), &Line::new(Level::Info, cx.step, progress)).await?;
    Ok(tx.commit().await?)
}

/// Shows what the server waits for: on the instance, and once in the log.
async fn show_waiting<W: ForInstance>(cx: &StepContext<W>, failure: &model::Failure) -> Result<(), Failure> {
    let mut tx = cx.fenced().await?;
    let changed = sqlx::query!(
        "update toygres.instance set health_detail = $2, health_code = $3, health_subject = $4, health_at = clock_timestamp()
         where id = $1 and (health_detail, health_code, health_subject) is distinct from ($2, $3, $4)",
        cx.input.instance().0,
        failure.detail,
        failure.code.as_str(),
        failure.subject
    )
    .execute(&mut *tx)
    .await?
    .rows_affected()
        == 1;
    if changed {
        let line = Line::new(Level::Warn, cx.step, &failure.to_string());
        logs::append(&mut tx, RunId(cx.run.0), &[line]).await?;
    }
    Ok(tx.commit().await?)
}

/// Connects as a client would. One attempt waits for DNS, and a name that does not resolve by then fails the step; so does a
/// rejected password.
pub(crate) struct TestConnection<W>(PhantomData<W>);

impl<W: ForInstance> Step for TestConnection<W> {
    const NAME: &'static str = "TestConnection";
    const RETRY: Retry = Retry::times(5);
    const DEADLINE: Duration = Duration::from_secs(900);
    type Workflow = W;
    type Output = Outcome;

    async fn run(cx: &StepContext<W>) -> Result<StepOutcome<Outcome>, Failure> {
        let tested = jobs::run(cx, async || {
            let instance = row(cx).await?;
            let password = password(&cx.services, &instance).await?;
            let work = Work::Probe { target: connection(&instance), dns_seconds: DNS_SECONDS };
            let major = instance.major;
            Ok(JobRequest {
                work,
                password: Some(password),
                store: None,
                volume: None,
                major,
                log: None,
                network: None,
                deadline: Duration::from_secs(300),
            })
        })
        .await;
        match tested {
            // The job waited for the name already.
            Err(failure) if failure.code() == FailureCode::HostNotResolved.as_str() => {
                Err(failure.into_fatal())
            }
            Ok(StepOutcome::Done(outcome)) => {
                let instance = row(cx).await?;
                let awaited = workers::awaited(instance.image_type, &instance.preload);
                has_a_worker_of(&awaited, outcome).map(StepOutcome::Done)
            }
            other => other,
        }
    }

    async fn undo(cx: &StepContext<W>) -> Result<(), Failure> {
        jobs::undo(cx).await
    }
}

/// Records that clients can use the instance.
pub(crate) struct UpdateInstanceStatus<W>(PhantomData<W>);

impl<W: ForInstance> Step for UpdateInstanceStatus<W> {
    const NAME: &'static str = "UpdateInstanceStatus";
    type Workflow = W;
    type Output = ();

    async fn run(cx: &StepContext<W>) -> Result<StepOutcome<()>, Failure> {
        let Outcome::Probe { version, major, bytes, databases, workers, .. } =
            cx.output::<TestConnection<W>>()?
        else {
            let detail = "the job returned the outcome of another job";
            return Err(Failure::fatal(FailureCode::Internal.as_str(), detail));
        };
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.instance set status = 'running', health = 'ok', health_detail = null,
                 health_code = null, health_subject = null, health_at = clock_timestamp(),
                 version = $2, major = $3, size_bytes = $4, databases = $5, workers = $6 where id = $1",
            cx.input.instance().0,
            version,
            major,
            bytes,
            &databases,
            &workers
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(StepOutcome::Done(()))
    }
}

/// Deletes the password of an instance whose creation failed.
pub(super) async fn delete_password<W: ForInstance>(cx: &StepContext<W>) -> Result<(), Failure> {
    let mut tx = cx.fenced().await?;
    Keyring::delete(&mut tx, Kind::InstancePassword, cx.input.instance().0).await?;
    tx.commit().await?;
    Ok(())
}
