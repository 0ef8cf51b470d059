//! Launches or re-attaches to a step's job and maps its result to the step's outcome. One attempt is one job; the collector
//! follows it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use model::agent::{AgentResult, Connection, Location, Outcome, SECRET_PASSWORD, SECRET_STORE, Work};
use model::{AgentTask, EventBody, Failure, FailureCode, InstanceId, NetworkPolicy, Origin, StoreId};
use platform::{JobSpec, JobState, Secret, job_name};
use uuid::Uuid;
use workflow::{StepContext, StepOutcome, Workflow};

use crate::error::{Error, Result};
use crate::services::Services;
use crate::stores::access::{self, Opening};
use crate::stores::reading;

/// How long a step waits before it checks its job itself; the collector wakes it when the job has ended.
const POLL: Duration = Duration::from_secs(20);
/// How long a job may take to stop after SIGTERM.
const GRACE: Duration = Duration::from_secs(15);
/// How long a probe waits for a name to resolve: that of a new load balancer takes 60 to 90 s.
pub(crate) const DNS_SECONDS: u64 = 120;

/// The prefix of the logs of jobs that write no image, in their store.
pub(crate) const OWN_LOGS: &str = "logs/";

/// The job that a step requests.
pub(crate) struct JobRequest {
    pub(crate) work: Work,
    pub(crate) password: Option<Secret>,
    /// The store of the work and of the log.
    pub(crate) store: Option<StoreId>,
    pub(crate) volume: Option<InstanceId>,
    pub(crate) major: Option<i32>,
    pub(crate) log: Option<Location>,
    /// Which addresses the server of the work may have; any if none.
    pub(crate) network: Option<NetworkPolicy>,
    pub(crate) deadline: Duration,
}

/// Runs the step's job: launches or finds it, waits until the collector has harvested it, and returns its outcome.
pub(crate) async fn run<W, P>(
    cx: &StepContext<W>,
    request: impl FnOnce() -> P,
) -> std::result::Result<StepOutcome<Outcome>, workflow::Failure>
where
    W: Workflow<Services = Services>,
    P: Future<Output = std::result::Result<JobRequest, workflow::Failure>>,
{
    let name = job_name(cx.run.0, cx.step, cx.attempt);
    let row = sqlx::query!(
        r#"select ended_at is not null as "ended!", result as "result: sqlx::types::Json<AgentResult>", reason, error_code,
               error_subject
           from toygres.job where name = $1"#,
        name
    )
    .fetch_optional(cx.services.db())
    .await?;
    let launched_before = row.is_some();
    if let Some(row) = row
        && row.ended
    {
        let code = row.error_code;
        let failure =
            row.reason.map(|reason| Failure::from_columns(code.as_deref(), row.error_subject, reason));
        let outcome = outcome_of(row.result.map(|result| result.0), failure);
        return outcome.map(StepOutcome::Done).map_err(|failure| Error::Failed(failure).into());
    }
    // A job that runs has its credentials; no others are derived for it.
    if launched_before && matches!(cx.services.platform().observe(&name).await, Ok(JobState::Running)) {
        return Ok(StepOutcome::Wait(POLL));
    }
    match async { launch(cx, &name, request().await?).await }.await {
        // A platform or a store that is unavailable says nothing about a job that was launched before: it continues, and a
        // second one beside it would do harm. The collector finds out how it ends.
        Err(failure) if launched_before && !failure.is_fatal() => {
            let error = failure.detail();
            tracing::warn!(job.name = name, error, "cannot look up a job; trying again");
        }
        launched => launched?,
    }
    Ok(StepOutcome::Wait(POLL))
}

