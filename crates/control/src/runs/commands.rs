//! What a person may do to a run: cancel it, try again, take an undo as done.

use model::{Actor, Role, RunId, RunState};
use workflow::CommandError;

use super::{RunColumns, unknown};
use crate::audit;
use crate::error::{Error, Result};
use crate::services::Services;
use crate::users::require_role;

/// Asks a run to turn back.
///
/// # Errors
/// The caller may not, or the run has ended.
pub async fn cancel(services: &Services, actor: &Actor, id: RunId) -> Result<()> {
    audit::audited(services.db(), actor, "run.cancel", &id.to_string(), |()| Some(id), async {
        require_role(actor, Role::Operator)?;
        let cancelled = workflow::cancel(services.db(), workflow::RunId(id.0)).await;
        cancelled.map_err(|error| refused(id, error, "can be cancelled only while it is running"))
    })
    .await
}

/// Tries again: the undo of a stuck run, or what a failed or cancelled run was to do, in a new run. Returns the run.
///
/// # Errors
/// The caller may not, the run goes on, or what it needs is gone.
pub async fn retry(services: &Services, actor: &Actor, id: RunId) -> Result<RunId> {
    audit::audited(services.db(), actor, "run.retry", &id.to_string(), |run| Some(*run), async {
        require_role(actor, Role::Operator)?;
        let row = super::row(services, id).await?;
        match row.state {
            RunState::Stuck => {
                let retried = workflow::retry(services.db(), workflow::RunId(id.0)).await;
                retried.map(|()| id).map_err(|error| refused(id, error, "is not stuck any more"))
            }
            RunState::Failed | RunState::Cancelled => again(services, actor, &row).await,
            _ => Err(Error::Conflict(format!(
                "The run is {}; only what failed can be tried again.",
                row.state
            ))),
        }
    })
    .await
}

/// Starts what a run was to do once more.
async fn again(services: &Services, actor: &Actor, row: &RunColumns) -> Result<RunId> {
    let request = row.labels.get("request").cloned().unwrap_or_default();
    let unreadable = |error: serde_json::Error| Error::Internal(error.into());
    match row.workflow.as_str() {
        "create-image" => {
            let new = serde_json::from_value(request).map_err(unreadable)?;
            Ok(crate::images::create(services, actor, new).await?.run_id)
        }
        "create-instance" | "restore-image" => {
            let new = serde_json::from_value(request).map_err(unreadable)?;
            Ok(crate::instances::create_again(services, actor, new, row.instance).await?.run_id)
        }
        "verify-image" => {
            let image = row.image.ok_or_else(|| Error::Conflict("The run names no image.".to_owned()))?;
            Ok(crate::images::verify(services, actor, image).await?.run_id)
        }
        "test-platform" => Ok(crate::place::test(services, actor, None).await?.run_id),
        turned @ ("start-instance" | "stop-instance") => {
            let id = row.instance.ok_or_else(|| Error::Conflict("The run names no instance.".to_owned()))?;
            let id = id.to_string();
            let started = match turned {
                "start-instance" => crate::instances::start(services, actor, &id).await?,
                _ => crate::instances::stop(services, actor, &id).await?,
            };
            Ok(started.run_id)
        }
        other => Err(Error::Conflict(format!(
            "A run of {other} is not tried again from here; press delete once more."
        ))),
    }
}

/// Takes the undo that a stuck run could not do as done by a person.
///
/// # Errors
/// The caller may not, or the run is not stuck.
pub async fn accept(services: &Services, actor: &Actor, id: RunId) -> Result<()> {
    audit::audited(services.db(), actor, "run.accept", &id.to_string(), |()| Some(id), async {
        require_role(actor, Role::Operator)?;
        let accepted = workflow::accept(services.db(), workflow::RunId(id.0)).await;
        accepted.map_err(|error| refused(id, error, "is not stuck"))
    })
    .await
}

fn refused(id: RunId, error: CommandError, words: &str) -> Error {
    match error {
        CommandError::Unknown(_) => unknown(id),
        CommandError::State(state) => Error::Conflict(format!("The run is {state}; it {words}.")),
        CommandError::Database(error) => error.into(),
    }
}
