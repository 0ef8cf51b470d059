//! Workflows with their types taken off, so that one engine holds many. It knows neither database nor time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::start::RunId;
use crate::step::{StepContext, Failure, code, StepOutcome, Retry, Step, Workflow};

/// Name, version and steps of a workflow: what must not change unnoticed while runs of it live.
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
    /// The plan of a workflow.
    #[must_use]
    pub fn of<W: Workflow>() -> Self {
        Self {
            name: W::NAME,
            version: W::VERSION,
            steps: W::steps().list.iter().map(|step| step.name).collect(),
        }
    }
}

type StepFn<W, T> = for<'a> fn(&'a StepContext<W>) -> BoxFuture<'a, Result<T, Failure>>;

/// One step of a workflow, as plain functions.
pub(crate) struct StepDefinition<W: Workflow> {
    pub(crate) name: &'static str,
    pub(crate) retry: Retry,
    pub(crate) timeout: Duration,
    pub(crate) allowed: Duration,
    run: StepFn<W, StepOutcome<Value>>,
    undo: StepFn<W, ()>,
}

impl<W: Workflow> StepDefinition<W> {
    pub(crate) fn of<S: Step<Workflow = W>>() -> Self {
        Self {
            name: S::NAME,
            retry: S::RETRY,
            timeout: S::TIMEOUT,
            allowed: S::DEADLINE,
            run: |cx| {
                async move {
                    Ok(match S::run(cx).await? {
                        StepOutcome::Done(output) => {
                            StepOutcome::Done(serde_json::to_value(output).map_err(internal)?)
                        }
                        StepOutcome::Wait(pause) => StepOutcome::Wait(pause),
                    })
                }
                .boxed()
            },
            undo: |cx| S::undo(cx).boxed(),
        }
    }
}

/// What a call of a step is about, types taken off.
#[derive(Clone)]
pub(crate) struct Call<S> {
    pub(crate) run: RunId,
    pub(crate) position: usize,
    pub(crate) attempt: i32,
    pub(crate) epoch: i64,
    pub(crate) input: Value,
    pub(crate) outputs: Arc<BTreeMap<String, Value>>,
    pub(crate) services: S,
    pub(crate) db: PgPool,
    pub(crate) stop: CancellationToken,
}

/// What the engine needs to know of a step besides its calls.
#[derive(Clone, Copy)]
pub(crate) struct StepRules {
    pub(crate) retry: Retry,
    pub(crate) timeout: Duration,
    pub(crate) allowed: Duration,
}

/// A workflow whose type is known to nobody any more.
pub(crate) trait AnyWorkflow<S>: Send + Sync {
    fn rules(&self, position: usize) -> Option<StepRules>;
    fn run(&self, call: Call<S>) -> BoxFuture<'_, Result<StepOutcome<Value>, Failure>>;
    fn undo(&self, call: Call<S>) -> BoxFuture<'_, Result<(), Failure>>;
}

/// The steps of a workflow, listed once.
pub(crate) struct Registered<W: Workflow>(pub(crate) Vec<StepDefinition<W>>);

impl<W: Workflow> Registered<W> {
    fn context(&self, call: Call<W::Services>) -> Result<(&StepDefinition<W>, StepContext<W>), Failure> {
        let definition = self
            .0
            .get(call.position)
            .ok_or_else(|| internal(format!("{} has no step {}", W::NAME, call.position)))?;
        let input = serde_json::from_value(call.input).map_err(internal)?;
        let cx = StepContext {
            run: call.run,
            step: definition.name,
            attempt: call.attempt,
            epoch: call.epoch,
            input: Arc::new(input),
            services: call.services,
            db: call.db,
            stop: call.stop,
            position: i32::try_from(call.position).map_err(internal)?,
            outputs: call.outputs,
        };
        Ok((definition, cx))
    }
}

impl<W: Workflow> AnyWorkflow<W::Services> for Registered<W> {
    fn rules(&self, position: usize) -> Option<StepRules> {
        self.0.get(position).map(|step| StepRules {
            retry: step.retry,
            timeout: step.timeout,
            allowed: step.allowed,
        })
    }

    fn run(&self, call: Call<W::Services>) -> BoxFuture<'_, Result<StepOutcome<Value>, Failure>> {
        async move {
            let (definition, cx) = self.context(call)?;
            (definition.run)(&cx).await
        }
        .boxed()
    }

    fn undo(&self, call: Call<W::Services>) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let (definition, cx) = self.context(call)?;
            (definition.undo)(&cx).await
        }
        .boxed()
    }
}

fn internal(detail: impl ToString) -> Failure {
    Failure::fatal(code::INTERNAL, detail)
}
