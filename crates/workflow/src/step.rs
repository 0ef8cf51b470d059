//! What whoever writes workflows writes: a workflow, its steps, and what a step is given. It knows no SQL but the pool
//! that steps may use.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::definition::StepDefinition;
use crate::start::{Lock, RunId};

/// A list of steps. The value itself is the input, kept with the run for ever: references only, never secrets.
pub trait Workflow: Serialize + DeserializeOwned + Send + Sync + Sized + 'static {
    /// The name that runs carry.
    const NAME: &'static str;
    /// Grows with the list of steps or the types of a step. A run keeps the version that it was started with.
    const VERSION: i32;
    /// What the steps work with.
    type Services: Clone + Send + Sync + 'static;

    /// What this run must have for itself, or share, from its start to its end.
    fn locks(&self) -> Vec<Lock> {
        Vec::new()
    }

    /// The steps, in order.
    fn steps() -> Steps<Self>;
}

/// One step. The type is a name: nothing is ever made of it.
pub trait Step: Send + Sync + 'static {
    /// The name in the table, unique in its workflow.
    const NAME: &'static str;
    /// How often it is tried, and with what pauses.
    const RETRY: Retry = Retry::times(5);
    /// How long one call may take; a call that takes longer counts as failed.
    const TIMEOUT: Duration = Duration::from_secs(60);
    /// How long the step may take in all, with its waits and tries; then the run turns back.
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    /// The workflow that it belongs to.
    type Workflow: Workflow;
    /// What later steps may read.
    type Output: Serialize + DeserializeOwned + Send + Sync;

    /// Does the step, or finds it done: it may be called again with the same attempt after a worker died.
    fn run(cx: &Cx<Self::Workflow>) -> impl Future<Output = Result<Progress<Self::Output>, Failure>> + Send;

    /// Takes back what [`Step::run`] made; it meets all of it, some of it or nothing.
    fn undo(cx: &Cx<Self::Workflow>) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = cx;
        async { Ok(()) }
    }
}

/// How a call of a step ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<T> {
    /// The step is done.
    Done(T),
    /// Call again after this time, or when [`crate::wake`] is called; no worker is held meanwhile.
    Wait(Duration),
}

/// How a call of a step went wrong. `?` makes one that is tried again.
#[derive(Debug)]
pub struct Failure {
    pub(crate) error: anyhow::Error,
    pub(crate) fatal: bool,
    pub(crate) after: Option<Duration>,
    outage: bool,
}

impl Failure {
    /// Trying again is no use: the run turns back.
    pub fn fatal(error: impl Into<anyhow::Error>) -> Self {
        Self { error: error.into(), fatal: true, after: None, outage: false }
    }

    /// Try again.
    pub fn retry(error: impl Into<anyhow::Error>) -> Self {
        Self { error: error.into(), fatal: false, after: None, outage: false }
    }

    /// What the step lives by, such as the database, does not answer: it is called again after a pause, and no try of it is
    /// counted. Its deadline ends that.
    pub fn outage(error: impl Into<anyhow::Error>) -> Self {
        Self { outage: true, ..Self::retry(error) }
    }

    /// Try again after this time instead of the step's own pause.
    #[must_use]
    pub fn after(mut self, pause: Duration) -> Self {
        self.after = Some(pause);
        self
    }

    /// Whether the run turns back.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.fatal
    }

    /// Whether this says nothing of the step: an outage, or a database that was not there to be asked.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        let mut causes = self.error.chain();
        !self.fatal && (self.outage || causes.any(|cause| cause.downcast_ref().is_some_and(database_is_away)))
    }

    /// The error with its causes, in one line.
    #[must_use]
    pub fn message(&self) -> String {
        format!("{:#}", self.error)
    }
}

/// Whether a database did not answer, or said that it is going away or coming up (classes 08 and 57P of its codes).
#[must_use]
pub fn database_is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
        }
        _ => false,
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}

