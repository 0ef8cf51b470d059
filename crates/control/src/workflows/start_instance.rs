//! Starts a managed instance that was stopped, and connects to it as a client would. Its undo stops it again.

use std::time::Duration;

use anyhow::anyhow;
use model::InstanceId;
use platform::ServerState;
use serde::{Deserialize, Serialize};
use workflow::{Cx, Failure, Lock, Progress, Retry, Step, Steps, Workflow};

use super::instance_steps::{MakesInstance, TestConnection, UpdateInstanceStatus, waits_for};
use crate::instances::instance_key;
use crate::jobs::of_platform;
use crate::services::Services;

/// Starts a managed instance that was stopped.
#[derive(Serialize, Deserialize)]
pub struct StartInstance {
    /// The instance, whose row says that it is starting.
    pub instance: InstanceId,
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
    /// A cluster whose API is away for minutes, as when it is upgraded, is waited for.
    const RETRY: Retry = Retry::times(6);
    type Workflow = StartInstance;
    type Output = ();

    async fn run(cx: &Cx<StartInstance>) -> Result<Progress<()>, Failure> {
        let platform = cx.services.platform();
        platform.start_server(cx.input.instance).await.map_err(of_platform)?;
        match platform.observe_server(cx.input.instance).await.map_err(of_platform)? {
            ServerState::Running => Ok(Progress::Done(())),
            ServerState::Starting(words) => {
                waits_for(cx, &words).await?;
                Ok(Progress::Wait(Duration::from_secs(1)))
            }
            ServerState::Failed(words) => Err(Failure::retry(anyhow!("{words}"))),
            // Not seen yet.
            ServerState::Stopped | ServerState::Absent => Ok(Progress::Wait(Duration::from_secs(1))),
        }
    }

    async fn undo(cx: &Cx<StartInstance>) -> Result<(), Failure> {
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
