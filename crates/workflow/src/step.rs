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
    fn run(cx: &StepContext<Self::Workflow>) -> impl Future<Output = Result<StepOutcome<Self::Output>, Failure>> + Send;

    /// Takes back what [`Step::run`] made; it meets all of it, some of it or nothing.
    fn undo(cx: &StepContext<Self::Workflow>) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = cx;
        async { Ok(()) }
    }
}

/// How a call of a step ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome<T> {
    /// The step is done.
    Done(T),
    /// Call again after this time, or when [`crate::wake`] is called; no worker is held meanwhile.
    Wait(Duration),
}

/// Why a call of a step failed. `?` on a database error creates one.
///
/// The engine stores the code, the subject and the detail and does not interpret them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    code: &'static str,
    subject: Option<String>,
    detail: String,
    kind: FailureKind,
    pub(crate) after: Option<Duration>,
}

/// What the engine does after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureKind {
    Fatal,
    Retry,
    Outage,
}

/// Codes of the failures that the engine itself creates.
pub mod code {
    /// A step or its types are wrong, or it panicked.
    pub const INTERNAL: &str = "internal";
    /// One call exceeded its time limit.
    pub const STEP_TIMEOUT: &str = "step_timeout";
    /// The step exceeded its deadline over all attempts.
    pub const STEP_DEADLINE: &str = "step_deadline";
    /// Several workers in a row ended while they executed the step.
    pub const WORKERS_LOST: &str = "workers_lost";
    /// Another worker holds the run now.
    pub const RUN_TAKEN_OVER: &str = "run_taken_over";
    /// This version of the workflow has fewer steps than the run.
    pub const WORKFLOW_UNKNOWN: &str = "workflow_unknown";
    /// The database does not answer.
    pub const STATE_DATABASE_UNAVAILABLE: &str = "state_database_unavailable";
}

impl Failure {
    /// A permanent failure: the run rolls back without another attempt.
    pub fn fatal(code: &'static str, detail: impl ToString) -> Self {
        Self::new(FailureKind::Fatal, code, detail)
    }

    /// A transient failure: the step is retried while it has attempts.
    pub fn retry(code: &'static str, detail: impl ToString) -> Self {
        Self::new(FailureKind::Retry, code, detail)
    }

    /// A dependency of the step, such as the database, is unavailable: the step is called again after a pause, and the
    /// attempt is not counted. The step's deadline bounds this.
    pub fn outage(code: &'static str, detail: impl ToString) -> Self {
        Self::new(FailureKind::Outage, code, detail)
    }

    fn new(kind: FailureKind, code: &'static str, detail: impl ToString) -> Self {
        Self { code, subject: None, detail: detail.to_string(), kind, after: None }
    }

    /// The same failure without further attempts.
    #[must_use]
    pub fn into_fatal(self) -> Self {
        Self { kind: FailureKind::Fatal, ..self }
    }

    /// Sets what the failure is about.
    #[must_use]
    pub fn on(self, subject: Option<String>) -> Self {
        Self { subject, ..self }
    }

    /// Retries after this time instead of the step's own pause.
    #[must_use]
    pub fn after(mut self, pause: Duration) -> Self {
        self.after = Some(pause);
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What the failure is about.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The raw text.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether the run rolls back without another attempt.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.kind == FailureKind::Fatal
    }

    /// Whether the attempt is not counted.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        self.kind == FailureKind::Outage
    }

    /// The failure as it is stored in JSON columns: `{code, subject, detail}`.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "code": self.code, "subject": self.subject, "detail": self.detail })
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        if database_is_unavailable(&error) {
            return Self::outage(code::STATE_DATABASE_UNAVAILABLE, error);
        }
        Self::retry(code::INTERNAL, error)
    }
}

/// Whether an error means that the database is unreachable, starting or shutting down (SQLSTATE classes 08 and 57P).
#[must_use]
pub fn database_is_unavailable(error: &sqlx::Error) -> bool {
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
pub struct StepContext<W: Workflow> {
    /// The run. With [`StepContext::step`] and [`StepContext::attempt`] it names whatever the step makes in the world outside.
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

impl<W: Workflow> StepContext<W> {
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
            .ok_or_else(|| Failure::fatal(code::INTERNAL, format!("step {} has no output yet", S::NAME)))
    }

    /// What step `S` returned, or nothing if it is not done: for undo.
    ///
    /// # Errors
    /// Its type changed without a new version: fatal.
    pub fn output_if_done<S: Step<Workflow = W>>(&self) -> Result<Option<S::Output>, Failure> {
        let Some(value) = self.outputs.get(S::NAME) else { return Ok(None) };
        serde_json::from_value(value.clone()).map(Some).map_err(|error| Failure::fatal(code::INTERNAL, error))
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
            return Err(Failure::retry(code::RUN_TAKEN_OVER, "another worker holds this run now"));
        }
        Ok(tx)
    }
}
