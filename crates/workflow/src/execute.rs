//! One claimed run: does its steps until it waits, ends, is lost or the worker stops. It knows no other run.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::claim;
use crate::definition::{AnyWorkflow, Call, StepRules};
use crate::engine::Core;
use crate::lease::{Interrupt, LeaseDeadline, hold};
use crate::transitions::{self, ClaimedRun, WriteError, WriteResult, RunPosition};
use crate::start::RunId;
use crate::step::{Failure, Retry, StepOutcome, code};
#[cfg(feature = "testing")]
use crate::testing::Fault;

/// How often a run may be taken without coming forward before its step counts as deadly.
const MAX_CLAIMS: i32 = 10;

/// How an undo is tried again before a person is needed.
const UNDO: Retry = Retry::times(5);

/// How long an outage is given before a step is called again.
const OUTAGE: Duration = Duration::from_secs(2);

/// Whether to go on with the next step.
enum Next {
    GoOn,
    Leave,
}

/// How a call ended.
enum Ended<T> {
    Result(Result<T, Failure>),
    Interrupt(Interrupt),
    /// The worker stops.
    Stopping,
}

pub(crate) struct RunExecutor<'a, S> {
    pub(crate) core: &'a Core<S>,
    pub(crate) held: ClaimedRun,
    pub(crate) workflow: Arc<dyn AnyWorkflow<S>>,
    /// Somebody changed the run: look whether it was cancelled.
    pub(crate) look: Arc<Notify>,
    pub(crate) stop: CancellationToken,
}

impl<S: Clone + Send + Sync + 'static> RunExecutor<'_, S> {
    /// Works until there is nothing to do for this worker.
    pub(crate) async fn perform(mut self) {
        loop {
            match self.next().await {
                Ok(Next::GoOn) => self.held.claims = 0,
                Ok(Next::Leave) => return,
                Err(WriteError::Lost) => {
                    tracing::info!(run.id = %self.held.id, "a run was taken over by another worker");
                    return;
                }
                Err(WriteError::Database(error)) => {
                    // The lease ends by itself, and whoever takes the run over repeats what was not written down.
                    tracing::warn!(run.id = %self.held.id, %error, "a run was left: the database did not answer");
                    return;
                }
            }
        }
    }

    async fn next(&mut self) -> WriteResult<Next> {
        if self.stop.is_cancelled() {
            claim::hand_over(&self.core.db, &self.held).await?;
            return Ok(Next::Leave);
        }
        let standing = transitions::standing(&self.core.db, &self.held).await?;
        let rules = usize::try_from(standing.position).ok().and_then(|at| self.workflow.rules(at));
        let Some(rules) = rules else {
            let failure = Failure::fatal(code::WORKFLOW_UNKNOWN, "the run has more steps than this version of the workflow");
            transitions::stuck(&self.core.db, &self.held, standing.position, &failure).await?;
            return Ok(Next::Leave);
        };
        if standing.undoing { self.undo(&standing, rules).await } else { self.step(&standing, rules).await }
    }

    /// Whether the run rolls back instead of starting the step: its failure, or `Some(None)` after a cancellation.
    fn turns_back(&self, standing: &RunPosition) -> Option<Option<Failure>> {
        if standing.cancel {
            return Some(None);
        }
        if standing.overdue {
            return Some(Some(Failure::fatal(code::STEP_DEADLINE, "the step exceeded its deadline")));
        }
        let lost = self.held.claims > MAX_CLAIMS;
        lost.then(|| {
            let detail = format!("{MAX_CLAIMS} workers in a row ended during this step");
            Some(Failure::fatal(code::WORKERS_LOST, detail))
        })
    }

