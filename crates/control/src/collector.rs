//! Follows jobs: keeps their lines gapless, shows how far they are, and harvests how they ended. One worker a job, by a
//! lease; a line is kept together with the number of its event, so that the next worker goes on behind it.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use model::agent::{AgentResult, EventBody};
use model::{AgentEvent, Level, RunId};
use platform::{JobEnd, JobState};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::logs::{self, Line};
use crate::services::Services;

/// How long a job is one worker's, without being renewed.
const LEASE: f64 = 30.0;
/// How often new jobs are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// How long lines are gathered before they are kept.
const GATHER: Duration = Duration::from_millis(250);
/// A chunk has at most so many bytes of text.
const CHUNK: usize = 48 * 1024;

/// A job that this worker follows.
#[derive(Clone, Debug)]
struct Followed {
    name: String,
    run_id: Uuid,
    step: String,
    position: i32,
    store_url: Option<String>,
    log_prefix: Option<String>,
    seq: i64,
    epoch: i64,
}

/// Follows every open job of this platform that nobody else follows, until `stop` ends.
pub(crate) async fn run(services: Services, worker: String, stop: CancellationToken) {
    let following: Arc<Mutex<HashSet<String>>> = Arc::default();
    let mut tasks = tokio::task::JoinSet::new();
    while !stop.is_cancelled() {
        match claim(&services, &worker).await {
            Ok(jobs) => {
                for job in jobs {
                    let (services, following, stop) =
                        (services.clone(), Arc::clone(&following), stop.clone());
                    following.lock().unwrap_or_else(PoisonError::into_inner).insert(job.name.clone());
                    tasks.spawn(async move {
                        let name = job.name.clone();
                        tokio::select! {
                            () = stop.cancelled() => {}
                            followed = follow(&services, job) => {
                                if let Err(error) = followed {
                                    tracing::warn!(job.name = name, error = format!("{error:#}"), "a job is not followed any more; trying again");
                                }
                            }
                        }
                        following.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
                        release(&services, &name).await;
                    });
                }
            }
            Err(error) => tracing::warn!(%error, "open jobs could not be looked for; trying again"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
            Some(_) = tasks.join_next() => {}
        }
    }
    while tasks.join_next().await.is_some() {}
}

async fn claim(services: &Services, worker: &str) -> sqlx::Result<Vec<Followed>> {
    sqlx::query_as!(
        Followed,
        "update toygres.job j set worker = $2, lease_until = clock_timestamp() + make_interval(secs => $3), epoch = epoch + 1
         from (select name from toygres.job
               where ended_at is null and platform = $1 and (lease_until is null or lease_until < clock_timestamp())
               order by created_at limit 32 for update skip locked) open
         where j.name = open.name
         returning j.name, j.run_id, j.step, j.position, j.store_url, j.log_prefix, j.seq, j.epoch",
        services.platform_id().0,
        worker,
        LEASE
    )
    .fetch_all(services.db())
    .await
}

/// Lets the next worker in at once. What fails here heals when the lease ends.
async fn release(services: &Services, name: &str) {
    let released =
        sqlx::query!("update toygres.job set worker = null, lease_until = null where name = $1", name);
    if let Err(error) = released.execute(services.db()).await {
        tracing::debug!(%error, "a job's lease is left to end by itself");
    }
}

async fn follow(services: &Services, mut job: Followed) -> anyhow::Result<()> {
    let platform = services.platform();
    if platform.observe(&job.name).await? == JobState::Missing && !appears(services, &job).await? {
        let reason = "The job is gone: it was removed by hand, or its machine was.".to_owned();
        return end(services, &job, JobEnd { code: None, result: None, reason: Some(reason), fatal: false })
            .await;
    }
    let mut events = platform.events(&job.name, u64::try_from(job.seq)?).await?;
    let mut gathered = Gathered::default();
    let mut renew = tokio::time::interval(Duration::from_secs(8));
    renew.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let due =
            gathered.since.map_or_else(|| Instant::now() + Duration::from_secs(3600), |since| since + GATHER);
        tokio::select! {
            event = events.next() => match event {
                Some(event) => {
                    let event = event?;
                    bridge(services, &mut job, &mut gathered, event.seq).await?;
                    gathered.take(&job, event);
                    if gathered.bytes >= CHUNK {
                        keep(services, &mut job, &mut gathered).await?;
                    }
                }
                None => break,
            },
            () = tokio::time::sleep_until(due) => keep(services, &mut job, &mut gathered).await?,
            _ = renew.tick() => renewed(services, &job).await?,
        }
    }
    keep(services, &mut job, &mut gathered).await?;
    match platform.observe(&job.name).await? {
        JobState::Ended(job_end) => {
            let last = job_end.result.as_ref().map_or(0, |result: &AgentResult| result.events);
            bridge(services, &mut job, &mut gathered, last + 1).await?;
            keep(services, &mut job, &mut gathered).await?;
            end(services, &job, job_end).await
        }
        JobState::Missing => {
            let reason = "The job was removed by hand while it worked.".to_owned();
            end(services, &job, JobEnd { code: None, result: None, reason: Some(reason), fatal: false }).await
        }
        // The stream broke off: another look comes with the next claim.
        JobState::Running | JobState::Pending(_) => Ok(()),
    }
}

/// The intent is written before the job is launched: gives whoever launches a while.
async fn appears(services: &Services, job: &Followed) -> anyhow::Result<bool> {
    for n in 0..150 {
        match services.platform().observe(&job.name).await? {
            JobState::Missing => tokio::time::sleep(Duration::from_millis(100)).await,
            // Also one that has not begun: what it waits for is in its events.
            _ => return Ok(true),
        }
        if n % 50 == 49 {
            renewed(services, job).await?;
            // A worker that died between the intent and the launch left the run to another one, which launches.
            workflow::wake(services.db(), workflow::RunId(job.run_id)).await?;
        }
    }
    Ok(false)
}