/// How often a step is tried, and the pause before the second try; each later pause is twice the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How many tries there are in all.
    pub attempts: i32,
    /// The first pause.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Retry {
    /// `attempts` tries, pauses from 2 s to 30 s.
    #[must_use]
    pub const fn times(attempts: i32) -> Self {
        Self { attempts, first: Duration::from_secs(2), longest: Duration::from_secs(30) }
    }

    /// The same with other pauses.
    #[must_use]
    pub const fn pauses(self, first: Duration, longest: Duration) -> Self {
        Self { first, longest, ..self }
    }

    /// The pause after failed try number `attempt`, from 1.
    #[must_use]
    pub fn pause(&self, attempt: i32) -> Duration {
        let doublings = u32::try_from(attempt.clamp(1, 31) - 1).unwrap_or(0);
        self.first.saturating_mul(2_u32.saturating_pow(doublings)).min(self.longest)
    }
}

/// The steps of a workflow, in order.
pub struct Steps<W: Workflow> {
    pub(crate) list: Vec<StepDefinition<W>>,
}

impl<W: Workflow> Steps<W> {
    /// Begins the list.
    #[must_use]
    pub fn first<S: Step<Workflow = W>>() -> Self {
        Self { list: Vec::new() }.then::<S>()
    }

    /// Adds a step.
    #[must_use]
    pub fn then<S: Step<Workflow = W>>(mut self) -> Self {
        self.list.push(StepDefinition::of::<S>());
        self
    }
}

/// What a step is given.
pub struct Cx<W: Workflow> {
    /// The run. With [`Cx::step`] and [`Cx::attempt`] it names whatever the step makes in the world outside.
    pub run: RunId,
    /// The step's name.
    pub step: &'static str,
    /// Which try this is, from 1. A repeat after the death of a worker has the same number.
    pub attempt: i32,
    /// The claim that this call belongs to.
    pub epoch: i64,
    /// The run's input.
    pub input: Arc<W>,
    /// What the workflow works with.
    pub services: W::Services,
    /// The database of the runs.
    pub db: PgPool,
    /// Ends when somebody asked to cancel the run, when the lease is lost, and when the worker stops.
    pub stop: CancellationToken,
    pub(crate) position: i32,
    pub(crate) outputs: Arc<BTreeMap<String, serde_json::Value>>,
}

impl<W: Workflow> Cx<W> {
    /// Whether the call should end: its worker stops, or does not hold the run any more.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// What step `S` returned.
    ///
    /// # Errors
    /// It is not done yet (a wrong order in the list), or its type changed without a new version: fatal.
    pub fn output<S: Step<Workflow = W>>(&self) -> Result<S::Output, Failure> {
        self.output_if_done::<S>()?
            .ok_or_else(|| Failure::fatal(anyhow::anyhow!("step {} has no output yet", S::NAME)))
    }

    /// What step `S` returned, or nothing if it is not done: for undo.
    ///
    /// # Errors
    /// Its type changed without a new version: fatal.
    pub fn output_if_done<S: Step<Workflow = W>>(&self) -> Result<Option<S::Output>, Failure> {
        let Some(value) = self.outputs.get(S::NAME) else { return Ok(None) };
        serde_json::from_value(value.clone()).map(Some).map_err(Failure::fatal)
    }

    /// Shows how far the step is; nothing happens when this worker does not hold the run any more.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn progress(&self, progress: serde_json::Value) -> sqlx::Result<()> {
        sqlx::query!(
            "with held as (
                 select id from toygres.run where id = $1 and epoch = $2 and worker is not null for share
             )
             update toygres.step s set progress = $4 from held where s.run_id = held.id and s.position = $3",
            self.run.0,
            self.epoch,
            self.position,
            progress
        )
        .execute(&self.db)
        .await
        .map(drop)
    }

    /// Begins a transaction that commits only while this worker holds the run: the run's row is locked until then. Keep it
    /// short, for the lease cannot be renewed meanwhile.
    ///
    /// # Errors
    /// The database did not answer, or the run is another worker's by now.
    pub async fn fenced(&self) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, Failure> {
        let mut tx = self.db.begin().await?;
        let held = sqlx::query_scalar!(
            "select epoch = $2 and worker is not null from toygres.run where id = $1 for update",
            self.run.0,
            self.epoch
        )
        .fetch_one(&mut *tx)
        .await?;
        if held != Some(true) {
            return Err(Failure::retry(anyhow::anyhow!("another worker has taken this run over")));
        }
        Ok(tx)
    }
}