async fn launch<W: Workflow<Services = Services>>(
    cx: &StepContext<W>,
    name: &str,
    request: JobRequest,
) -> std::result::Result<(), workflow::Failure> {
    let services = &cx.services;
    let opening = match request.store {
        Some(store) if reading::writes(&request.work) => Some(access::opening(services, store).await?),
        Some(store) => Some(access::opening(services, store).await?.for_reading(request.deadline).await?),
        None => None,
    };
    // A job that writes no image keeps its log in the store until its end is recorded.
    let log = request.log.or_else(|| {
        let name = Uuid::new_v5(&cx.run.0, name.as_bytes());
        opening
            .as_ref()
            .map(|opening| Location { store: opening.url.clone(), prefix: format!("{OWN_LOGS}{name}") })
    });
    // The row first: a crash after this line leaves a job that the collector and the undo know.
    let mut tx = cx.fenced().await?;
    sqlx::query!(
        "insert into toygres.job (name, platform, run_id, step, attempt, position, store, log_prefix)
         select $1, $2, $3, $4, $5, position, $6, $7 from toygres.step where run_id = $3 and name = $4
         on conflict do nothing",
        name,
        services.platform_id().0,
        cx.run.0,
        cx.step,
        cx.attempt,
        request.store.map(|store| store.0),
        log.as_ref().map(|log| &*log.prefix)
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    if has_ended(services.db(), name).await? {
        return Ok(());
    }
    let task = AgentTask {
        run: cx.run.0,
        step: cx.step.to_owned(),
        attempt: cx.attempt,
        work: request.work,
        log,
        network: request.network,
    };
    let job = JobSpec {
        name: name.to_owned(),
        task,
        secrets: secrets(request.password, opening.as_ref()),
        volume: request.volume,
        major: request.major,
        identity: opening.and_then(|opening| opening.identity),
        deadline: request.deadline,
    };
    let platform = services.platform();
    platform.launch(&job).await.map_err(Error::from)?;
    // It may have been harvested since, and is launched a second time then.
    if has_ended(services.db(), name).await? {
        platform.stop(name, Duration::ZERO).await.map_err(Error::from)?;
        platform.remove(name).await.map_err(Error::from)?;
    }
    Ok(())
}

/// Whether the end of a job is recorded: what the platform has of it is removed.
async fn has_ended(db: &sqlx::PgPool, name: &str) -> sqlx::Result<bool> {
    let ended = sqlx::query_scalar!(
        r#"select ended_at is not null as "ended!" from toygres.job where name = $1"#,
        name
    );
    Ok(ended.fetch_optional(db).await? == Some(true))
}

/// The secret files of a job.
fn secrets(password: Option<Secret>, opening: Option<&Opening>) -> BTreeMap<String, Secret> {
    let password = password.map(|password| (SECRET_PASSWORD.to_owned(), password));
    let store = opening.and_then(Opening::secret).map(|store| (SECRET_STORE.to_owned(), store));
    password.into_iter().chain(store).collect()
}

/// The outcome of an ended job: its own result counts; where it left none, what the platform reports.
fn outcome_of(
    result: Option<AgentResult>,
    reported: Option<Failure>,
) -> std::result::Result<Outcome, Failure> {
    let Some(result) = result else {
        let unknown = || Failure::new(FailureCode::JobWithoutResult, "the job left no result");
        return Err(reported.unwrap_or_else(unknown));
    };
    match (result.failure, result.outcome) {
        (None, Some(outcome)) => Ok(outcome),
        (None, None) => Err(Failure::new(FailureCode::Internal, "the job succeeded without an outcome")),
        // A run does not ask for the result of a job that it cancels itself: something else stopped this one.
        (Some(failure), _) if failure.code == FailureCode::Cancelled => Err(reported
            .unwrap_or_else(|| Failure::new(FailureCode::JobKilled, "the job was stopped by SIGTERM"))),
        (Some(failure), _) => Err(failure),
    }
}

/// Stops the jobs of all attempts of this step and removes what they left on the platform.
pub(crate) async fn undo<W: Workflow<Services = Services>>(
    cx: &StepContext<W>,
) -> std::result::Result<(), workflow::Failure> {
    for attempt in 1..=cx.attempt {
        let name = job_name(cx.run.0, cx.step, attempt);
        let platform = cx.services.platform();
        platform.stop(&name, GRACE).await.map_err(Error::from)?;
        // The collector reads the last lines and removes the job; a job without a row has no collector.
        let open = sqlx::query_scalar!(
            r#"select ended_at is null as "open!" from toygres.job where name = $1"#,
            name
        )
        .fetch_optional(cx.services.db())
        .await?;
        match open {
            Some(true) => wait_for_harvest(cx.services.db(), &name).await?,
            Some(false) => {}
            None => platform.remove(&name).await.map_err(Error::from)?,
        }
    }
    Ok(())
}

async fn wait_for_harvest(db: &sqlx::PgPool, name: &str) -> std::result::Result<(), workflow::Failure> {
    for _ in 0..300 {
        let open = sqlx::query_scalar!(
            r#"select ended_at is null as "open!" from toygres.job where name = $1"#,
            name
        )
        .fetch_optional(db)
        .await?;
        if open != Some(true) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let failure = Failure::new(FailureCode::PlatformUnavailable, "the last log lines are not collected yet");
    Err(Error::Failed(failure.on(name)).into())
}

/// Which addresses an instance may have: a user typed the host of an external one, and Toygres chose that of a managed one.
pub(crate) async fn network_of(services: &Services, origin: Origin) -> Option<NetworkPolicy> {
    match origin {
        Origin::External => Some(services.network().policy().await),
        Origin::Managed => None,
    }
}

/// Connects to a server in a job outside of any run, and returns what it found.
pub(crate) async fn probe(
    services: &Services,
    target: Connection,
    origin: Origin,
    password: Secret,
) -> Result<Outcome> {
    let network = network_of(services, origin).await;
    run_alone(services, Work::Probe { target, dns_seconds: 0 }, network, Some(password), None).await
}

/// Does work in a job outside of any run, and returns its outcome.
pub(crate) async fn run_alone(
    services: &Services,
    work: Work,
    network: Option<NetworkPolicy>,
    password: Option<Secret>,
    opening: Option<&Opening>,
) -> Result<Outcome> {
    let id = Uuid::new_v4();
    let name = job_name(id, "probe", 1);
    let job = JobSpec {
        name: name.clone(),
        task: AgentTask { run: id, step: "probe".to_owned(), attempt: 1, work, log: None, network },
        secrets: secrets(password, opening),
        volume: None,
        major: None,
        identity: opening.and_then(|opening| opening.identity.clone()),
        deadline: Duration::from_secs(60),
    };
    let platform = services.platform();
    platform.launch(&job).await?;
    let ended = tokio::time::timeout(job.deadline, end_of(services, &name)).await;
    let waiting = match platform.observe(&name).await {
        Ok(JobState::Pending(waiting)) if ended.is_err() => waiting,
        _ => None,
    };
    platform.stop(&name, Duration::ZERO).await?;
    platform.remove(&name).await?;
    let Ok(ended) = ended else {
        let unknown = || Failure::new(FailureCode::JobDeadline, "the job did not end within one minute");
        return Err(waiting.unwrap_or_else(unknown).into());
    };
    let JobState::Ended(end) = ended? else {
        return Err(Failure::new(FailureCode::JobDeleted, "the job disappeared").on(name).into());
    };
    Ok(outcome_of(end.result, end.failure)?)
}

/// Waits until a job has ended. A claim that does not exist ends the wait: it will not appear within the deadline.
async fn end_of(services: &Services, name: &str) -> Result<JobState> {
    let platform = services.platform();
    let mut events = platform.events(name, 0).await?;
    while let Some(event) = events.next().await {
        if let Ok(EventBody::Waiting(failure)) = event.map(|event| event.body)
            && failure.code == FailureCode::ClaimMissing
        {
            return Err(failure.into());
        }
    }
    Ok(platform.observe(name).await?)
}
