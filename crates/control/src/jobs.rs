//! One attempt, one job: launching it or finding it, and what its end means for the step. The collector follows it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use model::agent::{AgentResult, Connection, Location, Outcome, SECRET_PASSWORD, SECRET_STORE, Work};
use model::{AgentEvent, AgentTask, EventBody, ExitClass, InstanceId, StoreId};
use platform::{JobSpec, JobState, Secret, job_name};
use uuid::Uuid;
use workflow::{StepContext, Failure, StepOutcome, Workflow};

use crate::error::{Error, Result};
use crate::services::Services;
use crate::stores::access::{self, Opening};
use crate::stores::sentence;

/// How long a step waits for a job before it looks by itself; the collector wakes it when the job has ended.
const LOOK: Duration = Duration::from_secs(20);
/// How long a job that is asked to stop may take.
const GRACE: Duration = Duration::from_secs(15);
/// How long a probe goes on while a name does not resolve: a new load balancer's takes 60 to 90 s.
pub(crate) const DNS_SECONDS: u64 = 120;

/// Where the logs of jobs are that write no image, below their store.
pub(crate) const OWN_LOGS: &str = "logs/";

/// What a step wants done.
pub(crate) struct Plan {
    pub(crate) work: Work,
    pub(crate) password: Option<Secret>,
    /// The store that the work and the log are in.
    pub(crate) store: Option<StoreId>,
    pub(crate) volume: Option<InstanceId>,
    pub(crate) major: Option<i32>,
    pub(crate) log: Option<Location>,
    pub(crate) deadline: Duration,
}

/// Runs the step's job: launches it or finds it, waits until its end was harvested, and says what it found out.
pub(crate) async fn run<W, P>(
    cx: &StepContext<W>,
    plan: impl FnOnce() -> P,
) -> std::result::Result<StepOutcome<Outcome>, Failure>
where
    W: Workflow<Services = Services>,
    P: Future<Output = std::result::Result<Plan, Failure>>,
{
    let name = job_name(cx.run.0, cx.step, cx.attempt);
    let row = sqlx::query!(
        r#"select ended_at is not null as "ended!", result as "result: sqlx::types::Json<AgentResult>", reason, fatal
           from toygres.job where name = $1"#,
        name
    )
    .fetch_optional(cx.services.db())
    .await?;
    if let Some(row) = &row
        && row.ended
    {
        let result = row.result.as_ref().map(|result| &result.0);
        return ended(result, row.reason.as_deref(), row.fatal).map(StepOutcome::Done);
    }
    match async { launch(cx, &name, plan().await?).await }.await {
        // A platform or a store that does not answer now says nothing of a job that was launched before: it works on, and
        // a second one beside it would do harm. What becomes of it the collector finds out.
        Err(failure) if row.is_some() && !failure.is_fatal() => {
            tracing::warn!(
                job.name = name,
                error = failure.message(),
                "a job cannot be looked for; trying again"
            );
        }
        launched => launched?,
    }
    Ok(StepOutcome::Wait(LOOK))
}

async fn launch<W: Workflow<Services = Services>>(
    cx: &StepContext<W>,
    name: &str,
    plan: Plan,
) -> std::result::Result<(), Failure> {
    let services = &cx.services;
    let opening = match plan.store {
        Some(store) => Some(access::opening(services, store).await.map_err(of_control)?),
        None => None,
    };
    // A job whose objects keep no log has one of its own in the store, until its end is written down.
    let log = plan.log.or_else(|| {
        let name = Uuid::new_v5(&cx.run.0, name.as_bytes());
        opening
            .as_ref()
            .map(|opening| Location { store: opening.url.clone(), prefix: format!("{OWN_LOGS}{name}") })
    });
    // The intent first: whatever happens from here on, somebody knows of the job.
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
        plan.store.map(|store| store.0),
        log.as_ref().map(|log| &*log.prefix)
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    let task =
        AgentTask { run: cx.run.0, step: cx.step.to_owned(), attempt: cx.attempt, work: plan.work, log };
    let job = JobSpec {
        name: name.to_owned(),
        task,
        secrets: secrets(plan.password, opening.as_ref()),
        volume: plan.volume,
        major: plan.major,
        identity: opening.and_then(|opening| opening.identity),
        deadline: plan.deadline,
    };
    services.platform().launch(&job).await.map_err(of_platform)
}

/// The files that a job is given.
fn secrets(password: Option<Secret>, opening: Option<&Opening>) -> BTreeMap<String, Secret> {
    let password = password.map(|password| (SECRET_PASSWORD.to_owned(), password));
    let store = opening.and_then(Opening::secret).map(|store| (SECRET_STORE.to_owned(), store));
    password.into_iter().chain(store).collect()
}

/// What is impossible is not tried again.
pub(crate) fn of_platform(error: platform::Error) -> Failure {
    match error {
        platform::Error::Transient(error) => Failure::retry(error),
        other => Failure::fatal(anyhow::anyhow!("{other}")),
    }
}

