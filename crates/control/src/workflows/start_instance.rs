//! Starts a managed instance that was stopped, or that is down, and connects to it as a client would. Its undo stops it again.

use std::time::Duration;

use model::InstanceId;
use serde::{Deserialize, Serialize};
use workflow::{StepContext, Failure, Lock, StepOutcome, Retry, Step, Steps, Workflow};

use super::instance_steps::{MakesInstance, TestConnection, UpdateInstanceStatus, deploy};
use crate::instances::instance_key;
use crate::jobs::of_platform;
use crate::services::Services;

/// Starts a managed instance that was stopped.
#[derive(Serialize, Deserialize)]
pub struct StartInstance {
    /// The instance, whose row says that it is starting.
    pub instance: InstanceId,
    /// It should have been running already: whatever becomes of this, it is not stopped.
    #[serde(default)]
    pub was_down: bool,
}

impl Workflow for StartInstance {
    const NAME: &'static str = "start-instance";
    const VERSION: i32 = 1;
    type Services = Services;

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive(instance_key(self.instance))]
    }

    fn steps() -> Steps<Self> {
        Steps::first::<StartPostgres>().then::<TestConnection<Self>>().then::<UpdateInstanceStatus<Self>>()
    }
}

impl MakesInstance for StartInstance {
    fn instance(&self) -> InstanceId {
        self.instance
    }
}

/// Starts the server and waits until it is ready.
pub(crate) struct StartPostgres;

impl Step for StartPostgres {
    const NAME: &'static str = "StartPostgres";
    /// As long as a new one may wait for room in a cluster.
    const DEADLINE: Duration = Duration::from_secs(3600);
    /// One that crashed may have much to recover.
    const TIMEOUT: Duration = Duration::from_secs(240);
    /// A cluster whose API is away for minutes, as when it is upgraded, is waited for.
    const RETRY: Retry = Retry::times(6);
    type Workflow = StartInstance;
    type Output = ();

    /// All its parts are made anew where they are missing, and take what templates and images have become since.
    async fn run(cx: &StepContext<StartInstance>) -> Result<StepOutcome<()>, Failure> {
        deploy(cx).await
    }

    async fn undo(cx: &StepContext<StartInstance>) -> Result<(), Failure> {
        if cx.input.was_down {
            let mut tx = cx.fenced().await?;
            sqlx::query!(
                "update toygres.instance set status = 'running', health = 'unknown', health_detail = null where id = $1",
                cx.input.instance.0
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            return Ok(());
        }
        cx.services.platform().stop_server(cx.input.instance).await.map_err(of_platform)?;
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.instance set status = 'stopped', health = 'unknown', health_detail = null where id = $1",
            cx.input.instance.0
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}
