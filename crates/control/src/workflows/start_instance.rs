//! The workflow that starts a managed instance and connects to it as a client would. Its undo stops the instance.

use std::time::Duration;

use model::{InstanceId, WorkflowName};
use serde::{Deserialize, Serialize};
use workflow::{Failure, Lock, Retry, Step, StepContext, StepOutcome, Steps, Workflow};

use super::instance_steps::{ForInstance, TestConnection, UpdateInstanceStatus, deploy};
use crate::error::Error;
use crate::locks::instance_key;
use crate::services::Services;

/// Starts a managed instance.
#[derive(Serialize, Deserialize)]
pub struct StartInstance {
    /// The instance, whose status is `starting`.
    pub instance: InstanceId,
    /// The instance was running and did not respond: a failed start does not stop it.
    #[serde(default)]
    pub was_down: bool,
}

impl Workflow for StartInstance {
    const NAME: &'static str = WorkflowName::StartInstance.as_str();
    const VERSION: i32 = 1;
    type Services = Services;

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive(instance_key(self.instance))]
    }

    fn steps() -> Steps<Self> {
        Steps::first::<StartPostgres>().then::<TestConnection<Self>>().then::<UpdateInstanceStatus<Self>>()
    }
}

impl ForInstance for StartInstance {
    fn instance(&self) -> InstanceId {
        self.instance
    }
}

/// Starts the server and waits until it is ready.
pub(crate) struct StartPostgres;

impl Step for StartPostgres {
    const NAME: &'static str = "StartPostgres";
    /// As long as a new server may wait for resources in a cluster.
    const DEADLINE: Duration = Duration::from_secs(3600);
    /// Crash recovery may take minutes.
    const TIMEOUT: Duration = Duration::from_secs(240);
    /// The retries span an API server that is unavailable for minutes, as during an upgrade.
    const RETRY: Retry = Retry::times(6);
    type Workflow = StartInstance;
    type Output = ();

    /// Creates missing parts, and applies the present templates and container images.
    async fn run(cx: &StepContext<StartInstance>) -> Result<StepOutcome<()>, Failure> {
        deploy(cx).await
    }

    async fn undo(cx: &StepContext<StartInstance>) -> Result<(), Failure> {
        if cx.input.was_down {
            let mut tx = cx.fenced().await?;
            sqlx::query!(
                "update toygres.instance set status = 'running', health = 'unknown', health_detail = null,
                     health_code = null, health_subject = null where id = $1",
                cx.input.instance.0
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            return Ok(());
        }
        cx.services.platform().stop_server(cx.input.instance).await.map_err(Error::from)?;
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.instance set status = 'stopped', health = 'unknown', health_detail = null,
                     health_code = null, health_subject = null where id = $1",
            cx.input.instance.0
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}
