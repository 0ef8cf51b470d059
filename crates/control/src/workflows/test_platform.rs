//! The workflow that runs a job which only writes log lines.

use std::time::Duration;

use model::WorkflowName;
use model::agent::{Outcome, Work};
use serde::{Deserialize, Serialize};
use workflow::{Lock, Step, StepContext, StepOutcome, Steps, Workflow};

use crate::jobs::{self, JobRequest};
use crate::services::Services;
use crate::stores;

/// Runs a job that only writes log lines.
#[derive(Serialize, Deserialize)]
pub struct TestPlatform {
    /// How many lines it writes.
    pub lines: u64,
}

impl Workflow for TestPlatform {
    const NAME: &'static str = WorkflowName::TestPlatform.as_str();
    const VERSION: i32 = 1;
    type Services = Services;

    fn locks(&self) -> Vec<Lock> {
        Vec::new()
    }

    fn steps() -> Steps<Self> {
        Steps::first::<RunTestJob>()
    }
}

/// Runs the job.
pub(crate) struct RunTestJob;

impl Step for RunTestJob {
    const NAME: &'static str = "RunTestJob";
    const DEADLINE: Duration = Duration::from_secs(3600);
    type Workflow = TestPlatform;
    type Output = Outcome;

    async fn run(cx: &StepContext<TestPlatform>) -> Result<StepOutcome<Outcome>, workflow::Failure> {
        jobs::run(cx, async || {
            Ok(JobRequest {
                work: Work::EmitLines { lines: cx.input.lines },
                password: None,
                // With a default store the log is kept there too; a test does not require one.
                store: stores::default(&cx.services).await.ok(),
                volume: None,
                major: None,
                log: None,
                network: None,
                deadline: Self::DEADLINE,
            })
        })
        .await
    }

    async fn undo(cx: &StepContext<TestPlatform>) -> Result<(), workflow::Failure> {
        jobs::undo(cx).await
    }
}
