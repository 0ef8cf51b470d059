//! The execution of one claimed run: calls its steps until it waits, ends, is lost or the worker stops.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::claim::{self, AbandonedClaim, ClaimedRun, WriteError, WriteResult};
use crate::definition::{AnyWorkflow, Call, StepRules};
use crate::failure::{Failure, code, database_is_unavailable};
use crate::lease::{Interrupt, LeaseDeadline, renew_until_interrupted};
use crate::retry::Retry;
use crate::rollback;
use crate::run::RunId;
use crate::step::StepOutcome;
use crate::step_deadlines::StepDeadlines;
use crate::timing::Timing;
use crate::transitions::{self, RunPosition};

/// Claims without progress after which the step is treated as the cause of the workers' loss.
const MAX_CLAIMS: i32 = 10;

/// Attempts of an undo before the run is stuck.
const UNDO_RETRY: Retry = Retry::times(5);

/// The pause after an outage before the step is called again.
const OUTAGE_PAUSE: Duration = Duration::from_secs(2);

/// What the executions of a worker share.
pub(crate) struct Core<S> {
    pub(crate) db: PgPool,
    pub(crate) services: S,
    pub(crate) timing: Timing,
    pub(crate) deadlines: StepDeadlines,
}

/// Whether the worker continues with the run.
enum Next {
    Continue,
    /// The run has ended, is stuck or is due later.
    Leave,
}

/// How a call ended.
enum CallEnd<T> {
    Returned(Result<T, Failure>),
    Interrupted(Interrupt),
    WorkerStops,
}

/// Executes one claimed run.
pub(crate) struct RunExecutor<'a, S> {
    pub(crate) core: &'a Core<S>,
    pub(crate) run: ClaimedRun,
    pub(crate) workflow: Arc<dyn AnyWorkflow<S>>,
    /// Notified when the run's row changed, for example by a cancellation.
    pub(crate) changed: Arc<Notify>,
    pub(crate) stop: CancellationToken,
}

impl<S: Clone + Send + Sync + 'static> RunExecutor<'_, S> {
    /// Executes steps until this worker has nothing more to do for the run. Returns the claim if only an
    /// unavailable database ended it.
    pub(crate) async fn execute(mut self) -> Option<AbandonedClaim> {
        loop {
            match self.next().await {
                Ok(Next::Continue) => self.run.claims = 0,
                Ok(Next::Leave) => return None,
                Err(WriteError::Lost) => {
                    tracing::info!(run.id = %self.run.id, "run was taken over, or its lease could not be renewed");
                    break;
                }
                // The next worker repeats what was not recorded.
                Err(WriteError::Database(error)) if !database_is_unavailable(&error) => {
                    tracing::error!(run.id = %self.run.id, %error, "run is abandoned until its lease expires");
                    return None;
                }
                Err(WriteError::Database(error)) => {
                    tracing::warn!(run.id = %self.run.id, %error, "run is abandoned until the database responds");
                    break;
                }
            }
        }
        Some(AbandonedClaim { run: self.run.id, epoch: self.run.epoch })
    }

    async fn next(&mut self) -> WriteResult<Next> {
        let (db, run) = (&self.core.db, &self.run);
        if self.stop.is_cancelled() {
            claim::hand_over(db, run).await?;
            return Ok(Next::Leave);
        }
        let current = transitions::position(db, run).await?;
        if current.undoing && current.has_nothing_to_undo() {
            return self.undone(current.position).await;
        }
        let Some(rules) = self.workflow.rules(current.position) else {
            let detail = "the run has more steps than this version of the workflow";
            let failure = Failure::fatal(code::WORKFLOW_UNKNOWN, detail);
            rollback::stuck(db, run, current.position, &failure).await?;
            return Ok(Next::Leave);
        };
        if current.undoing { self.undo(&current, rules).await } else { self.step(&current, rules).await }
    }

