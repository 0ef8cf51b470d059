//! Starting and stopping a managed instance, by a person's hand. How a run does it is in `workflows/`.

use model::{Actor, Health, Instance, InstanceId, InstanceStatus, Origin, Role, RunId};
use serde_json::json;
use workflow::Workflow;

use super::{get, start_run};
use crate::audit;
use crate::error::{Error, Result, Started};
use crate::services::Services;
use crate::users::require_role;
use crate::workflows::{StartInstance, StopInstance};

/// One of the two ways to turn an instance.
struct Turn {
    verb: &'static str,
    action: &'static str,
    from: InstanceStatus,
    meanwhile: InstanceStatus,
}

const START: Turn = Turn {
    verb: "Start",
    action: "instance.start",
    from: InstanceStatus::Stopped,
    meanwhile: InstanceStatus::Starting,
};

const STOP: Turn = Turn {
    verb: "Stop",
    action: "instance.stop",
    from: InstanceStatus::Running,
    meanwhile: InstanceStatus::Stopping,
};

/// Starts a managed instance that was stopped, or that is down.
///
/// # Errors
/// The caller may not, it runs, or a run uses it.
pub async fn start(services: &Services, actor: &Actor, name: &str) -> Result<Started<InstanceId>> {
    turn(services, actor, name, START, |instance| StartInstance {
        instance: instance.id,
        was_down: instance.status == InstanceStatus::Running,
    })
    .await
}

/// Stops a managed instance; clients are disconnected in good order.
///
/// # Errors
/// The caller may not, it is not running, or a run uses it.
pub async fn stop(services: &Services, actor: &Actor, name: &str) -> Result<Started<InstanceId>> {
    turn(services, actor, name, STOP, |instance| StopInstance { instance: instance.id }).await
}

async fn turn<W: Workflow>(
    services: &Services,
    actor: &Actor,
    name: &str,
    turn: Turn,
    input: impl FnOnce(&Instance) -> W,
) -> Result<Started<InstanceId>> {
    let run_of = |started: &Started<_>| Some(started.run_id);
    audit::audited(services.db(), actor, turn.action, name, run_of, async {
        require_role(actor, Role::Operator)?;
        let instance = get(services, name).await?;
        if instance.origin == Origin::External {
            return Err(Error::Conflict(format!(
                "{} is not Toygres' own: start and stop it where it lives.",
                instance.name
            )));
        }
        let is = |status| Error::Conflict(format!("{} is {status}.", instance.name));
        // One that is down is not there for clients, whatever it should be: starting it mends it.
        let is_down = instance.status == InstanceStatus::Running && instance.health == Health::Down;
        if instance.status != turn.from && !(is_down && turn.from == InstanceStatus::Stopped) {
            return Err(is(instance.status));
        }
        let run = RunId::new();
        let mut tx = services.db().begin().await?;
        let labels = json!({
            "title": format!("{} {}", turn.verb, instance.name), "started_by": actor.name,
            "instance": instance.id, "instance_name": instance.name,
        });
        start_run(services, &mut tx, &input(&instance), run, labels).await?;
        let turned = sqlx::query!(
            "update toygres.instance set status = $2, run = $3, health = 'unknown', health_detail = null
             where id = $1 and status = $4",
            instance.id.0,
            turn.meanwhile.as_str(),
            run.0,
            instance.status.as_str()
        )
        .execute(&mut *tx)
        .await?;
        if turned.rows_affected() == 0 {
            return Err(is(turn.meanwhile));
        }
        tx.commit().await?;
        Ok(Started {
            id: instance.id,
            name: instance.name.clone(),
            status: turn.meanwhile.as_str(),
            run_id: run,
        })
    })
    .await
}
