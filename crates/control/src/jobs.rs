//! One attempt, one job: launching it or finding it, and what its end means for the step. The collector follows it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use model::agent::{AgentResult, Connection, Location, Outcome, SECRET_PASSWORD, Work};
use model::{AgentTask, ExitClass, InstanceId};
use platform::{JobSpec, JobState, Secret, job_name};
use uuid::Uuid;
use workflow::{Cx, Failure, Progress, Workflow};

use crate::error::{Error, Result};
use crate::services::Services;
use crate::stores::sentence;

/// How long a step waits for a job before it looks by itself; the collector wakes it when the job has ended.
const LOOK: Duration = Duration::from_secs(20);
/// How long a job that is asked to stop may take.
const GRACE: Duration = Duration::from_secs(15);
/// How long a probe goes on while a name does not resolve: a new load balancer's takes 60 to 90 s.
pub(crate) const DNS_SECONDS: u64 = 120;

/// What a step wants done.
pub(crate) struct Plan {
    pub(crate) work: Work,
    pub(crate) password: Option<Secret>,
    pub(crate) volume: Option<InstanceId>,
    pub(crate) major: Option<i32>,
    pub(crate) log: Option<Location>,
    pub(crate) deadline: Duration,
}

/// Runs the step's job: launches it or finds it, waits until its end was harvested, and says what it found out.
pub(crate) async fn run<W, P>(
    cx: &Cx<W>,
    plan: impl FnOnce() -> P,
) -> std::result::Result<Progress<Outcome>, Failure>
where
    W: Workflow<Services = Services>,
    P: Future<Output = std::result::Result<Plan, Failure>>,
{
    let name = job_name(cx.run.0, cx.step, cx.attempt);
    let row = sqlx::query!(
        r#"select ended_at is not null as "ended!", result as "result: sqlx::types::Json<AgentResult>", reason
           from toygres.job where name = $1"#,
        name
    )
    .fetch_optional(cx.services.db())
    .await?;
    if let Some(row) = &row
        && row.ended
    {
        return ended(row.result.as_ref().map(|result| &result.0), row.reason.as_deref()).map(Progress::Done);
    }
    launch(cx, &name, plan().await?).await?;
    Ok(Progress::Wait(LOOK))
}

async fn launch<W: Workflow<Services = Services>>(
    cx: &Cx<W>,
    name: &str,
    plan: Plan,
) -> std::result::Result<(), Failure> {
    let services = &cx.services;
    // The intent first: whatever happens from here on, somebody knows of the job.
    let mut tx = cx.fenced().await?;
    sqlx::query!(
        "insert into toygres.job (name, platform, run_id, step, attempt, position, store_url, log_prefix)
         select $1, $2, $3, $4, $5, position, $6, $7 from toygres.step where run_id = $3 and name = $4
         on conflict do nothing",
        name,
        services.platform_id().0,
        cx.run.0,
        cx.step,
        cx.attempt,
        plan.log.as_ref().map(|log| &*log.store),
        plan.log.as_ref().map(|log| &*log.prefix)
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    let task = AgentTask {
        run: cx.run.0,
        step: cx.step.to_owned(),
        attempt: cx.attempt,
        work: plan.work,
        log: plan.log,
    };
    let job = JobSpec {
        name: name.to_owned(),
        task,
        secrets: plan.password.map(|password| (SECRET_PASSWORD.to_owned(), password)).into_iter().collect(),
        volume: plan.volume,
        major: plan.major,
        identity: None,
        deadline: plan.deadline,
    };
    services.platform().launch(&job).await.map_err(of_platform)
}

/// What is impossible is not tried again.
pub(crate) fn of_platform(error: platform::Error) -> Failure {
    match error {
        platform::Error::Transient(error) => Failure::retry(error),
        other => Failure::fatal(anyhow::anyhow!("{other}")),
    }
}

/// What a person or a place refuses is not tried again; what does not answer is.
pub(crate) fn of_control(error: Error) -> Failure {
    match error {
        Error::Unavailable(_) | Error::Internal(_) => Failure::retry(anyhow::anyhow!("{error}")),
        other => Failure::fatal(anyhow::anyhow!("{other}")),
    }
}

/// What the end of a job means for its step.
fn ended(result: Option<&AgentResult>, reason: Option<&str>) -> std::result::Result<Outcome, Failure> {
    let Some(result) = result else {
        return Err(Failure::retry(anyhow::anyhow!("{}", reason.unwrap_or("The job left no result."))));
    };
    let words = sentence(result.error.as_deref().unwrap_or("the job failed without a word"));
    match (result.class, &result.outcome) {
        (ExitClass::Ok, Some(outcome)) => Ok(outcome.clone()),
        (ExitClass::Ok, None) => {
            Err(Failure::fatal(anyhow::anyhow!("The job says that it succeeded, and not at what.")))
        }
        (ExitClass::Unreachable | ExitClass::Transient, _) => Err(Failure::retry(anyhow::anyhow!("{words}"))),
        _ => Err(Failure::fatal(anyhow::anyhow!("{words}"))),
    }
}

/// Stops the jobs of all attempts of this step and takes away what they left on the platform.
pub(crate) async fn undo<W: Workflow<Services = Services>>(cx: &Cx<W>) -> std::result::Result<(), Failure> {
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
    for _ in 0..200 {
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
    let id = Uuid::new_v4();
    let name = job_name(id, "probe", 1);
    let work = Work::Probe { target, dns_seconds: 0 };
    let job = JobSpec {
        name: name.clone(),
        task: AgentTask { run: id, step: "probe".to_owned(), attempt: 1, work, log: None },
        secrets: BTreeMap::from([(SECRET_PASSWORD.to_owned(), password)]),
        volume: None,
        major: None,
        identity: None,
        deadline: Duration::from_secs(60),
    };
    let platform = services.platform();
    platform.launch(&job).await?;
    let wait = async {
        let mut events = platform.events(&name, 0).await?;
        while events.next().await.is_some() {}
        platform.observe(&name).await
    };
    let state = tokio::time::timeout(job.deadline, wait).await;
    platform.stop(&name, Duration::ZERO).await?;
    platform.remove(&name).await?;
    let Ok(state) = state else {
        return Err(Error::Conflict("The server did not answer within a minute.".to_owned()));
    };
    let JobState::Ended(end) = state? else {
        return Err(Error::Internal(anyhow::anyhow!("a probe vanished")));
    };
    ended(end.result.as_ref(), end.reason.as_deref()).map_err(|failure| Error::Conflict(failure.message()))
}
