//! Follows jobs: keeps their lines gapless, shows how far they are, and harvests how they ended. One worker a job, by a
//! lease; a line is kept together with the number of its event, so that the next worker goes on behind it.

mod follow;
mod gathered;
mod order;
mod segments;

use std::collections::BTreeMap;
use std::time::Duration;

use model::AgentResult;
use sqlx::types::Json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::services::Services;

/// How long a job is one worker's, without being renewed.
const LEASE: f64 = 30.0;
/// How often new jobs are looked for.
const LOOK: Duration = Duration::from_millis(500);

/// A job that this worker follows.
#[derive(Clone, Debug)]
struct Followed {
    name: String,
    run_id: Uuid,
    step: String,
    position: i32,
    store: Option<Uuid>,
    log_prefix: Option<String>,
    seq: i64,
    /// Its result, where its event was seen.
    result: Option<Json<AgentResult>>,
    /// How often which words without a number are kept.
    said: Json<BTreeMap<String, u32>>,
    epoch: i64,
}

/// Follows every open job of this platform that nobody else follows, until `stop` ends.
pub(crate) async fn run(services: Services, worker: String, stop: CancellationToken) {
    let mut tasks = tokio::task::JoinSet::new();
    while !stop.is_cancelled() {
        match claim(&services, &worker).await {
            Ok(jobs) => {
                for job in jobs {
                    tasks.spawn(hold(services.clone(), job, stop.clone()));
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

/// Follows one job until it ends, until another worker has it, or until `stop` ends.
async fn hold(services: Services, job: Followed, stop: CancellationToken) {
    let (name, epoch) = (job.name.clone(), job.epoch);
    tokio::select! {
        () = stop.cancelled() => {}
        followed = follow::follow(&services, job) => {
            if let Err(error) = followed {
                tracing::warn!(job.name = name, error = format!("{error:#}"), "a job is not followed any more; trying again");
            }
        }
    }
    release(&services, &name, epoch).await;
}

async fn claim(services: &Services, worker: &str) -> sqlx::Result<Vec<Followed>> {
    sqlx::query_as!(
        Followed,
        r#"update toygres.job j set worker = $2, lease_until = clock_timestamp() + make_interval(secs => $3), epoch = epoch + 1
         from (select name from toygres.job
               where ended_at is null and platform = $1 and (lease_until is null or lease_until < clock_timestamp())
               order by created_at limit 32 for update skip locked) open
         where j.name = open.name
         returning j.name, j.run_id, j.step, j.position, j.store, j.log_prefix, j.seq,
             j.result as "result: Json<AgentResult>", j.said as "said: Json<BTreeMap<String, u32>>", j.epoch"#,
        services.platform_id().0,
        worker,
        LEASE
    )
    .fetch_all(services.db())
    .await
}

/// Lets the next worker in at once. What fails here heals when the lease ends.
async fn release(services: &Services, name: &str, epoch: i64) {
    let released = sqlx::query!(
        "update toygres.job set worker = null, lease_until = null where name = $1 and epoch = $2",
        name,
        epoch
    );
    if let Err(error) = released.execute(services.db()).await {
        tracing::debug!(%error, "a job's lease is left to end by itself");
    }
}
