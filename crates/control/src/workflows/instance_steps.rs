//! The steps that making a new instance and restoring one share: its volume, its server, the connection test, its row.

use std::marker::PhantomData;
use std::time::Duration;

use anyhow::anyhow;
use model::agent::{Outcome, Work};
use model::run::CANCELLED;
use model::{Instance, InstanceId, workers};
use platform::{InstanceSpec, ServerState};
use workflow::{StepContext, Failure, StepOutcome, Retry, Step, Workflow};

use super::workers_seen::has_a_worker_of;
use crate::health::{connection, password};
use crate::instances;
use crate::jobs::{self, DNS_SECONDS, Plan, of_control, of_platform};
use crate::secrets::{Keyring, Kind};
use crate::services::Services;

/// A workflow that makes an instance.
pub(crate) trait MakesInstance: Workflow<Services = Services> {
    /// The instance to be, whose row is reserved.
    fn instance(&self) -> InstanceId;
}

pub(super) async fn row<W: MakesInstance>(cx: &StepContext<W>) -> Result<Instance, Failure> {
    instances::by_id(cx.services.db(), cx.input.instance()).await.map_err(of_control)
}

async fn spec<W: MakesInstance>(cx: &StepContext<W>) -> Result<InstanceSpec, Failure> {
    let instance = row(cx).await?;
    Ok(InstanceSpec {
        id: instance.id,
        name: instance.name,
        major: instance.major.ok_or_else(|| Failure::fatal(anyhow!("The instance has no version.")))?,
        image_type: instance.image_type,
        trust_loopback: instance.trust_loopback,
        preload: instance.preload,
        username: instance.username,
        volume_bytes: instance.volume_bytes,
        dns_label: instance.dns_label,
    })
}

/// Makes the empty volume. Its undo takes the volume away: whatever failed, no data is left behind.
pub(crate) struct CreatePvc<W>(PhantomData<W>);

impl<W: MakesInstance> Step for CreatePvc<W> {
    const NAME: &'static str = "CreatePvc";
    type Workflow = W;
    type Output = ();

    async fn run(cx: &StepContext<W>) -> Result<StepOutcome<()>, Failure> {
        cx.services.platform().create_volume(&spec(cx).await?).await.map_err(of_platform)?;
        Ok(StepOutcome::Done(()))
    }

