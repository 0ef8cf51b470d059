//! Stops a managed instance. Its undo lets it run again.

use std::time::Duration;

use model::InstanceId;
use serde::{Deserialize, Serialize};
use workflow::{StepContext, Failure, Lock, StepOutcome, Step, Steps, Workflow};

use crate::instances::instance_key;
use crate::jobs::of_platform;
use crate::services::Services;

/// Stops a managed instance.
#[derive(Serialize, Deserialize)]
pub struct StopInstance {
    /// The instance, whose row says that it is stopping.
    pub instance: InstanceId,
}

impl Workflow for StopInstance {
    const NAME: &'static str = "stop-instance";
    const VERSION: i32 = 1;
    type Services = Services;

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive(instance_key(self.instance))]
    }

    fn steps() -> Steps<Self> {
        Steps::first::<StopPostgres>().then::<UpdateInstanceStatus>()
    }
}

/// Has the server end, clients disconnected in good order.
pub(crate) struct StopPostgres;

impl Step for StopPostgres {
    const NAME: &'static str = "StopPostgres";
    /// A pod may take its whole grace, and a little.
    const TIMEOUT: Duration = Duration::from_secs(300);
    type Workflow = StopInstance;
    type Output = ();

    async fn run(cx: &StepContext<StopInstance>) -> Result<StepOutcome<()>, Failure> {
        cx.services.platform().stop_server(cx.input.instance).await.map_err(of_platform)?;
        Ok(StepOutcome::Done(()))
    }

    /// It is to run, whether it has ended by now or not; whoever looks after instances says how it is.
    async fn undo(cx: &StepContext<StopInstance>) -> Result<(), Failure> {
        cx.services.platform().start_server(cx.input.instance).await.map_err(of_platform)?;
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.instance set status = 'running', health = 'unknown', health_detail = null where id = $1",
            cx.input.instance.0
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Writes down that nobody can connect until somebody starts it.
pub(crate) struct UpdateInstanceStatus;

impl Step for UpdateInstanceStatus {
    const NAME: &'static str = "UpdateInstanceStatus";
    type Workflow = StopInstance;
    type Output = ();

    async fn run(cx: &StepContext<StopInstance>) -> Result<StepOutcome<()>, Failure> {
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.instance set status = 'stopped', health = 'unknown', health_detail = null,
                 health_at = clock_timestamp() where id = $1",
            cx.input.instance.0
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(StepOutcome::Done(()))
    }
}