/// Lines and progress that are not kept yet.
#[derive(Default)]
struct Gathered {
    lines: Vec<Line>,
    bytes: usize,
    last: Option<u64>,
    progress: Option<model::run::Progress>,
    since: Option<Instant>,
}

impl Gathered {
    fn take(&mut self, job: &Followed, event: AgentEvent) {
        if event.seq > 0 {
            self.last = Some(event.seq);
        }
        match event.body {
            EventBody::Log { level, message } => self.line(job, event.at, level, message),
            EventBody::Progress(progress) => self.progress = Some(progress),
            EventBody::Result(_) => {}
        }
        self.since.get_or_insert_with(Instant::now);
    }

    fn line(&mut self, job: &Followed, at: chrono::DateTime<chrono::Utc>, level: Level, message: String) {
        // What PostgreSQL's text cannot hold is shown for what it is.
        let message = message.replace('\0', "\u{2400}");
        self.bytes += message.len() + 100;
        self.lines.push(Line { at, level, step: job.step.clone(), message });
    }
}

/// Fills the numbers between what is kept and `next` from the store's segments; what is in neither is named.
async fn bridge(
    services: &Services,
    job: &mut Followed,
    gathered: &mut Gathered,
    next: u64,
) -> anyhow::Result<()> {
    let known = gathered.last.unwrap_or(u64::try_from(job.seq)?);
    if next <= known + 1 {
        return Ok(());
    }
    let mut found = segments(job).await;
    let mut missing = 0_u64;
    for seq in known + 1..next {
        match found.remove(&seq) {
            Some(event) => gathered.take(job, event),
            None => missing += 1,
        }
        gathered.last = Some(seq);
        if gathered.bytes >= CHUNK {
            keep(services, job, gathered).await?;
        }
    }
    if missing > 0 {
        let words = format!(
            "{missing} lines of the job are missing here: neither its output nor the store has them."
        );
        gathered.line(job, chrono::Utc::now(), Level::Warn, words);
    }
    Ok(())
}

/// The events that the job wrote into the store, by number. A store that does not answer has none.
async fn segments(job: &Followed) -> BTreeMap<u64, AgentEvent> {
    let mut found = BTreeMap::new();
    let (Some(url), Some(prefix)) = (&job.store_url, &job.log_prefix) else { return found };
    let Ok(store) = image::Store::open(url) else { return found };
    for (key, _) in store.list(prefix).await.unwrap_or_default() {
        let is_segment =
            key.rsplit('/').next().is_some_and(|name| name.starts_with("log-") && name.ends_with(".jsonl"));
        if !is_segment {
            continue;
        }
        let Ok(text) = store.get(&key).await else { continue };
        for line in text.split(|byte| *byte == b'\n') {
            if let Ok(event) = serde_json::from_slice::<AgentEvent>(line) {
                found.insert(event.seq, event);
            }
        }
    }
    found
}

/// Lines, their last number and the progress in one transaction, if the job is still this worker's.
async fn keep(services: &Services, job: &mut Followed, gathered: &mut Gathered) -> anyhow::Result<()> {
    gathered.since = None;
    let seq = gathered.last.map_or(Ok(job.seq), i64::try_from)?;
    if gathered.lines.is_empty() && gathered.progress.is_none() && seq == job.seq {
        return Ok(());
    }
    let mut tx = services.db().begin().await?;
    let held = sqlx::query!(
        "update toygres.job set seq = $3 where name = $1 and epoch = $2",
        job.name,
        job.epoch,
        seq
    );
    anyhow::ensure!(held.execute(&mut *tx).await?.rows_affected() == 1, "another worker follows the job");
    logs::append(&mut tx, RunId(job.run_id), &gathered.lines).await?;
    if let Some(progress) = &gathered.progress {
        sqlx::query!(
            "update toygres.step set progress = $3 where run_id = $1 and position = $2 and state in ('running', 'waiting')",
            job.run_id,
            job.position,
            serde_json::to_value(progress)?
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    job.seq = seq;
    *gathered = Gathered { last: gathered.last, ..Gathered::default() };
    Ok(())
}

async fn renewed(services: &Services, job: &Followed) -> anyhow::Result<()> {
    let renewed = sqlx::query!(
        "update toygres.job set lease_until = clock_timestamp() + make_interval(secs => $3) where name = $1 and epoch = $2",
        job.name,
        job.epoch,
        LEASE
    );
    let held = renewed.execute(services.db()).await?.rows_affected() == 1;
    anyhow::ensure!(held, "another worker follows the job");
    Ok(())
}

/// Writes down how the job ended, wakes its run and takes away what it left: in this order, so that nothing is lost.
async fn end(services: &Services, job: &Followed, end: JobEnd) -> anyhow::Result<()> {
    let written = sqlx::query!(
        "update toygres.job set ended_at = clock_timestamp(), result = $3, reason = $4, worker = null, lease_until = null
         where name = $1 and epoch = $2 and ended_at is null",
        job.name,
        job.epoch,
        end.result.map(serde_json::to_value).transpose()?,
        end.reason
    );
    let held = written.execute(services.db()).await?.rows_affected() == 1;
    anyhow::ensure!(held, "another worker follows the job");
    workflow::wake(services.db(), workflow::RunId(job.run_id)).await?;
    services.platform().remove(&job.name).await?;
    Ok(())
}