    async fn step(&mut self, standing: &RunPosition, rules: StepRules) -> WriteResult<Next> {
        let position = standing.position;
        let (db, held) = (&self.core.db, &self.held);
        if let Some(failure) = self.turns_back(standing) {
            transitions::turn_back(db, held, position, failure.as_ref()).await?;
            return Ok(Next::GoOn);
        }
        let attempt = transitions::begin(db, held, position).await?;
        let left = standing.left.map_or(rules.allowed, |left| Duration::from_secs_f64(left.max(0.0)));
        let rules = StepRules { timeout: rules.timeout.min(left), ..rules };
        let call = self.call(position, attempt).await?;
        let work = self.run_once(position, call);
        match self.held_while(rules, work).await {
            Ended::Result(Ok(StepOutcome::Done(output))) => {
                let last = position + 1 == standing.steps;
                let came_forward = transitions::done(db, held, position, last, &output).await?;
                Ok(if last && came_forward { Next::Leave } else { Next::GoOn })
            }
            Ended::Result(Ok(StepOutcome::Wait(pause))) => {
                transitions::wait(db, held, position, pause).await?;
                Ok(Next::Leave)
            }
            Ended::Result(Err(failure)) => self.failed(standing, rules, attempt, &failure).await,
            Ended::Interrupt(Interrupt::Cancelled) => {
                transitions::turn_back(db, held, position, None).await?;
                Ok(Next::GoOn)
            }
            Ended::Interrupt(Interrupt::Lost) => Err(WriteError::Lost),
            Ended::Stopping => Ok(Next::GoOn),
        }
    }

    async fn failed(
        &self,
        standing: &RunPosition,
        rules: StepRules,
        attempt: i32,
        failure: &Failure,
    ) -> WriteResult<Next> {
        let (db, held) = (&self.core.db, &self.held);
        if failure.is_outage() {
            return self.later(failure).await;
        }
        let (code, error) = (failure.code(), failure.detail());
        if failure.is_fatal() || attempt >= standing.attempts {
            tracing::info!(run.id = %held.id, step.position = standing.position, code, error, "step failed permanently");
            transitions::turn_back(db, held, standing.position, Some(failure)).await?;
            return Ok(Next::GoOn);
        }
        let pause =
            failure.after.unwrap_or_else(|| rules.retry.pause(attempt)).mul_f64(self.core.timing.pauses);
        tracing::info!(run.id = %held.id, step.position = standing.position, attempt, code, error, "step failed; it will be retried");
        transitions::retry(db, held, standing.position, failure, pause).await?;
        Ok(Next::Leave)
    }

    async fn later(&self, failure: &Failure) -> WriteResult<Next> {
        let (code, error) = (failure.code(), failure.detail());
        tracing::warn!(run.id = %self.held.id, code, error, "a dependency of the run is unavailable");
        transitions::later(&self.core.db, &self.held, OUTAGE.mul_f64(self.core.timing.pauses)).await?;
        Ok(Next::Leave)
    }

    async fn undo(&mut self, standing: &RunPosition, rules: StepRules) -> WriteResult<Next> {
        let position = standing.position;
        let (db, held) = (&self.core.db, &self.held);
        let leave = |position| if position == 0 { Next::Leave } else { Next::GoOn };
        if standing.attempt == 0 || standing.step_state == "undone" {
            transitions::undone(db, held, position).await?;
            return Ok(leave(position));
        }
        if held.claims > MAX_CLAIMS {
            let detail = format!("{MAX_CLAIMS} workers in a row ended while they rolled this step back");
            transitions::stuck(db, held, position, &Failure::fatal(code::WORKERS_LOST, detail)).await?;
            return Ok(Next::Leave);
        }
        transitions::begin_undo(db, held, position).await?;
        let call = self.call(position, standing.attempt).await?;
        let work = self.undo_once(position, call);
        match self.held_while(rules, work).await {
            Ended::Result(Ok(())) => {
                transitions::undone(db, held, position).await?;
                Ok(leave(position))
            }
            Ended::Result(Err(failure)) if failure.is_outage() => self.later(&failure).await,
            Ended::Result(Err(failure)) => self.undo_failed(standing, &failure).await,
            Ended::Interrupt(_) => Err(WriteError::Lost),
            Ended::Stopping => Ok(Next::GoOn),
        }
    }

