//! Type-erased workflows, so that one engine can execute many. It knows neither claims nor time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use sqlx::PgPool;

use crate::failure::{Failure, code};
use crate::retry::Retry;
use crate::run::RunId;
use crate::step::{StepContext, StepDefinition, StepOutcome, Workflow};

/// Name, version and steps of a workflow. They must not change while runs of this version exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowShape {
    /// [`Workflow::NAME`].
    pub name: &'static str,
    /// [`Workflow::VERSION`].
    pub version: i32,
    /// The names of the steps, in order.
    pub steps: Vec<&'static str>,
}

impl WorkflowShape {
    /// The shape of workflow `W`.
    #[must_use]
    pub fn of<W: Workflow>() -> Self {
        Self {
            name: W::NAME,
            version: W::VERSION,
            steps: W::steps().list.iter().map(|step| step.name).collect(),
        }
    }
}

/// The parameters of a call of a step.
#[derive(Clone)]
pub(crate) struct Call<S> {
    pub(crate) run: RunId,
    pub(crate) position: i32,
    pub(crate) attempt: i32,
    pub(crate) epoch: i64,
    pub(crate) input: Value,
    pub(crate) outputs: Arc<BTreeMap<String, Value>>,
    pub(crate) services: S,
    pub(crate) db: PgPool,
}

/// The constants of a step that the engine needs.
#[derive(Clone, Copy)]
pub(crate) struct StepRules {
    pub(crate) retry: Retry,
    pub(crate) timeout: Duration,
}

/// A type-erased workflow. A step is named by its position.
pub(crate) trait AnyWorkflow<S>: Send + Sync {
    /// The constants of a step, or `None` if the workflow has fewer steps.
    fn rules(&self, position: i32) -> Option<StepRules>;
    fn run(&self, call: Call<S>) -> BoxFuture<'_, Result<StepOutcome<Value>, Failure>>;
    fn undo(&self, call: Call<S>) -> BoxFuture<'_, Result<(), Failure>>;
}

/// The steps of a workflow that an engine executes.
pub(crate) struct Registered<W: Workflow>(Vec<StepDefinition<W>>);

impl<W: Workflow> Registered<W> {
    pub(crate) fn new() -> Self {
        Self(W::steps().list)
    }

    fn step(&self, position: i32) -> Option<&StepDefinition<W>> {
        self.0.get(usize::try_from(position).ok()?)
    }

    fn context(&self, call: Call<W::Services>) -> Result<(&StepDefinition<W>, StepContext<W>), Failure> {
        let internal = |detail| Failure::fatal(code::INTERNAL, detail);
        let step = self
            .step(call.position)
            .ok_or_else(|| internal(format!("{} has no step {}", W::NAME, call.position)))?;
        let input = serde_json::from_value(call.input).map_err(|error| internal(error.to_string()))?;
        let cx = StepContext {
            run: call.run,
            step: step.name,
            attempt: call.attempt,
            epoch: call.epoch,
            input: Arc::new(input),
            services: call.services,
            db: call.db,
            position: call.position,
            outputs: call.outputs,
        };
        Ok((step, cx))
    }
}

impl<W: Workflow> AnyWorkflow<W::Services> for Registered<W> {
    fn rules(&self, position: i32) -> Option<StepRules> {
        self.step(position).map(|step| StepRules { retry: step.retry, timeout: step.timeout })
    }

    fn run(&self, call: Call<W::Services>) -> BoxFuture<'_, Result<StepOutcome<Value>, Failure>> {
        async move {
            let (step, cx) = self.context(call)?;
            (step.run)(&cx).await
        }
        .boxed()
    }

    fn undo(&self, call: Call<W::Services>) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let (step, cx) = self.context(call)?;
            (step.undo)(&cx).await
        }
        .boxed()
    }
}
