//! Cancelling a run, retrying it, and accepting an undo that a person completed.

use model::{Actor, Role, RunId, RunState, WorkflowName};
use serde::de::DeserializeOwned;
use workflow::CommandError;

use super::{back_up, start_instance, stop_instance, test_platform, verify_image};
use crate::audit::entry;
use crate::commands::create_instance::create_again;
use crate::error::{Error, Result};
use crate::runs::{RunColumns, row, unknown};
use crate::services::Services;
use crate::users::{require_admin_sudo, require_role};

/// Cancels a running run: it rolls back. A deletion that has begun leaves an object without its data, so only an admin may
/// cancel one.
///
/// # Errors
/// The role does not allow it, or the run has ended or rolls back already.
pub async fn cancel_run(services: &Services, actor: &Actor, id: RunId) -> Result<()> {
    let entry = entry(actor, "run.cancel", id.to_string());
    let work = async {
        require_role(actor, Role::Operator)?;
        let workflow = WorkflowName::of(&row(services, id).await?.workflow);
        if matches!(workflow, WorkflowName::DeleteImage | WorkflowName::DeleteInstance) {
            require_role(actor, Role::Admin)?;
        }
        let mut tx = services.db().begin().await?;
        let cancelled = workflow::cancel_in(&mut tx, workflow::RunId(id.0)).await;
        cancelled.map_err(|error| refused(id, error, "Only a running run can be cancelled."))?;
        entry.succeed(&mut tx, Some(id)).await?;
        Ok(tx.commit().await?)
    };
    entry.perform(services.db(), work).await
}

/// Retries the rollback of a stuck run, or repeats a failed or cancelled run as a new one. Returns the run.
///
/// # Errors
/// The role does not allow it, the run has not ended, or an object that it needs was deleted.
pub async fn retry_run(services: &Services, actor: &Actor, id: RunId) -> Result<RunId> {
    let entry = entry(actor, "run.retry", id.to_string());
    let work = async {
        require_role(actor, Role::Operator)?;
        let row = row(services, id).await?;
        match row.state {
            RunState::Stuck => {
                let mut tx = services.db().begin().await?;
                let retried = workflow::retry_in(&mut tx, workflow::RunId(id.0)).await;
                retried.map_err(|error| refused(id, error, "Only a stuck rollback can be retried."))?;
                entry.succeed(&mut tx, Some(id)).await?;
                tx.commit().await?;
                Ok(id)
            }
            // The command of the new run records what it changes.
            RunState::Failed | RunState::Cancelled => repeat(services, actor, &row).await,
            state => Err(Error::Conflict(format!(
                "The run is {state}. Only a failed, cancelled or stuck run can be retried."
            ))),
        }
    };
    entry.perform(services.db(), work).await
}

/// Starts the operation of an ended run again, as a new run.
async fn repeat(services: &Services, actor: &Actor, row: &RunColumns) -> Result<RunId> {
    let no_instance = || Error::Conflict("The run names no instance.".to_owned());
    match WorkflowName::of(&row.workflow) {
        WorkflowName::CreateImage => Ok(back_up(services, actor, request(row)?).await?.run_id),
        WorkflowName::CreateInstance | WorkflowName::RestoreImage => {
            Ok(create_again(services, actor, request(row)?, row.instance).await?.run_id)
        }
        WorkflowName::VerifyImage => {
            let image = row.image.ok_or_else(|| Error::Conflict("The run names no image.".to_owned()))?;
            Ok(verify_image(services, actor, image).await?.run_id)
        }
        WorkflowName::TestPlatform => Ok(test_platform(services, actor, None).await?.run_id),
        WorkflowName::StartInstance => {
            let instance = row.instance.ok_or_else(no_instance)?.to_string();
            Ok(start_instance(services, actor, &instance).await?.run_id)
        }
        WorkflowName::StopInstance => {
            let instance = row.instance.ok_or_else(no_instance)?.to_string();
            Ok(stop_instance(services, actor, &instance).await?.run_id)
        }
        WorkflowName::DeleteImage | WorkflowName::DeleteInstance | WorkflowName::Unknown => {
            Err(Error::Conflict("This run cannot be repeated here. Start the operation again.".to_owned()))
        }
    }
}

/// The request that the run was started with.
fn request<T: DeserializeOwned>(row: &RunColumns) -> Result<T> {
    let request = row.labels.get("request").cloned().unwrap_or_default();
    Ok(serde_json::from_value(request)?)
}

/// Marks the failed undo of a stuck run as done by a person; the steps before it are rolled back. The locks are released
/// even if something was left behind, so this requires sudo mode and the name of what the run is about.
///
/// # Errors
/// The role does not allow it, the password must be confirmed, the typed name differs, or the run is not stuck.
pub async fn accept_run(services: &Services, actor: &Actor, id: RunId, typed: &str) -> Result<()> {
    let entry = entry(actor, "run.accept", id.to_string());
    let work = async {
        require_admin_sudo(actor)?;
        let run = crate::runs::get(services, id).await?.run;
        let name = run.name_to_confirm();
        if typed.trim() != name {
            return Err(Error::invalid("confirm", format!("To confirm, enter: {name}.")));
        }
        let mut tx = services.db().begin().await?;
        let accepted = workflow::accept_in(&mut tx, workflow::RunId(id.0)).await;
        accepted.map_err(|error| {
            refused(id, error, "Only the failed step of a stuck run can be marked as undone.")
        })?;
        entry.succeed(&mut tx, Some(id)).await?;
        Ok(tx.commit().await?)
    };
    entry.perform(services.db(), work).await
}

fn refused(id: RunId, error: CommandError, rule: &str) -> Error {
    match error {
        CommandError::Unknown(_) => unknown(id),
        CommandError::State(state) => Error::Conflict(format!("The run is {state}. {rule}")),
        CommandError::Database(error) => error.into(),
    }
}
