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
use crate::hold::{Interrupt, Sure, hold};
use crate::record::{self, Held, NotRecorded, Recorded, Standing};
use crate::start::RunId;
use crate::step::{Failure, Progress, Retry};
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

pub(crate) struct Performance<'a, S> {
    pub(crate) core: &'a Core<S>,
    pub(crate) held: Held,
    pub(crate) workflow: Arc<dyn AnyWorkflow<S>>,
    /// Somebody changed the run: look whether it was cancelled.
    pub(crate) look: Arc<Notify>,
    pub(crate) stop: CancellationToken,
}

impl<S: Clone + Send + Sync + 'static> Performance<'_, S> {
    /// Works until there is nothing to do for this worker.
    pub(crate) async fn perform(mut self) {
        loop {
            match self.next().await {
                Ok(Next::GoOn) => self.held.claims = 0,
                Ok(Next::Leave) => return,
                Err(NotRecorded::Lost) => {
                    tracing::info!(run.id = %self.held.id, "a run was taken over by another worker");
                    return;
                }
                Err(NotRecorded::Database(error)) => {
                    // The lease ends by itself, and whoever takes the run over repeats what was not written down.
                    tracing::warn!(run.id = %self.held.id, %error, "a run was left: the database did not answer");
                    return;
                }
            }
        }
    }

    async fn next(&mut self) -> Recorded<Next> {
        if self.stop.is_cancelled() {
            claim::hand_over(&self.core.db, &self.held).await?;
            return Ok(Next::Leave);
        }
        let standing = record::standing(&self.core.db, &self.held).await?;
        let rules = usize::try_from(standing.position).ok().and_then(|at| self.workflow.rules(at));
        let Some(rules) = rules else {
            let error = "This program has fewer steps for this version than the run.";
            record::stuck(&self.core.db, &self.held, standing.position, error).await?;
            return Ok(Next::Leave);
        };
        if standing.undoing { self.undo(&standing, rules).await } else { self.step(&standing, rules).await }
    }

    /// Why the step is not begun any more, if it is not: the error of the run, or none where somebody cancelled it.
    fn turns_back(&self, standing: &Standing) -> Option<Option<String>> {
        if standing.cancel {
            return Some(None);
        }
        if standing.overdue {
            return Some(Some("The step took longer than it may.".to_owned()));
        }
        let lost = self.held.claims > MAX_CLAIMS;
        lost.then(|| Some(format!("{MAX_CLAIMS} workers in a row ended while they did this step.")))
    }

    async fn step(&mut self, standing: &Standing, rules: StepRules) -> Recorded<Next> {
        let position = standing.position;
        let (db, held) = (&self.core.db, &self.held);
        if let Some(error) = self.turns_back(standing) {
            record::turn_back(db, held, position, error.as_deref()).await?;
            return Ok(Next::GoOn);
        }
        let attempt = record::begin(db, held, position).await?;
        let left = standing.left.map_or(rules.allowed, |left| Duration::from_secs_f64(left.max(0.0)));
        let rules = StepRules { timeout: rules.timeout.min(left), ..rules };
        let call = self.call(position, attempt).await?;
        let work = self.run_once(position, call);
        match self.held_while(rules, work).await {
            Ended::Result(Ok(Progress::Done(output))) => {
                let last = position + 1 == standing.steps;
                let came_forward = record::done(db, held, position, last, &output).await?;
                Ok(if last && came_forward { Next::Leave } else { Next::GoOn })
            }
            Ended::Result(Ok(Progress::Wait(pause))) => {
                record::wait(db, held, position, pause).await?;
                Ok(Next::Leave)
            }
            Ended::Result(Err(failure)) => self.failed(standing, rules, attempt, &failure).await,
            Ended::Interrupt(Interrupt::Cancelled) => {
                record::turn_back(db, held, position, None).await?;
                Ok(Next::GoOn)
            }
            Ended::Interrupt(Interrupt::Lost) => Err(NotRecorded::Lost),
            Ended::Stopping => Ok(Next::GoOn),
        }
    }

    async fn failed(
        &self,
        standing: &Standing,
        rules: StepRules,
        attempt: i32,
        failure: &Failure,
    ) -> Recorded<Next> {
        let (db, held) = (&self.core.db, &self.held);
        let message = failure.message();
        if failure.is_outage() {
            return self.later(&message).await;
        }
        if failure.fatal || attempt >= standing.attempts {
            tracing::info!(run.id = %held.id, step.position = standing.position, error = message, "a step failed for good");
            record::turn_back(db, held, standing.position, Some(&message)).await?;
            return Ok(Next::GoOn);
        }
        let pause =
            failure.after.unwrap_or_else(|| rules.retry.pause(attempt)).mul_f64(self.core.timing.pauses);
        tracing::info!(run.id = %held.id, step.position = standing.position, attempt, error = message, "a step failed");
        record::retry(db, held, standing.position, &message, pause).await?;
        Ok(Next::Leave)
    }

