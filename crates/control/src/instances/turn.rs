//! Starting and stopping a managed instance, by a person's hand.

use model::{Actor, Instance, InstanceStatus, Origin, Role};

use super::{by_id, get, instance_key};
use crate::audit;
use crate::error::{Error, Result};
use crate::services::Services;
use crate::users::need;

/// Starts a managed instance that was stopped.
///
/// # Errors
/// The caller may not, it is not stopped, or it does not start.
pub async fn start(services: &Services, actor: &Actor, name: &str) -> Result<Instance> {
    turn(services, actor, name, true).await
}

/// Stops a managed instance; clients are disconnected in good order.
///
/// # Errors
/// The caller may not, it is not running, or a run uses it.
pub async fn stop(services: &Services, actor: &Actor, name: &str) -> Result<Instance> {
    turn(services, actor, name, false).await
}

async fn turn(services: &Services, actor: &Actor, name: &str, up: bool) -> Result<Instance> {
    let action = if up { "instance.start" } else { "instance.stop" };
    audit::witnessed(services.db(), actor, action, name, |_| None, async {
        need(actor, Role::Operator)?;
        let instance = get(services, name).await?;
        let wanted = if up { InstanceStatus::Stopped } else { InstanceStatus::Running };
        if instance.origin == Origin::External {
            return Err(Error::Conflict(format!("{} is not Toygres' own: start and stop it where it lives.", instance.name)));
        }
        if instance.status == if up { InstanceStatus::Running } else { InstanceStatus::Stopped } {
            return Ok(instance);
        }
        if instance.status != wanted {
            return Err(Error::Conflict(format!("{} is {}.", instance.name, instance.status)));
        }
        // Nobody may take the instance for a run between the look and the change.
        let mut tx = services.db().begin().await?;
        sqlx::query!("select id from toygres.instance where id = $1 for update", instance.id.0).fetch_one(&mut *tx).await?;
        let key = instance_key(instance.id);
        let user = sqlx::query_scalar!(
            r#"select r.labels ->> 'title' as "title" from toygres.run_lock l join toygres.run r on r.id = l.run_id
               where l.key = $1 limit 1"#,
            key
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(title) = user {
            let title = title.unwrap_or_else(|| "a run".to_owned());
            return Err(Error::Conflict(format!("{} is in use by a run: {title}. Wait for it, or cancel it.", instance.name)));
        }
        let platform = services.platform();
        if up {
            platform.start_server(instance.id).await?;
        } else {
            platform.stop_server(instance.id).await?;
        }
        sqlx::query!(
            "update toygres.instance set status = $2, health = $3, health_detail = null, health_at = clock_timestamp() where id = $1",
            instance.id.0,
            if up { "running" } else { "stopped" },
            if up { "ok" } else { "unknown" }
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        by_id(services.db(), instance.id).await
    })
    .await
}
