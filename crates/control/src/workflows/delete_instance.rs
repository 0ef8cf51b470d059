//! Deletes a managed instance with all its data, or forgets an external one. Images of it stay.

use model::{InstanceId, Origin};
use serde::{Deserialize, Serialize};
use workflow::{StepContext, Failure, Lock, StepOutcome, Step, Steps, Workflow};

use crate::error::Error;
use crate::instances::{self, instance_key};
use crate::jobs::of_platform;
use crate::secrets::{Keyring, Kind};
use crate::services::Services;

/// Deletes an instance.
#[derive(Serialize, Deserialize)]
pub struct DeleteInstance {
    /// The instance.
    pub instance: InstanceId,
}

impl Workflow for DeleteInstance {
    const NAME: &'static str = "delete-instance";
    const VERSION: i32 = 1;
    type Services = Services;

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive(instance_key(self.instance))]
    }

    fn steps() -> Steps<Self> {
        Steps::first::<DeletePostgres>().then::<DeletePvc>().then::<DeleteInstanceRecord>()
    }
}

/// Whether there may be anything on the platform that is Toygres' own. A CMS that does not answer does not say no.
async fn is_managed(cx: &StepContext<DeleteInstance>) -> Result<bool, Failure> {
    match instances::by_id(cx.services.db(), cx.input.instance).await {
        Ok(instance) => Ok(instance.origin == Origin::Managed),
        Err(Error::NotFound(_)) => Ok(true),
        Err(error) => Err(Failure::retry(anyhow::anyhow!("{error}"))),
    }
}

/// Stops the server and takes it away.
pub(crate) struct DeletePostgres;

impl Step for DeletePostgres {
    const NAME: &'static str = "DeletePostgres";
    const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(180);
    type Workflow = DeleteInstance;
    type Output = ();

    async fn run(cx: &StepContext<DeleteInstance>) -> Result<StepOutcome<()>, Failure> {
        if is_managed(cx).await? {
            cx.services.platform().delete_server(cx.input.instance).await.map_err(of_platform)?;
        }
        Ok(StepOutcome::Done(()))
    }

    /// The data may be there or not: the instance can be deleted again, and is not started.
    async fn undo(cx: &StepContext<DeleteInstance>) -> Result<(), Failure> {
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.instance set status = 'failed', health = 'unknown',
                 health_detail = 'It could not be deleted whole. Delete it again.' where id = $1 and origin = 'managed'",
            cx.input.instance.0
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Takes the volume away, with all data.
pub(crate) struct DeletePvc;

impl Step for DeletePvc {
    const NAME: &'static str = "DeletePvc";
    const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(600);
    type Workflow = DeleteInstance;
    type Output = ();

    async fn run(cx: &StepContext<DeleteInstance>) -> Result<StepOutcome<()>, Failure> {
        if is_managed(cx).await? {
            cx.services.platform().delete_volume(cx.input.instance).await.map_err(of_platform)?;
        }
        Ok(StepOutcome::Done(()))
    }
}

/// Takes the row away, and the password.
pub(crate) struct DeleteInstanceRecord;

impl Step for DeleteInstanceRecord {
    const NAME: &'static str = "DeleteInstanceRecord";
    type Workflow = DeleteInstance;
    type Output = ();

    async fn run(cx: &StepContext<DeleteInstance>) -> Result<StepOutcome<()>, Failure> {
        let mut tx = cx.fenced().await?;
        Keyring::forget(&mut tx, Kind::InstancePassword, cx.input.instance.0).await?;
        sqlx::query!("delete from toygres.instance where id = $1", cx.input.instance.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(StepOutcome::Done(()))
    }
}