    async fn later(&self, message: &str) -> Recorded<Next> {
        tracing::warn!(run.id = %self.held.id, error = message, "a run waits for what it lives by");
        record::later(&self.core.db, &self.held, OUTAGE.mul_f64(self.core.timing.pauses)).await?;
        Ok(Next::Leave)
    }

    async fn undo(&mut self, standing: &Standing, rules: StepRules) -> Recorded<Next> {
        let position = standing.position;
        let (db, held) = (&self.core.db, &self.held);
        let leave = |position| if position == 0 { Next::Leave } else { Next::GoOn };
        if standing.attempt == 0 || standing.step_state == "undone" {
            record::undone(db, held, position).await?;
            return Ok(leave(position));
        }
        if held.claims > MAX_CLAIMS {
            let error = format!("{MAX_CLAIMS} workers in a row ended while they undid this step.");
            record::stuck(db, held, position, &error).await?;
            return Ok(Next::Leave);
        }
        record::begin_undo(db, held, position).await?;
        let call = self.call(position, standing.attempt).await?;
        let work = self.undo_once(position, call);
        match self.held_while(rules, work).await {
            Ended::Result(Ok(())) => {
                record::undone(db, held, position).await?;
                Ok(leave(position))
            }
            Ended::Result(Err(failure)) if failure.is_outage() => self.later(&failure.message()).await,
            Ended::Result(Err(failure)) => {
                let message = failure.message();
                if failure.fatal || standing.undo_attempt + 1 >= UNDO.attempts {
                    tracing::error!(run.id = %held.id, step.position = position, error = message, "an undo failed: a person is needed");
                    record::stuck(db, held, position, &message).await?;
                } else {
                    let pause = UNDO.pause(standing.undo_attempt + 1).mul_f64(self.core.timing.pauses);
                    record::retry_undo(db, held, position, &message, pause).await?;
                }
                Ok(Next::Leave)
            }
            Ended::Interrupt(_) => Err(NotRecorded::Lost),
            Ended::Stopping => Ok(Next::GoOn),
        }
    }

    async fn call(&self, position: i32, attempt: i32) -> Recorded<Call<S>> {
        let outputs = record::outputs(&self.core.db, self.held.id).await?;
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
        let sure = Sure::new(self.core.timing);
        let guarded = AssertUnwindSafe(sure.work(work)).catch_unwind();
        tokio::select! {
            biased;
            why = hold(&self.core.db, &self.held, self.core.timing, &self.look, &sure) => Ended::Interrupt(why),
            () = self.stop.cancelled() => Ended::Stopping,
            result = tokio::time::timeout(rules.timeout, guarded) => Ended::Result(match result {
                Ok(Ok(result)) => result,
                Ok(Err(panic)) => Err(Failure::retry(anyhow::anyhow!("the step panicked: {}", words(&*panic)))),
                Err(_) => Err(Failure::retry(anyhow::anyhow!(
                    "the step did not answer within {} s",
                    rules.timeout.as_secs()
                ))),
            }),
        }
    }

    #[cfg(not(feature = "testing"))]
    fn run_once(&self, _position: i32, call: Call<S>) -> BoxFuture<'_, Result<Progress<Value>, Failure>> {
        self.workflow.run(call)
    }

    #[cfg(not(feature = "testing"))]
    fn undo_once(&self, _position: i32, call: Call<S>) -> BoxFuture<'_, Result<(), Failure>> {
        self.workflow.undo(call)
    }

    #[cfg(feature = "testing")]
    fn run_once(&self, position: i32, call: Call<S>) -> BoxFuture<'_, Result<Progress<Value>, Failure>> {
        async move {
            let (again, run) = (call.clone(), call.run);
            self.core.meet(Fault::LoseBefore(position)).await;
            self.core.cancel_at(position, run).await?;
            let result = self.workflow.run(call).await;
            if let Ok(Progress::Done(_)) = result {
                self.core.meet(Fault::LoseAfter(position)).await;
                self.core.cancel_after(position, run).await?;
                if self.core.is_due(Fault::FailOnce(position)) {
                    return Err(Failure::retry(anyhow::anyhow!("a test made this try fail")));
                }
                if self.core.is_due(Fault::FailAt(position)) {
                    return Err(Failure::fatal(anyhow::anyhow!("a test made this step fail")));
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

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "no words".into())
}
