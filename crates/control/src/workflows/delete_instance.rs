//! The workflow that deletes a managed instance with all of its data, or removes an external one from Toygres. Its images are
//! kept.

use model::{FailureCode, InstanceId, Origin, WorkflowName};
use serde::{Deserialize, Serialize};
use workflow::{Failure, Lock, Step, StepContext, StepOutcome, Steps, Workflow};

use crate::error::Error;
use crate::instances;
use crate::locks::instance_key;
use crate::secrets::{Keyring, Kind};
use crate::services::Services;

/// Deletes an instance.
#[derive(Serialize, Deserialize)]
pub struct DeleteInstance {
    /// The instance.
    pub instance: InstanceId,
}

impl Workflow for DeleteInstance {
    const NAME: &'static str = WorkflowName::DeleteInstance.as_str();
    const VERSION: i32 = 1;
    type Services = Services;

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive(instance_key(self.instance))]
    }

    fn steps() -> Steps<Self> {
        Steps::first::<DeletePostgres>().then::<DeletePvc>().then::<DeleteInstanceRecord>()
    }
}

/// Whether the platform may hold parts of the instance. An unavailable state database is an error, not a no.
async fn is_managed(cx: &StepContext<DeleteInstance>) -> Result<bool, Failure> {
    match instances::by_id(cx.services.db(), cx.input.instance).await {
        Ok(instance) => Ok(instance.origin == Origin::Managed),
        Err(Error::NotFound(_)) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Stops the server and deletes it.
pub(crate) struct DeletePostgres;

impl Step for DeletePostgres {
    const NAME: &'static str = "DeletePostgres";
    const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(180);
    type Workflow = DeleteInstance;
    type Output = ();

    async fn run(cx: &StepContext<DeleteInstance>) -> Result<StepOutcome<()>, Failure> {
        if is_managed(cx).await? {
            cx.services.platform().delete_server(cx.input.instance).await.map_err(Error::from)?;
        }
        Ok(StepOutcome::Done(()))
    }

    /// The data may exist or not: the instance is not started, and can be deleted again.
    async fn undo(cx: &StepContext<DeleteInstance>) -> Result<(), Failure> {
        let mut tx = cx.fenced().await?;
        sqlx::query!(
            "update toygres.instance set status = 'failed', health = 'unknown',
                 health_detail = 'the deletion did not complete', health_code = $2, health_subject = null
             where id = $1 and origin = 'managed'",
            cx.input.instance.0,
            FailureCode::DeletionIncomplete.as_str()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Deletes the volume with all data.
pub(crate) struct DeletePvc;

impl Step for DeletePvc {
    const NAME: &'static str = "DeletePvc";
    const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(600);
    type Workflow = DeleteInstance;
    type Output = ();

    async fn run(cx: &StepContext<DeleteInstance>) -> Result<StepOutcome<()>, Failure> {
        if is_managed(cx).await? {
            cx.services.platform().delete_volume(cx.input.instance).await.map_err(Error::from)?;
        }
        Ok(StepOutcome::Done(()))
    }
}

/// Deletes the row and the password.
pub(crate) struct DeleteInstanceRecord;

impl Step for DeleteInstanceRecord {
    const NAME: &'static str = "DeleteInstanceRecord";
    type Workflow = DeleteInstance;
    type Output = ();

    async fn run(cx: &StepContext<DeleteInstance>) -> Result<StepOutcome<()>, Failure> {
        let mut tx = cx.fenced().await?;
        Keyring::delete(&mut tx, Kind::InstancePassword, cx.input.instance.0).await?;
        sqlx::query!("delete from toygres.instance where id = $1", cx.input.instance.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(StepOutcome::Done(()))
    }
}
