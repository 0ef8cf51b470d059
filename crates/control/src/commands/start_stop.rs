//! Starting and stopping a managed instance.

use model::{Actor, Health, Instance, InstanceId, InstanceStatus, Origin, Role, RunId};
use workflow::Workflow;

use crate::audit::entry;
use crate::error::{Error, Result, Started};
use crate::instances::get_here;
use crate::runs::start::{RunLabels, start_run};
use crate::services::Services;
use crate::users::require_role;
use crate::workflows::{StartInstance, StopInstance};

/// What distinguishes starting from stopping.
struct Change {
    verb: &'static str,
    action: &'static str,
    from: InstanceStatus,
    meanwhile: InstanceStatus,
}

const START: Change = Change {
    verb: "Start",
    action: "instance.start",
    from: InstanceStatus::Stopped,
    meanwhile: InstanceStatus::Starting,
};

const STOP: Change = Change {
    verb: "Stop",
    action: "instance.stop",
    from: InstanceStatus::Running,
    meanwhile: InstanceStatus::Stopping,
};

/// Starts a managed instance that is stopped or does not respond.
///
/// # Errors
/// The role does not allow it, the instance runs, or a run uses it.
pub async fn start_instance(services: &Services, actor: &Actor, name: &str) -> Result<Started<InstanceId>> {
    change(services, actor, name, START, |instance| StartInstance {
        instance: instance.id,
        was_down: instance.status == InstanceStatus::Running,
    })
    .await
}

/// Stops a managed instance; its clients are disconnected.
///
/// # Errors
/// The role does not allow it, the instance is not running, or a run uses it.
pub async fn stop_instance(services: &Services, actor: &Actor, name: &str) -> Result<Started<InstanceId>> {
    change(services, actor, name, STOP, |instance| StopInstance { instance: instance.id }).await
}

async fn change<W: Workflow>(
    services: &Services,
    actor: &Actor,
    name: &str,
    change: Change,
    input: impl FnOnce(&Instance) -> W,
) -> Result<Started<InstanceId>> {
    let entry = entry(actor, change.action, name);
    entry
        .perform(services.db(), async {
            require_role(actor, Role::Operator)?;
            let instance = get_here(services, name).await?;
            if instance.origin == Origin::External {
                return Err(Error::Conflict(format!(
                    "Instance {} is external. Start and stop it on its own platform.",
                    instance.name
                )));
            }
            let is = |status| Error::Conflict(format!("Instance {} is {status}.", instance.name));
            // Starting an instance that does not respond repairs it.
            let is_down = instance.status == InstanceStatus::Running && instance.health == Health::Down;
            if instance.status != change.from && !(is_down && change.from == InstanceStatus::Stopped) {
                return Err(is(instance.status));
            }
            let run = RunId::new();
            let mut tx = services.db().begin().await?;
            let labels = RunLabels {
                title: format!("{} {}", change.verb, instance.name),
                started_by: actor.name.clone(),
                instance: Some(instance.id),
                instance_name: Some(instance.name.clone()),
                ..RunLabels::default()
            };
            start_run(services, &mut tx, &input(&instance), run, &labels).await?;
            let changed = sqlx::query!(
                "update toygres.instance set status = $2, run = $3, health = 'unknown', health_detail = null,
                 health_code = null, health_subject = null
             where id = $1 and status = $4",
                instance.id.0,
                change.meanwhile.as_str(),
                run.0,
                instance.status.as_str()
            )
            .execute(&mut *tx)
            .await?;
            if changed.rows_affected() == 0 {
                return Err(is(change.meanwhile));
            }
            entry.succeed(&mut tx, Some(run)).await?;
            tx.commit().await?;
            Ok(Started {
                id: instance.id,
                name: instance.name.clone(),
                status: change.meanwhile.as_str(),
                run_id: run,
            })
        })
        .await
}