    async fn undo_failed(&self, standing: &RunPosition, failure: &Failure) -> WriteResult<Next> {
        let (db, held, position) = (&self.core.db, &self.held, standing.position);
        if failure.is_fatal() || standing.undo_attempt + 1 >= UNDO.attempts {
            let (code, error) = (failure.code(), failure.detail());
            tracing::error!(run.id = %held.id, step.position = position, code, error, "rollback failed; the run is stuck");
            transitions::stuck(db, held, position, failure).await?;
        } else {
            let pause = UNDO.pause(standing.undo_attempt + 1).mul_f64(self.core.timing.pauses);
            transitions::retry_undo(db, held, position, failure, pause).await?;
        }
        Ok(Next::Leave)
    }

    async fn call(&self, position: i32, attempt: i32) -> WriteResult<Call<S>> {
        let outputs = transitions::outputs(&self.core.db, self.held.id).await?;
        Ok(Call {
            run: RunId(self.held.id),
            position: usize::try_from(position).unwrap_or(usize::MAX),
            attempt,
            epoch: self.held.epoch,
            input: self.held.input.clone(),
            outputs: Arc::new(outputs),
            services: self.core.services.clone(),
            db: self.core.db.clone(),
            stop: self.stop.child_token(),
        })
    }

    /// Runs `work` while the lease holds, its time is not over and the worker does not stop; a panic is a failure.
    async fn held_while<T>(&self, rules: StepRules, work: BoxFuture<'_, Result<T, Failure>>) -> Ended<T> {
        let deadline = LeaseDeadline::new(self.core.timing);
        let guarded = AssertUnwindSafe(deadline.work(work)).catch_unwind();
        tokio::select! {
            biased;
            why = hold(&self.core.db, &self.held, self.core.timing, &self.look, &deadline) => Ended::Interrupt(why),
            () = self.stop.cancelled() => Ended::Stopping,
            result = tokio::time::timeout(rules.timeout, guarded) => Ended::Result(match result {
                Ok(Ok(result)) => result,
                Ok(Err(panic)) => {
                    Err(Failure::retry(code::INTERNAL, format!("the step panicked: {}", panic_message(&*panic))))
                }
                Err(_) => Err(Failure::retry(
                    code::STEP_TIMEOUT,
                    format!("the step did not return within {} s", rules.timeout.as_secs()),
                )),
            }),
        }
    }

    #[cfg(not(feature = "testing"))]
    fn run_once(&self, _position: i32, call: Call<S>) -> BoxFuture<'_, Result<StepOutcome<Value>, Failure>> {
        self.workflow.run(call)
    }

    #[cfg(not(feature = "testing"))]
    fn undo_once(&self, _position: i32, call: Call<S>) -> BoxFuture<'_, Result<(), Failure>> {
        self.workflow.undo(call)
    }

    #[cfg(feature = "testing")]
    fn run_once(&self, position: i32, call: Call<S>) -> BoxFuture<'_, Result<StepOutcome<Value>, Failure>> {
        async move {
            let (again, run) = (call.clone(), call.run);
            self.core.meet(Fault::LoseBefore(position)).await;
            self.core.cancel_at(position, run).await?;
            let result = self.workflow.run(call).await;
            if let Ok(StepOutcome::Done(_)) = result {
                self.core.meet(Fault::LoseAfter(position)).await;
                self.core.cancel_after(position, run).await?;
                if self.core.is_due(Fault::FailOnce(position)) {
                    return Err(Failure::retry(code::INTERNAL, "a test made this attempt fail"));
                }
                if self.core.is_due(Fault::FailAt(position)) {
                    return Err(Failure::fatal(code::INTERNAL, "a test made this step fail"));
                }
                if self.core.is_due(Fault::Repeat(position)) {
                    return self.workflow.run(again).await;
                }
            }
            result
        }
        .boxed()
    }

    #[cfg(feature = "testing")]
    fn undo_once(&self, position: i32, call: Call<S>) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let again = call.clone();
            self.core.meet(Fault::LoseUndoBefore(position)).await;
            self.workflow.undo(call).await?;
            self.core.meet(Fault::LoseUndoAfter(position)).await;
            if self.core.undoes_twice(position) { self.workflow.undo(again).await } else { Ok(()) }
        }
        .boxed()
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "no message".into())
}
