//! Starting the deletion of an instance.

use model::{Actor, InstanceId, InstanceStatus, Origin, RunId};

use crate::audit::entry;
use crate::error::{Error, Result, Started};
use crate::instances;
use crate::runs::start::{RunLabels, start_run};
use crate::services::Services;
use crate::users::require_admin_sudo;
use crate::workflows::DeleteInstance;

/// Starts the deletion of a managed instance with all of its data, or removes an external one from Toygres. Its images are
/// kept.
///
/// # Errors
/// The role does not allow it, the password must be confirmed, the typed name differs, or a run uses the instance.
pub async fn delete_instance(
    services: &Services,
    actor: &Actor,
    name: &str,
    typed: &str,
) -> Result<Started<InstanceId>> {
    let entry = entry(actor, "instance.delete", name);
    entry
        .perform(services.db(), async {
            require_admin_sudo(actor)?;
            let instance = instances::get_here(services, name).await?;
            if typed.trim() != instance.name {
                return Err(Error::invalid(
                    "confirm",
                    format!("Enter the name of the instance: {}.", instance.name),
                ));
            }
            let run = RunId::new();
            let mut tx = services.db().begin().await?;
            let verb = if instance.origin == Origin::Managed { "Delete" } else { "Remove" };
            let labels = RunLabels {
                title: format!("{verb} {}", instance.name),
                started_by: actor.name.clone(),
                instance: Some(instance.id),
                instance_name: Some(instance.name.clone()),
                ..RunLabels::default()
            };
            start_run(services, &mut tx, &DeleteInstance { instance: instance.id }, run, &labels).await?;
            if instance.origin == Origin::Managed {
                sqlx::query!(
                    "update toygres.instance set status = 'deleting', run = $2 where id = $1",
                    instance.id.0,
                    run.0
                )
                .execute(&mut *tx)
                .await?;
            }
            entry.succeed(&mut tx, Some(run)).await?;
            tx.commit().await?;
            Ok(Started {
                id: instance.id,
                name: instance.name,
                status: InstanceStatus::Deleting.as_str(),
                run_id: run,
            })
        })
        .await
}
