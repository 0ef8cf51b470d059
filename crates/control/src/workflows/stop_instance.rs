//! The workflow that stops a managed instance. Its undo starts it.

use std::time::Duration;

use model::{InstanceId, WorkflowName};
use serde::{Deserialize, Serialize};
use workflow::{Failure, Lock, Step, StepContext, StepOutcome, Steps, Workflow};

use crate::error::Error;
use crate::locks::instance_key;
use crate::services::Services;

/// Stops a managed instance.
#[derive(Serialize, Deserialize)]
pub struct StopInstance {
    /// The instance, whose status is `stopping`.
    pub instance: InstanceId,
}

impl Workflow for StopInstance {
    const NAME: &'static str = WorkflowName::StopInstance.as_str();
    const VERSION: i32 = 1;
    type Services = Services;

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive(instance_key(self.instance))]
    }

    fn steps() -> Steps<Self> {
        Steps::first::<StopPostgres>().then::<UpdateInstanceStatus>()
    }
}

/// Stops the server; its clients are disconnected.
pub(crate) struct StopPostgres;

impl Step for StopPostgres {
    const NAME: &'static str = "StopPostgres";
    /// A pod may need its whole termination grace period.
    const TIMEOUT: Duration = Duration::from_secs(300);
    type Workflow = StopInstance;
    type Output = ();

    async fn run(cx: &StepContext<StopInstance>) -> Result<StepOutcome<()>, Failure> {
        cx.services.platform().stop_server(cx.input.instance).await.map_err(Error::from)?;
        Ok(StepOutcome::Done(()))
    }

    /// Starts the server whether it has stopped or not; the health check reports its state.
    async fn undo(cx: &StepContext<StopInstance>) -> Result<(), Failure> {
        cx.services.platform().start_server(cx.input.instance).await.map_err(Error::from)?;
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.instance set status = 'running', health = 'unknown', health_detail = null,
                 health_code = null, health_subject = null where id = $1",
            cx.input.instance.0
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Records that the instance is stopped.
pub(crate) struct UpdateInstanceStatus;

impl Step for UpdateInstanceStatus {
    const NAME: &'static str = "UpdateInstanceStatus";
    type Workflow = StopInstance;
    type Output = ();

    async fn run(cx: &StepContext<StopInstance>) -> Result<StepOutcome<()>, Failure> {
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.instance set status = 'stopped', health = 'unknown', health_detail = null,
                 health_code = null, health_subject = null, health_at = clock_timestamp() where id = $1",
            cx.input.instance.0
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(StepOutcome::Done(()))
    }
}
