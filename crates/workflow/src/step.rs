//! The API for workflow authors: [`Workflow`], [`Step`] and [`StepContext`].

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::PgPool;

use crate::failure::{Failure, code};
use crate::retry::Retry;
use crate::run::{Lock, RunId};

/// A list of steps. The value is the input of a run. It is stored with the run permanently: references only, no secrets.
pub trait Workflow: Serialize + DeserializeOwned + Send + Sync + Sized + 'static {
    /// The name that is stored with each run.
    const NAME: &'static str;
    /// Must increase when the list of steps or a type changes. A run keeps the version with which it was started.
    const VERSION: i32;
    /// The dependencies of the steps, such as clients and configuration.
    type Services: Clone + Send + Sync + 'static;

    /// The locks that a run with this input holds from its start to its end.
    fn locks(&self) -> Vec<Lock> {
        Vec::new()
    }

    /// The steps, in order.
    fn steps() -> Steps<Self>;
}

/// One step. The type is only a name and has no values.
pub trait Step: Send + Sync + 'static {
    /// The name that is stored in the step's row, unique in its workflow.
    const NAME: &'static str;
    /// The number of attempts and the pauses between them.
    const RETRY: Retry = Retry::times(5);
    /// The time limit of one call. A call that exceeds it has failed.
    const TIMEOUT: Duration = Duration::from_secs(60);
    /// The time limit of the step with all waits and attempts. When it is exceeded, the run rolls back.
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    /// The workflow that contains this step.
    type Workflow: Workflow;
    /// The result, which later steps can read.
    type Output: Serialize + DeserializeOwned + Send + Sync;

    /// Executes the step. Must be idempotent: after the loss of a worker it is called again with the same attempt.
    /// The future is dropped when the run is cancelled, the lease is lost or the worker stops.
    fn run(
        cx: &StepContext<Self::Workflow>,
    ) -> impl Future<Output = Result<StepOutcome<Self::Output>, Failure>> + Send;

    /// Reverts the effect of [`Step::run`]. Must accept a complete effect, a partial one and none, and must be
    /// idempotent.
    fn undo(cx: &StepContext<Self::Workflow>) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = cx;
        async { Ok(()) }
    }
}

/// The result of a call that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome<T> {
    /// The step is done.
    Done(T),
    /// Call the step again after this time, or when [`crate::wake`] is called. No worker is occupied until then.
    Wait(Duration),
}

/// The steps of a workflow, in order.
pub struct Steps<W: Workflow> {
    pub(crate) list: Vec<StepDefinition<W>>,
}

impl<W: Workflow> Steps<W> {
    /// A list with one step.
    #[must_use]
    pub fn first<S: Step<Workflow = W>>() -> Self {
        Self { list: Vec::new() }.then::<S>()
    }

    /// Appends a step.
    #[must_use]
    pub fn then<S: Step<Workflow = W>>(mut self) -> Self {
        self.list.push(StepDefinition::of::<S>());
        self
    }
}

type StepFn<W, T> = for<'a> fn(&'a StepContext<W>) -> BoxFuture<'a, Result<T, Failure>>;

/// One step of a workflow as a value: its constants and functions, with the output as JSON.
pub(crate) struct StepDefinition<W: Workflow> {
    pub(crate) name: &'static str,
    pub(crate) retry: Retry,
    pub(crate) timeout: Duration,
    pub(crate) allowed: Duration,
    pub(crate) run: StepFn<W, StepOutcome<Value>>,
    pub(crate) undo: StepFn<W, ()>,
}

impl<W: Workflow> StepDefinition<W> {
    fn of<S: Step<Workflow = W>>() -> Self {
        Self {
            name: S::NAME,
            retry: S::RETRY,
            timeout: S::TIMEOUT,
            allowed: S::DEADLINE,
            run: |cx| {
                async move {
                    Ok(match S::run(cx).await? {
                        StepOutcome::Done(output) => StepOutcome::Done(
                            serde_json::to_value(output)
                                .map_err(|error| Failure::fatal(code::INTERNAL, error))?,
                        ),
                        StepOutcome::Wait(pause) => StepOutcome::Wait(pause),
                    })
                }
                .boxed()
            },
            undo: |cx| S::undo(cx).boxed(),
        }
    }
}

/// What a call of a step can use: the identity of the attempt, the input, earlier outputs and the services.
pub struct StepContext<W: Workflow> {
    /// The run. Derive the names of external resources from it, [`StepContext::step`] and [`StepContext::attempt`].
    pub run: RunId,
    /// The step's name.
    pub step: &'static str,
    /// The number of the attempt, from 1. A repetition after the loss of a worker has the same number.
    pub attempt: i32,
    /// The claim to which this call belongs.
    pub epoch: i64,
    /// The run's input.
    pub input: Arc<W>,
    /// The dependencies of the workflow.
    pub services: W::Services,
    /// The database that contains the runs.
    pub db: PgPool,
    pub(crate) position: i32,
    pub(crate) outputs: Arc<BTreeMap<String, Value>>,
}

impl<W: Workflow> StepContext<W> {
    /// The output of step `S`.
    ///
    /// # Errors
    /// Fatal if the step is not done yet (a wrong order in the list), or if its type changed without a new version.
    pub fn output<S: Step<Workflow = W>>(&self) -> Result<S::Output, Failure> {
        self.output_if_done::<S>()?
            .ok_or_else(|| Failure::fatal(code::INTERNAL, format!("step {} has no output yet", S::NAME)))
    }

    /// The output of step `S`, or `None` if it is not done. For use in [`Step::undo`].
    ///
    /// # Errors
    /// Fatal if the type of the output changed without a new version.
    pub fn output_if_done<S: Step<Workflow = W>>(&self) -> Result<Option<S::Output>, Failure> {
        let Some(value) = self.outputs.get(S::NAME) else { return Ok(None) };
        serde_json::from_value(value.clone()).map(Some).map_err(|error| Failure::fatal(code::INTERNAL, error))
    }

    /// Stores the progress of the step for display. Does nothing if this worker no longer holds the run.
    ///
    /// # Errors
    /// The database reported an error.
    pub async fn progress(&self, progress: Value) -> sqlx::Result<()> {
        sqlx::query!(
            "with claimed as (
                 select id from toygres.run where id = $1 and epoch = $2 and worker is not null for share
             )
             update toygres.step s set progress = $4 from claimed where s.run_id = claimed.id and s.position = $3",
            self.run.0,
            self.epoch,
            self.position,
            progress
        )
        .execute(&self.db)
        .await
        .map(drop)
    }

    /// Begins a transaction that can commit only while this worker holds the run: it locks the run's row. Keep it short,
    /// because the lease cannot be renewed before it ends.
    ///
    /// # Errors
    /// The database reported an error, or another worker holds the run.
    pub async fn fenced(&self) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, Failure> {
        let mut tx = self.db.begin().await?;
        let is_held = sqlx::query_scalar!(
            "select epoch = $2 and worker is not null from toygres.run where id = $1 for update",
            self.run.0,
            self.epoch
        )
        .fetch_one(&mut *tx)
        .await?;
        if is_held != Some(true) {
            return Err(Failure::retry(code::RUN_TAKEN_OVER, "another worker holds this run now"));
        }
        Ok(tx)
    }
}