    async fn step(&self, current: &RunPosition, rules: StepRules) -> WriteResult<Next> {
        let (db, run, position) = (&self.core.db, &self.run, current.position);
        if current.overdue
            && !current.cancel
            && let Some(left) = self.core.deadlines.left(run.id, position)
        {
            tracing::warn!(run.id = %run.id, step.position = position, "the clock of the database jumped");
            transitions::move_deadline(db, run, position, left).await?;
            return Ok(Next::Continue);
        }
        if let Some(cause) = self.rollback_cause(current) {
            return self.roll_back(position, cause.as_ref()).await;
        }
        let begun = transitions::begin(db, run, position).await?;
        let (attempt, left) = (begun.attempt, begun.left());
        self.core.deadlines.note(run.id, position, left);
        let call = self.workflow.run(self.call(position, attempt).await?);
        match self.while_leased(rules.timeout.min(left), call).await {
            CallEnd::Returned(Ok(StepOutcome::Done(output))) => {
                let last = position + 1 == current.steps;
                match transitions::done(db, run, position, last, &output).await {
                    Ok(advanced) => Ok(if last && advanced { Next::Leave } else { Next::Continue }),
                    // An output that the database cannot store: the same after every repetition.
                    Err(WriteError::Database(error)) if !database_is_unavailable(&error) => {
                        self.step_failed(current, rules.retry, attempt, &error.into()).await
                    }
                    Err(error) => Err(error),
                }
            }
            CallEnd::Returned(Ok(StepOutcome::Wait(pause))) => {
                transitions::wait(db, run, position, pause).await?;
                Ok(Next::Leave)
            }
            CallEnd::Returned(Err(failure)) => {
                self.step_failed(current, rules.retry, attempt, &failure).await
            }
            CallEnd::Interrupted(Interrupt::Cancelled) => self.roll_back(position, None).await,
            CallEnd::Interrupted(Interrupt::Lost) => Err(WriteError::Lost),
            CallEnd::WorkerStops => Ok(Next::Continue),
        }
    }

    /// Why the run rolls back before its step is called: a failure, or `Some(None)` after a cancellation.
    fn rollback_cause(&self, current: &RunPosition) -> Option<Option<Failure>> {
        if current.cancel {
            return Some(None);
        }
        if current.overdue {
            return Some(Some(Failure::fatal(code::STEP_DEADLINE, "the step exceeded its deadline")));
        }
        let detail = || format!("{MAX_CLAIMS} workers in a row ended during this step");
        (self.run.claims > MAX_CLAIMS).then(|| Some(Failure::fatal(code::WORKERS_LOST, detail())))
    }

    async fn roll_back(&self, position: i32, cause: Option<&Failure>) -> WriteResult<Next> {
        rollback::start(&self.core.db, &self.run, position, cause).await?;
        Ok(Next::Continue)
    }

    async fn step_failed(
        &self,
        current: &RunPosition,
        retry: Retry,
        attempt: i32,
        failure: &Failure,
    ) -> WriteResult<Next> {
        if failure.is_outage() {
            return self.call_later(failure).await;
        }
        let (run, position) = (&self.run, current.position);
        let (code, error) = (failure.code(), failure.detail());
        if failure.is_fatal() || attempt >= current.attempts {
            tracing::info!(run.id = %run.id, step.position = position, code, error, "step failed permanently");
            return self.roll_back(position, Some(failure)).await;
        }
        tracing::info!(run.id = %run.id, step.position = position, attempt, code, error, "step failed; retrying");
        let pause = self.scaled(failure.pause().unwrap_or_else(|| retry.pause(attempt)));
        transitions::retry(&self.core.db, run, position, failure, pause).await?;
        Ok(Next::Leave)
    }

