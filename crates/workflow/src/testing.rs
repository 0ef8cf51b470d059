//! Fault tests for any workflow: each step is repeated, fails, loses its worker before and after its effect, is undone
//! twice and is cancelled. The caller prepares each run and asserts its result.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, ensure};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
pub use crate::faults::Fault;
use crate::faults::Faults;
use crate::run::RunId;
use crate::step::Workflow;
use crate::timing::Timing;

/// Short durations for tests, in the proportions of the default.
#[must_use]
pub fn timing() -> Timing {
    Timing {
        lease: Duration::from_millis(1500),
        renew: Duration::from_millis(300),
        abandon: Duration::from_millis(900),
        poll: Duration::from_millis(200),
        pauses: 0.05,
    }
}

/// Executes one run of `W` for each fault that its steps can meet.
///
/// `begin` prepares and starts a run. `check` asserts the effects of the run after it has reached the state
/// [`Fault::ends`].
///
/// # Errors
/// The first run that ended in another state, or an error of `begin` or `check`.
pub async fn meet_all_faults<W, B, BF, C, CF>(
    db: &PgPool,
    services: W::Services,
    pool: &str,
    mut begin: B,
    mut check: C,
) -> anyhow::Result<()>
where
    W: Workflow,
    B: FnMut(Fault) -> BF,
    BF: Future<Output = anyhow::Result<RunId>>,
    C: FnMut(Fault, RunId) -> CF,
    CF: Future<Output = anyhow::Result<()>>,
{
    let attempts: Vec<i32> = W::steps().list.iter().map(|step| step.retry.attempts).collect();
    for fault in Fault::all(attempts.len()) {
        if let Fault::FailOnce(at) = fault
            && usize::try_from(at).ok().and_then(|at| attempts.get(at)).is_some_and(|attempts| *attempts < 2)
        {
            continue;
        }
        let run = begin(fault).await.with_context(|| format!("begin for {fault:?}"))?;
        let state = perform::<W>(db, services.clone(), pool, fault, run).await?;
        ensure!(state == fault.ends(), "after {fault:?} run {run} is {state}, not {}", fault.ends());
        check(fault, run).await.with_context(|| format!("check after {fault:?}"))?;
    }
    Ok(())
}

/// Executes one run with one fault. Returns its final state.
///
/// # Errors
/// The run has not ended after two minutes.
pub async fn perform<W: Workflow>(
    db: &PgPool,
    services: W::Services,
    pool: &str,
    fault: Fault,
    run: RunId,
) -> anyhow::Result<String> {
    let faults = Faults::new(fault);
    let stop = CancellationToken::new();
    let engine = |name: &str| {
        Engine::new(db.clone(), services.clone(), name).register::<W>().pool(pool).timing(timing())
    };
    let first = tokio::spawn(engine("first").with_faults(&faults).run(stop.clone()));
    let second = engine("second").run(stop.clone());
    let worker_lost = faults.worker_lost.clone();
    let second = tokio::spawn(async move {
        worker_lost.cancelled().await;
        // The first worker is lost: its tasks are dropped, and its leases expire.
        first.abort();
        second.await
    });
    let ended = tokio::time::timeout(Duration::from_secs(120), end_of(db, run)).await;
    stop.cancel();
    faults.worker_lost.cancel();
    second.await.ok();
    ended.with_context(|| format!("run {run} has not ended after {fault:?}"))?
}

/// Waits until a run has ended or is stuck. Returns its state.
///
/// # Errors
/// The run does not exist, or the database reported an error.
pub async fn end_of(db: &PgPool, run: RunId) -> anyhow::Result<String> {
    loop {
        let state: String =
            sqlx::query_scalar!("select state from toygres.run where id = $1", run.0).fetch_one(db).await?;
        if state != "running" && state != "undoing" {
            return Ok(state);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