    async fn undo(cx: &StepContext<W>) -> Result<(), Failure> {
        cx.services.platform().delete_volume(cx.input.instance()).await.map_err(of_platform)?;
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.instance i set status = 'failed', health = 'unknown', host = null, port = null,
                 health_detail = case when r.error is null then $3 end
             from toygres.run r where i.id = $1 and r.id = $2",
            cx.input.instance().0,
            cx.run.0,
            CANCELLED
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Looks whether the reserved row has all that the server needs.
pub(crate) struct CreateInstanceRecord<W>(PhantomData<W>);

impl<W: MakesInstance> Step for CreateInstanceRecord<W> {
    const NAME: &'static str = "CreateInstanceRecord";
    type Workflow = W;
    type Output = ();

    async fn run(cx: &StepContext<W>) -> Result<StepOutcome<()>, Failure> {
        let instance = row(cx).await?;
        password(&cx.services, &instance).await.map_err(of_control)?;
        Ok(StepOutcome::Done(()))
    }
}

/// Configures and starts the server on its volume.
pub(crate) struct DeployPostgresFromPvc<W>(PhantomData<W>);

impl<W: MakesInstance> Step for DeployPostgresFromPvc<W> {
    const NAME: &'static str = "DeployPostgresFromPvc";
    /// A cluster that has no room grows within minutes, or a person makes some; what it waits for is on the page.
    const DEADLINE: Duration = Duration::from_secs(3600);
    const TIMEOUT: Duration = Duration::from_secs(240);
    /// A cluster whose API is away for minutes, as when it is upgraded, is waited for.
    const RETRY: Retry = Retry::times(6);
    type Workflow = W;
    type Output = ();

    async fn run(cx: &StepContext<W>) -> Result<StepOutcome<()>, Failure> {
        deploy(cx).await
    }

    async fn undo(cx: &StepContext<W>) -> Result<(), Failure> {
        cx.services.platform().delete_server(cx.input.instance()).await.map_err(of_platform)
    }
}

/// Makes every part of the server that is not there or not as it should be, has it run, and writes down where it is.
pub(super) async fn deploy<W: MakesInstance>(cx: &StepContext<W>) -> Result<StepOutcome<()>, Failure> {
    let spec = spec(cx).await?;
    let password = password(&cx.services, &row(cx).await?).await.map_err(of_control)?;
    let platform = cx.services.platform();
    platform.deploy_server(&spec, &password).await.map_err(of_platform)?;
    match platform.observe_server(spec.id).await.map_err(of_platform)? {
        ServerState::Starting(words) => {
            is_starting(cx, &words).await?;
            return Ok(StepOutcome::Wait(Duration::from_secs(1)));
        }
        ServerState::Waiting(words) => {
            waits_for(cx, &words).await?;
            return Ok(StepOutcome::Wait(Duration::from_secs(1)));
        }
        ServerState::Failed(words) => return Err(Failure::retry(anyhow!("{words}"))),
        ServerState::Absent | ServerState::Stopped | ServerState::Running | ServerState::Endangered(_) => {}
    }
    let endpoint = platform.endpoint(spec.id).await.map_err(of_platform)?;
    let endpoint = endpoint.ok_or_else(|| Failure::retry(anyhow!("The server has no address yet.")))?;
    let mut tx = cx.fenced().await?;
    sqlx::query!(
        "update toygres.instance set host = $2, port = $3, health_detail = null where id = $1",
        spec.id.0,
        endpoint.host,
        i32::from(endpoint.port)
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(StepOutcome::Done(()))
}

/// Says in the log, once, how far the server is.
async fn is_starting<W: MakesInstance>(cx: &StepContext<W>, words: &str) -> Result<(), Failure> {
    let mut tx = cx.fenced().await?;
    sqlx::query!(
        "update toygres.instance set health_detail = null where id = $1 and health_detail is not null",
        cx.input.instance().0
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "select toygres.log_line($1, 'info', $2, $3) where not exists (
             select from toygres.log_chunk c cross join lateral jsonb_array_elements(c.lines) e (line)
             where c.run_id = $1 and e.line ->> 'step' = $2 and e.line ->> 'message' = $3)",
        cx.run.0,
        cx.step,
        words
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Shows what the server waits for: on the instance, and once in the log.
async fn waits_for<W: MakesInstance>(cx: &StepContext<W>, words: &str) -> Result<(), Failure> {
    let mut tx = cx.fenced().await?;
    let is_news = sqlx::query!(
        "update toygres.instance set health_detail = $2, health_at = clock_timestamp()
         where id = $1 and health_detail is distinct from $2",
        cx.input.instance().0,
        words
    )
    .execute(&mut *tx)
    .await?
    .rows_affected()
        == 1;
    if is_news {
        sqlx::query!("select toygres.log_line($1, 'warn', $2, $3)", cx.run.0, cx.step, words)
            .fetch_one(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Connects as a client would. Waiting for DNS is one attempt, and its end the step's; a wrong password ends it at once.
pub(crate) struct TestConnection<W>(PhantomData<W>);

impl<W: MakesInstance> Step for TestConnection<W> {
    const NAME: &'static str = "TestConnection";
    const RETRY: Retry = Retry::times(5);
    const DEADLINE: Duration = Duration::from_secs(900);
    type Workflow = W;
    type Output = Outcome;

    async fn run(cx: &StepContext<W>) -> Result<StepOutcome<Outcome>, Failure> {
        let tested = jobs::run(cx, async || {
            let instance = row(cx).await?;
            let password = password(&cx.services, &instance).await.map_err(of_control)?;
            let work = Work::Probe { target: connection(&instance), dns_seconds: DNS_SECONDS };
            let major = instance.major;
            Ok(Plan {
                work,
                password: Some(password),
                store: None,
                volume: None,
                major,
                log: None,
                deadline: Duration::from_secs(300),
            })
        })
        .await;
        match tested {
            // The name was waited for already.
            Err(failure) if failure.message().contains("does not resolve") => {
                Err(Failure::fatal(anyhow!("{}", failure.message())))
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

/// Writes down that the instance is there for clients.
pub(crate) struct UpdateInstanceStatus<W>(PhantomData<W>);

impl<W: MakesInstance> Step for UpdateInstanceStatus<W> {
    const NAME: &'static str = "UpdateInstanceStatus";
    type Workflow = W;
    type Output = ();

    async fn run(cx: &StepContext<W>) -> Result<StepOutcome<()>, Failure> {
        let Outcome::Probe { version, major, bytes, databases, workers, .. } =
            cx.output::<TestConnection<W>>()?
        else {
            return Err(Failure::fatal(anyhow!("The connection test found out something else.")));
        };
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.instance set status = 'running', health = 'ok', health_detail = null, health_at = clock_timestamp(),
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

/// Forgets the password of an instance that is not to be.
pub(super) async fn forget_password<W: MakesInstance>(cx: &StepContext<W>) -> Result<(), Failure> {
    let mut tx = cx.fenced().await?;
    Keyring::forget(&mut tx, Kind::InstancePassword, cx.input.instance().0).await?;
    tx.commit().await?;
    Ok(())
}
