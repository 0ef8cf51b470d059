//! Faults that tests inject into the calls of a workflow.

use std::collections::HashSet;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::command;
use crate::definition::{AnyWorkflow, Call, StepRules};
use crate::failure::{Failure, code};
use crate::step::StepOutcome;

/// A fault in one run. The number is the position of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No fault.
    None,
    /// The step is executed a second time after it was done.
    Repeat(i32),
    /// The step fails permanently after its effect.
    FailAt(i32),
    /// The step fails permanently after its effect, and each undo is executed twice.
    FailAtUndoTwice(i32),
    /// The worker is lost before the step's effect.
    LoseBefore(i32),
    /// The worker is lost after the step's effect, before the result is recorded.
    LoseAfter(i32),
    /// The first attempt fails after its effect. Only for steps with more than one attempt.
    FailOnce(i32),
    /// The step fails permanently, and the worker is lost before the step's undo.
    LoseUndoBefore(i32),
    /// The step fails permanently, and the worker is lost after the step's undo, before the result is recorded.
    LoseUndoAfter(i32),
    /// The run is cancelled when the step begins.
    CancelAt(i32),
    /// The run is cancelled after the step's effect, before the result is recorded.
    CancelAfter(i32),
}

impl Fault {
    /// All faults for a workflow with this number of steps.
    #[must_use]
    pub fn all(steps: usize) -> Vec<Self> {
        let each = (0_i32..).take(steps).flat_map(|at| {
            [
                Self::Repeat(at),
                Self::FailAt(at),
                Self::FailAtUndoTwice(at),
                Self::LoseBefore(at),
                Self::LoseAfter(at),
                Self::FailOnce(at),
                Self::LoseUndoBefore(at),
                Self::LoseUndoAfter(at),
                Self::CancelAt(at),
                Self::CancelAfter(at),
            ]
        });
        std::iter::once(Self::None).chain(each).collect()
    }

    /// The final state of a run with this fault.
    #[must_use]
    pub fn ends(self) -> &'static str {
        match self {
            Self::FailAt(_) | Self::FailAtUndoTwice(_) | Self::LoseUndoBefore(_) | Self::LoseUndoAfter(_) => {
                "failed"
            }
            Self::CancelAt(_) | Self::CancelAfter(_) => "cancelled",
            Self::None | Self::Repeat(_) | Self::FailOnce(_) | Self::LoseBefore(_) | Self::LoseAfter(_) => {
                "succeeded"
            }
        }
    }
}

/// A planned fault and the effects of it that have occurred. Each occurs once.
#[derive(Clone)]
pub(crate) struct Faults {
    planned: Fault,
    occurred: Arc<Mutex<HashSet<Fault>>>,
    /// Cancelled when the worker must be lost.
    pub(crate) worker_lost: CancellationToken,
}

impl Faults {
    pub(crate) fn new(planned: Fault) -> Self {
        Self { planned, occurred: Arc::default(), worker_lost: CancellationToken::new() }
    }

    /// Whether this fault is planned and has not occurred yet.
    fn is_due(&self, fault: Fault) -> bool {
        let planned = match (self.planned, fault) {
            (
                Fault::FailAtUndoTwice(at) | Fault::LoseUndoBefore(at) | Fault::LoseUndoAfter(at),
                Fault::FailAt(_),
            ) => Fault::FailAt(at),
            (planned, _) => planned,
        };
        planned == fault && self.occurred.lock().unwrap_or_else(PoisonError::into_inner).insert(fault)
    }

    /// Requests the loss of the worker if this fault is due. The call then never returns.
    async fn lose_worker(&self, fault: Fault) {
        if self.is_due(fault) {
            self.worker_lost.cancel();
            pending::<()>().await;
        }
    }

    /// Cancels the run if this fault is due. The call then never returns.
    async fn cancel<S>(&self, fault: Fault, call: &Call<S>) -> Result<(), Failure> {
        if self.is_due(fault) {
            command::cancel(&call.db, call.run)
                .await
                .map_err(|error| Failure::retry(code::INTERNAL, error))?;
            pending::<()>().await;
        }
        Ok(())
    }
}

/// A workflow with a planned fault.
pub(crate) struct FaultyWorkflow<S> {
    workflow: Arc<dyn AnyWorkflow<S>>,
    faults: Faults,
}

impl<S> FaultyWorkflow<S> {
    pub(crate) fn new(workflow: Arc<dyn AnyWorkflow<S>>, faults: Faults) -> Self {
        Self { workflow, faults }
    }
}

impl<S: Clone + Send + Sync + 'static> AnyWorkflow<S> for FaultyWorkflow<S> {
    fn rules(&self, position: i32) -> Option<StepRules> {
        self.workflow.rules(position)
    }

    fn run(&self, call: Call<S>) -> BoxFuture<'_, Result<StepOutcome<Value>, Failure>> {
        async move {
            let (faults, position) = (&self.faults, call.position);
            faults.lose_worker(Fault::LoseBefore(position)).await;
            faults.cancel(Fault::CancelAt(position), &call).await?;
            let outcome = self.workflow.run(call.clone()).await?;
            if let StepOutcome::Wait(_) = outcome {
                return Ok(outcome);
            }
            faults.lose_worker(Fault::LoseAfter(position)).await;
            faults.cancel(Fault::CancelAfter(position), &call).await?;
            if faults.is_due(Fault::FailOnce(position)) {
                return Err(Failure::retry(code::INTERNAL, "a test made this attempt fail"));
            }
            if faults.is_due(Fault::FailAt(position)) {
                return Err(Failure::fatal(code::INTERNAL, "a test made this step fail"));
            }
            if faults.is_due(Fault::Repeat(position)) { self.workflow.run(call).await } else { Ok(outcome) }
        }
        .boxed()
    }

    fn undo(&self, call: Call<S>) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let (faults, position) = (&self.faults, call.position);
            faults.lose_worker(Fault::LoseUndoBefore(position)).await;
            self.workflow.undo(call.clone()).await?;
            faults.lose_worker(Fault::LoseUndoAfter(position)).await;
            if matches!(faults.planned, Fault::FailAtUndoTwice(_)) {
                self.workflow.undo(call).await?;
            }
            Ok(())
        }
        .boxed()
    }
}