/// What a person or a place refuses, or a row that says what cannot be, is not tried again; what does not answer is waited
/// for.
pub(crate) fn of_control(error: Error) -> Failure {
    match error {
        Error::Unavailable(_) => Failure::outage(anyhow::anyhow!("{error}")),
        Error::Internal(_) => Failure::retry(anyhow::anyhow!("{error}")),
        other => Failure::fatal(anyhow::anyhow!("{other}")),
    }
}

/// Whether another attempt would end the same way.
pub(crate) fn is_final(class: ExitClass) -> bool {
    matches!(class, ExitClass::Configuration | ExitClass::Authentication | ExitClass::Verification)
}

/// What the end of a job means for its step: its own result counts, and where it left none, what the platform knows.
fn ended(
    result: Option<&AgentResult>,
    reason: Option<&str>,
    fatal: bool,
) -> std::result::Result<Outcome, Failure> {
    let failed = |fatal: bool, words: &str| {
        let error = anyhow::anyhow!("{}", sentence(words));
        Err(if fatal { Failure::fatal(error) } else { Failure::retry(error) })
    };
    let Some(result) = result else { return failed(fatal, reason.unwrap_or("the job left no result")) };
    let words = result.error.as_deref().unwrap_or("the job failed without a word");
    match (result.class, &result.outcome) {
        (ExitClass::Ok, Some(outcome)) => Ok(outcome.clone()),
        (ExitClass::Ok, None) => failed(true, "the job says that it succeeded, and not at what"),
        // Not by its run, which would not ask: a machine that is emptied, a deadline.
        (ExitClass::Cancelled, _) => failed(fatal, reason.unwrap_or("somebody stopped the job")),
        (class, _) => failed(is_final(class), words),
    }
}

/// Stops the jobs of all attempts of this step and takes away what they left on the platform.
pub(crate) async fn undo<W: Workflow<Services = Services>>(cx: &StepContext<W>) -> std::result::Result<(), Failure> {
    for attempt in 1..=cx.attempt {
        let name = job_name(cx.run.0, cx.step, attempt);
        let platform = cx.services.platform();
        platform.stop(&name, GRACE).await.map_err(of_platform)?;
        // The collector reads the last lines and removes the job; without a row there is nobody to do it.
        let open = sqlx::query_scalar!(
            r#"select ended_at is null as "open!" from toygres.job where name = $1"#,
            name
        )
        .fetch_optional(cx.services.db())
        .await?;
        match open {
            Some(true) => wait_for_harvest(cx.services.db(), &name).await?,
            Some(false) => {}
            None => platform.remove(&name).await.map_err(of_platform)?,
        }
    }
    Ok(())
}

async fn wait_for_harvest(db: &sqlx::PgPool, name: &str) -> std::result::Result<(), Failure> {
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
    Err(Failure::retry(anyhow::anyhow!("the last lines of the job {name} were not collected yet")))
}

/// Connects to a server by a job of its own, outside of any run, and waits for what it finds out.
pub(crate) async fn probe(services: &Services, target: Connection, password: Secret) -> Result<Outcome> {
    alone(services, Work::Probe { target, dns_seconds: 0 }, Some(password), None).await
}

/// Does work by a job of its own, outside of any run, and waits for what it finds out.
pub(crate) async fn alone(
    services: &Services,
    work: Work,
    password: Option<Secret>,
    opening: Option<&Opening>,
) -> Result<Outcome> {
    let id = Uuid::new_v4();
    let name = job_name(id, "probe", 1);
    let job = JobSpec {
        name: name.clone(),
        task: AgentTask { run: id, step: "probe".to_owned(), attempt: 1, work, log: None },
        secrets: secrets(password, opening),
        volume: None,
        major: None,
        identity: opening.and_then(|opening| opening.identity.clone()),
        deadline: Duration::from_secs(60),
    };
    let platform = services.platform();
    platform.launch(&job).await?;
    let wait = async {
        let mut events = platform.events(&name, 0).await?;
        while let Some(event) = events.next().await {
            if let Some(words) = event.ok().and_then(missing_claim) {
                return Err(Error::Conflict(words));
            }
        }
        Ok(platform.observe(&name).await?)
    };
    let state = tokio::time::timeout(job.deadline, wait).await;
    let waits_for = match platform.observe(&name).await {
        Ok(JobState::Pending(words)) if state.is_err() => words,
        _ => String::new(),
    };
    platform.stop(&name, Duration::ZERO).await?;
    platform.remove(&name).await?;
    let Ok(state) = state else {
        let words = format!("No answer came within a minute. {waits_for}");
        return Err(Error::Conflict(words.trim_end().to_owned()));
    };
    let JobState::Ended(end) = state? else {
        return Err(Error::Internal(anyhow::anyhow!("a probe vanished")));
    };
    ended(end.result.as_ref(), end.reason.as_deref(), end.fatal)
        .map_err(|failure| Error::Conflict(failure.message()))
}

/// What a job says that waits for a claim that nobody made: whoever waits for the job need not.
fn missing_claim(event: AgentEvent) -> Option<String> {
    match event.body {
        EventBody::Log { message, .. }
            if event.seq == 0
                && message.contains("persistentvolumeclaim \"")
                && message.contains("not found") =>
        {
            Some(message)
        }
        _ => None,
    }
}
