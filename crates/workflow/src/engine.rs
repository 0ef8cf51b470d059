//! The worker's loop: claims due runs and executes each in a task of its own. It knows nothing of what steps do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::claim::{self, AbandonedClaim, ClaimedRun};
use crate::definition::{AnyWorkflow, Registered};
use crate::execute::{Core, RunExecutor};
#[cfg(debug_assertions)]
use crate::faults::{Faults, FaultyWorkflow};
use crate::step::Workflow;
use crate::step_deadlines::StepDeadlines;
use crate::timing::Timing;

/// A worker. Any number of workers can share one database, in one process or in many.
pub struct Engine<S> {
    core: Core<S>,
    worker: String,
    workflows: HashMap<(String, i32), Arc<dyn AnyWorkflow<S>>>,
    pools: Vec<String>,
    max_runs: usize,
}

impl<S: Clone + Send + Sync + 'static> Engine<S> {
    /// A worker with a name for display. It claims nothing before [`Engine::run`].
    #[must_use]
    pub fn new(db: PgPool, services: S, worker: impl Into<String>) -> Self {
        Self {
            core: Core { db, services, timing: Timing::default(), deadlines: StepDeadlines::default() },
            worker: worker.into(),
            workflows: HashMap::new(),
            pools: Vec::new(),
            max_runs: 16,
        }
    }

    /// Adds a workflow. Only runs of this version are claimed: keep old versions registered while runs of them exist.
    #[must_use]
    pub fn register<W: Workflow<Services = S>>(mut self) -> Self {
        self.workflows.insert((W::NAME.to_owned(), W::VERSION), Arc::new(Registered::<W>::new()));
        self
    }

    /// Adds a pool. A worker without a pool claims nothing.
    #[must_use]
    pub fn pool(mut self, pool: impl Into<String>) -> Self {
        self.pools.push(pool.into());
        self
    }

    /// Sets the largest number of runs that are executed at the same time. The default is 16.
    #[must_use]
    pub fn at_once(mut self, max_runs: usize) -> Self {
        self.max_runs = max_runs.max(1);
        self
    }

    /// Replaces the default timing.
    #[must_use]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.core.timing = timing;
        self
    }

    /// Injects faults into the calls of the workflows that were registered so far.
    #[cfg(debug_assertions)]
    pub(crate) fn with_faults(mut self, faults: &Faults) -> Self {
        for workflow in self.workflows.values_mut() {
            *workflow = Arc::new(FaultyWorkflow::new(Arc::clone(workflow), faults.clone()));
        }
        self
    }

    /// Executes runs until `stop` is cancelled, then hands over the claimed runs, so that other workers can continue them
    /// immediately.
    ///
    /// # Errors
    /// Currently none: database errors are logged and retried.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let (due, active) = (Arc::new(Notify::new()), Active::default());
        let listener = listen(&self.core.db, &stop, &due, &active);
        let core = Arc::new(self.core);
        let registered: (Vec<String>, Vec<i32>) = self.workflows.keys().cloned().unzip();
        let mut tasks: JoinSet<(Uuid, Option<AbandonedClaim>)> = JoinSet::new();
        let mut abandoned: Vec<AbandonedClaim> = Vec::new();
        loop {
            // Before the next claim, so that this worker does not claim them again as if a worker had been lost.
            if !abandoned.is_empty() && claim::give_back(&core.db, &abandoned).await.is_ok() {
                abandoned.clear();
            }
            let free = if stop.is_cancelled() { 0 } else { self.max_runs.saturating_sub(tasks.len()) };
            for run in claim_due(&core, &self.worker, &self.pools, &registered, free).await {
                let Some(workflow) = self.workflows.get(&(run.name.clone(), run.version)) else { continue };
                let changed = Arc::new(Notify::new());
                active.lock().unwrap_or_else(PoisonError::into_inner).insert(run.id, Arc::clone(&changed));
                tasks.spawn(execute(Arc::clone(&core), run, Arc::clone(workflow), changed, stop.clone()));
            }
            if stop.is_cancelled() && tasks.is_empty() {
                break;
            }
            let pause = pause(&core, &self.pools, &registered, tasks.len() < self.max_runs).await;
            tokio::select! {
                Some(ended) = tasks.join_next() => {
                    if let Ok((run, claim)) = ended {
                        active.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
                        abandoned.extend(claim);
                    }
                }
                () = due.notified() => {}
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        listener.abort();
        Ok(())
    }
}

/// The runs that this worker executes, each with the notification for its executor.
type Active = Arc<Mutex<HashMap<Uuid, Arc<Notify>>>>;

/// Notifies the executor of a run that changed, or the worker's loop if this worker does not execute the run.
fn listen(db: &PgPool, stop: &CancellationToken, due: &Arc<Notify>, active: &Active) -> JoinHandle<()> {
    let (due, active) = (Arc::clone(due), Arc::clone(active));
    tokio::spawn(crate::listener::listen(db.clone(), stop.clone(), move |run| {
        let active = active.lock().unwrap_or_else(PoisonError::into_inner);
        match run.and_then(|run| active.get(&run)) {
            Some(changed) => changed.notify_one(),
            None => due.notify_one(),
        }
    }))
}

/// Claims up to `limit` due runs.
async fn claim_due<S>(
    core: &Core<S>,
    worker: &str,
    pools: &[String],
    (names, versions): &(Vec<String>, Vec<i32>),
    limit: usize,
) -> Vec<ClaimedRun> {
    if limit == 0 {
        return Vec::new();
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let claimed = claim::claim(&core.db, worker, pools, names, versions, core.timing.lease, limit).await;
    claimed.unwrap_or_else(|error| {
        tracing::warn!(%error, "runs could not be claimed; retrying");
        Vec::new()
    })
}

async fn execute<S: Clone + Send + Sync + 'static>(
    core: Arc<Core<S>>,
    run: ClaimedRun,
    workflow: Arc<dyn AnyWorkflow<S>>,
    changed: Arc<Notify>,
    stop: CancellationToken,
) -> (Uuid, Option<AbandonedClaim>) {
    let id = run.id;
    (id, RunExecutor { core: &core, run, workflow, changed, stop }.execute().await)
}

/// The time until the next run is due, at most the polling interval with jitter, to avoid lockstep polling.
async fn pause<S>(
    core: &Core<S>,
    pools: &[String],
    (names, versions): &(Vec<String>, Vec<i32>),
    has_capacity: bool,
) -> Duration {
    let interval = core.timing.poll.mul_f64(0.75 + rand::random::<f64>() / 2.0);
    if !has_capacity {
        return interval;
    }
    match claim::next_due(&core.db, pools, names, versions).await {
        Ok(Some(seconds)) => Duration::from_secs_f64(seconds.max(0.02)).min(interval),
        _ => interval,
    }
}