    async fn undo(&self, current: &RunPosition, rules: StepRules) -> WriteResult<Next> {
        let (db, run, position) = (&self.core.db, &self.run, current.position);
        if run.claims > MAX_CLAIMS {
            let detail = format!("{MAX_CLAIMS} workers in a row ended while they rolled this step back");
            rollback::stuck(db, run, position, &Failure::fatal(code::WORKERS_LOST, detail)).await?;
            return Ok(Next::Leave);
        }
        rollback::begin_undo(db, run, position).await?;
        let call = self.workflow.undo(self.call(position, current.attempt).await?);
        match self.while_leased(rules.timeout, call).await {
            CallEnd::Returned(Ok(())) => self.undone(position).await,
            CallEnd::Returned(Err(failure)) => self.undo_failed(current, &failure).await,
            CallEnd::Interrupted(_) => Err(WriteError::Lost),
            CallEnd::WorkerStops => Ok(Next::Continue),
        }
    }

    async fn undone(&self, position: i32) -> WriteResult<Next> {
        rollback::undone(&self.core.db, &self.run, position).await?;
        Ok(if position == 0 { Next::Leave } else { Next::Continue })
    }

    async fn undo_failed(&self, current: &RunPosition, failure: &Failure) -> WriteResult<Next> {
        if failure.is_outage() {
            return self.call_later(failure).await;
        }
        let (db, run, position) = (&self.core.db, &self.run, current.position);
        let attempt = current.undo_attempt + 1;
        if failure.is_fatal() || attempt >= UNDO_RETRY.attempts {
            let (code, error) = (failure.code(), failure.detail());
            tracing::error!(run.id = %run.id, step.position = position, code, error, "rollback failed; run is stuck");
            rollback::stuck(db, run, position, failure).await?;
        } else {
            let pause = self.scaled(UNDO_RETRY.pause(attempt));
            rollback::retry_undo(db, run, position, failure, pause).await?;
        }
        Ok(Next::Leave)
    }

    /// Repeats the call after an outage, without counting an attempt.
    async fn call_later(&self, failure: &Failure) -> WriteResult<Next> {
        let (code, error) = (failure.code(), failure.detail());
        tracing::warn!(run.id = %self.run.id, code, error, "run is waiting for an unavailable dependency");
        transitions::later(&self.core.db, &self.run, self.scaled(OUTAGE_PAUSE)).await?;
        Ok(Next::Leave)
    }

    fn scaled(&self, pause: Duration) -> Duration {
        pause.mul_f64(self.core.timing.pauses)
    }

    async fn call(&self, position: i32, attempt: i32) -> WriteResult<Call<S>> {
        let outputs = transitions::outputs(&self.core.db, self.run.id).await?;
        Ok(Call {
            run: RunId(self.run.id),
            position,
            attempt,
            epoch: self.run.epoch,
            input: self.run.input.clone(),
            outputs: Arc::new(outputs),
            services: self.core.services.clone(),
            db: self.core.db.clone(),
        })
    }

    /// Awaits `call` while the lease is valid and the worker does not stop. A panic or a timeout is a failure.
    async fn while_leased<T>(
        &self,
        timeout: Duration,
        call: BoxFuture<'_, Result<T, Failure>>,
    ) -> CallEnd<T> {
        let (db, timing) = (&self.core.db, self.core.timing);
        let deadline = LeaseDeadline::new(timing);
        let guarded = AssertUnwindSafe(deadline.guard(call)).catch_unwind();
        tokio::select! {
            biased;
            interrupt = renew_until_interrupted(db, &self.run, timing, &self.changed, &deadline) => {
                CallEnd::Interrupted(interrupt)
            }
            () = self.stop.cancelled() => CallEnd::WorkerStops,
            result = tokio::time::timeout(timeout, guarded) => CallEnd::Returned(match result {
                Ok(Ok(result)) => result,
                Ok(Err(panic)) => {
                    Err(Failure::retry(code::INTERNAL, format!("the step panicked: {}", panic_message(&*panic))))
                }
                Err(_) => {
                    let detail = format!("the step did not return within {} s", timeout.as_secs());
                    Err(Failure::retry(code::STEP_TIMEOUT, detail))
                }
            }),
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "no message".into())
}
