//! The worker's loop: claims runs that are due and hands each to a task of its own. It knows nothing of what steps do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::claim;
use crate::definition::{AnyWorkflow, Registered};
use crate::execute::RunExecutor;
use crate::transitions::ClaimedRun;
use crate::step::Workflow;

/// How long a lease is and how often things are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a claim lasts without being renewed.
    pub lease: Duration,
    /// How often it is renewed.
    pub renew: Duration,
    /// After how long without a renewal the work is abandoned: well before the lease ends.
    pub abandon: Duration,
    /// How often a worker looks for runs even when nobody told it to.
    pub poll: Duration,
    /// What the pauses between tries are multiplied with; 1 but in tests.
    pub pauses: f64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            renew: Duration::from_secs(10),
            abandon: Duration::from_secs(20),
            poll: Duration::from_secs(2),
            pauses: 1.0,
        }
    }
}

/// What every performance of a worker shares.
pub(crate) struct Core<S> {
    pub(crate) db: PgPool,
    pub(crate) services: S,
    pub(crate) timing: Timing,
    #[cfg(feature = "testing")]
    pub(crate) faults: crate::testing::Faults,
}

/// A worker. Many may run against one database, in one process or in many.
pub struct Engine<S> {
    core: Core<S>,
    worker: String,
    workflows: HashMap<(String, i32), Arc<dyn AnyWorkflow<S>>>,
    pools: Vec<String>,
    most: usize,
}

impl<S: Clone + Send + Sync + 'static> Engine<S> {
    /// A worker of the given name, which only people read. It takes nothing before [`Engine::run`].
    #[must_use]
    pub fn new(db: PgPool, services: S, worker: impl Into<String>) -> Self {
        Self {
            core: Core {
                db,
                services,
                timing: Timing::default(),
                #[cfg(feature = "testing")]
                faults: crate::testing::Faults::default(),
            },
            worker: worker.into(),
            workflows: HashMap::new(),
            pools: Vec::new(),
            most: 16,
        }
    }

    /// Takes runs of this workflow, of this version only. Register old versions as long as runs of them live.
    #[must_use]
    pub fn register<W: Workflow<Services = S>>(mut self) -> Self {
        let steps = Registered::<W>(W::steps().list);
        self.workflows.insert((W::NAME.to_owned(), W::VERSION), Arc::new(steps));
        self
    }

    /// Serves this pool. A worker without a pool takes nothing.
    #[must_use]
    pub fn pool(mut self, pool: impl Into<String>) -> Self {
        self.pools.push(pool.into());
        self
    }

    /// Works on so many runs at once at the most; 16 if not said.
    #[must_use]
    pub fn at_once(mut self, most: usize) -> Self {
        self.most = most.max(1);
        self
    }

    /// Other times than the default.
    #[must_use]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.core.timing = timing;
        self
    }

    #[cfg(feature = "testing")]
    pub(crate) fn with_faults(mut self, faults: crate::testing::Faults) -> Self {
        self.core.faults = faults;
        self
    }

    /// Works until `stop` ends, then hands over what it holds: another worker can go on at once.
    ///
    /// # Errors
    /// None as of now; a database that does not answer is waited for.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let (quick, active) = (Arc::new(Notify::new()), Active::default());
        let listener = listen(&self.core.db, &stop, &quick, &active);
        let core = Arc::new(self.core);
        let known: (Vec<String>, Vec<i32>) = self.workflows.keys().cloned().unzip();
        let mut tasks: JoinSet<Uuid> = JoinSet::new();
        loop {
            let room = if stop.is_cancelled() { 0 } else { self.most.saturating_sub(tasks.len()) };
            let claimed = claim_some(&core, &self.worker, &self.pools, &known, room).await;
            for held in claimed {
                let Some(workflow) = self.workflows.get(&(held.name.clone(), held.version)) else { continue };
                let look = Arc::new(Notify::new());
                active.lock().unwrap_or_else(PoisonError::into_inner).insert(held.id, Arc::clone(&look));
                tasks.spawn(one(Arc::clone(&core), held, Arc::clone(workflow), look, stop.clone()));
            }
            if stop.is_cancelled() && tasks.is_empty() {
                break;
            }
            let pause = pause(&core, &self.pools, &known, tasks.len() < self.most).await;
            tokio::select! {
                Some(ended) = tasks.join_next() => {
                    if let Ok(run) = ended {
                        active.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
                    }
                }
                () = quick.notified() => {}
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        listener.abort();
        Ok(())
    }
}

/// The runs that are worked on here, each with what makes its performance look at its row.
type Active = Arc<Mutex<HashMap<Uuid, Arc<Notify>>>>;

/// Tells whoever works on a run that it changed, and the loop when it is nobody's here.
fn listen(db: &PgPool, stop: &CancellationToken, quick: &Arc<Notify>, active: &Active) -> JoinHandle<()> {
    let (quick, active) = (Arc::clone(quick), Arc::clone(active));
    tokio::spawn(crate::listener::listen(db.clone(), stop.clone(), move |run| {
        let active = active.lock().unwrap_or_else(PoisonError::into_inner);
        match run.and_then(|run| active.get(&run)) {
            Some(look) => look.notify_one(),
            None => quick.notify_one(),
        }
    }))
}

/// Takes at most so many of the runs that are due.
async fn claim_some<S>(
    core: &Core<S>,
    worker: &str,
    pools: &[String],
    (names, versions): &(Vec<String>, Vec<i32>),
    room: usize,
) -> Vec<ClaimedRun> {
    if room == 0 {
        return Vec::new();
    }
    let room = i64::try_from(room).unwrap_or(i64::MAX);
    let claimed = claim::claim(&core.db, worker, pools, names, versions, core.timing.lease, room).await;
    claimed.unwrap_or_else(|error| {
        tracing::warn!(%error, "no runs could be claimed; trying again");
        Vec::new()
    })
}

async fn one<S: Clone + Send + Sync + 'static>(
    core: Arc<Core<S>>,
    held: ClaimedRun,
    workflow: Arc<dyn AnyWorkflow<S>>,
    look: Arc<Notify>,
    stop: CancellationToken,
) -> Uuid {
    let id = held.id;
    RunExecutor { core: &core, held, workflow, look, stop }.perform().await;
    id
}

/// Until the next run is due, at most the polling interval with a little chance in it, so that workers do not march.
async fn pause<S>(
    core: &Core<S>,
    pools: &[String],
    (names, versions): &(Vec<String>, Vec<i32>),
    has_room: bool,
) -> Duration {
    let jitter = core.timing.poll.mul_f64(0.75 + rand::random::<f64>() / 2.0);
    if !has_room {
        return jitter;
    }
    match claim::next_due(&core.db, pools, names, versions).await {
        Ok(Some(seconds)) => Duration::from_secs_f64(seconds.max(0.02)).min(jitter),
        _ => jitter,
    }
}
