//! Instances: looking at them and deleting them; what else one can do with them is a file each. How a run makes one is in
//! `workflows/`.

mod create;
mod external;
mod history;
mod reserve;
mod turn;

use model::restore::RestorePlan;
use model::{
    Actor, Health, ImageId, ImageType, Instance, InstanceId, InstanceStatus, Origin, PlatformId, RunId,
    TlsMode,
};
use platform::Installation;
use serde_json::json;
use sqlx::PgPool;
use workflow::{StartOptions, Workflow};

pub use create::create;
pub(crate) use create::create_again;
pub use external::add_external;
pub use history::history;
pub(crate) use history::history_of;
pub use turn::{start, stop};

use crate::audit;
use crate::error::{Error, Result, Started};
use crate::restore_plan::Target;
use crate::secret_refs::SecretRef;
use crate::secrets::Kind;
use crate::services::Services;
use crate::users::require_admin_sudo;
use crate::workflows::DeleteInstance;

/// A `query_as!` of [`Instance`]s with the given tail.
macro_rules! instances {
    ($tail:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            Instance,
            r#"select id as "id!: InstanceId", name as "name!", platform as "platform!: PlatformId",
                   origin as "origin!: Origin", status as "status!: InstanceStatus", image_type as "image_type!: ImageType",
                   version, major, host, port, username as "username!", database as "database!", tls as "tls!: TlsMode",
                   trust_loopback as "trust_loopback!", preload as "preload!", workers as "workers!", volume_bytes, secret_ref,
                   dns_label, source_image as "source_image: ImageId",
                   health as "health!: Health", health_detail, health_at, size_bytes, databases as "databases!",
                   last_image_at, last_proven_at, run as "run: RunId", created_at as "created_at!"
               from toygres.instance_seen "# + $tail
            $(, $value)*
        )
    };
}

/// All instances of all platforms, by name; without those that could not be made and were made later.
///
/// # Errors
/// The CMS does not answer.
pub async fn list(services: &Services) -> Result<Vec<Instance>> {
    let all = instances!(
        "where status <> 'failed' or not exists (select from toygres.instance later
             where later.name = instance_seen.name and later.created_at > instance_seen.created_at)
         order by name, created_at desc"
    );
    Ok(all.fetch_all(services.db()).await?)
}

/// An instance by its name or its id.
///
/// # Errors
/// There is none.
pub async fn get(services: &Services, name_or_id: &str) -> Result<Instance> {
    let id: Option<uuid::Uuid> = name_or_id.parse().ok();
    let found = instances!(
        "where id = $1 or name = $2 order by (status = 'failed'), created_at desc limit 1",
        id,
        name_or_id.replace('\0', "")
    );
    let shown: String = name_or_id.chars().filter(|c| !c.is_control()).take(80).collect();
    found
        .fetch_optional(services.db())
        .await?
        .ok_or_else(|| Error::NotFound(format!("There is no instance {shown}.")))
}

/// An instance by its id.
pub(crate) async fn by_id(db: &PgPool, id: InstanceId) -> Result<Instance> {
    let found = instances!("where id = $1", id.0).fetch_optional(db).await?;
    found.ok_or_else(|| Error::NotFound("The instance is gone.".to_owned()))
}

/// The PostgreSQL versions that can be started here, the newest first.
///
/// # Errors
/// The platform does not answer.
pub async fn versions(services: &Services) -> Result<Vec<Installation>> {
    Ok(services.platform().installations().await?)
}

/// What a restore of an image into this target would do, and what stands in its way.
///
/// # Errors
/// There is no such image, or a volume of that size cannot be.
pub async fn restore_plan(services: &Services, image: ImageId, target: Target<'_>) -> Result<RestorePlan> {
    crate::restore_plan::check(services, image, target).await
}

/// Starts a run in the platform's pool; a lock that another run has is said in words.
pub(crate) async fn start_run<W: Workflow>(
    services: &Services,
    tx: &mut sqlx::Transaction<'_, sqlx::Postgres>,
    input: &W,
    run: RunId,
    labels: serde_json::Value,
) -> Result<()> {
    let options = StartOptions { id: Some(run.0), pool: services.platform_id().to_string(), labels };
    match workflow::start(tx, input, options).await {
        Ok(_) => Ok(()),
        Err(workflow::StartError::Locked { run: holder, .. }) => {
            let title = sqlx::query_scalar!(
                r#"select labels ->> 'title' as title from toygres.run where id = $1"#,
                holder.0
            )
            .fetch_optional(&mut **tx)
            .await?
            .flatten()
            .unwrap_or_else(|| "another run".to_owned());
            Err(Error::Conflict(format!(
                "It is in use by a run that has not ended: {title}. Wait for it, or cancel it."
            )))
        }
        Err(workflow::StartError::Database(error)) => Err(error.into()),
        Err(error) => Err(Error::Internal(error.into())),
    }
}

/// The key of the lock on an instance.
pub(crate) fn instance_key(id: InstanceId) -> String {
    format!("instance/{id}")
}

/// Starts deleting a managed instance with all its data, or forgetting an external one; its images stay.
///
/// # Errors
/// The caller may not or must give the password again, the name is not typed right, or a run uses the instance.
pub async fn delete(
    services: &Services,
    actor: &Actor,
    name: &str,
    typed: &str,
) -> Result<Started<InstanceId>> {
    audit::audited(
        services.db(),
        actor,
        "instance.delete",
        name,
        |started: &Started<_>| Some(started.run_id),
        async {
            require_admin_sudo(actor)?;
            let instance = get(services, name).await?;
            if typed.trim() != instance.name {
                return Err(Error::invalid(
                    "typed_name",
                    format!("Type the name of the instance, {}.", instance.name),
                ));
            }
            let run = RunId::new();
            let mut tx = services.db().begin().await?;
            let verb = if instance.origin == Origin::Managed { "Delete" } else { "Forget" };
            let labels = json!({
                "title": format!("{verb} {}", instance.name), "started_by": actor.name,
                "instance": instance.id, "instance_name": instance.name,
            });
            start_run(services, &mut tx, &DeleteInstance { instance: instance.id }, run, labels).await?;
            if instance.origin == Origin::Managed {
                sqlx::query!(
                    "update toygres.instance set status = 'deleting', run = $2 where id = $1",
                    instance.id.0,
                    run.0
                )
                .execute(&mut *tx)
                .await?;
            }
            tx.commit().await?;
            Ok(Started {
                id: instance.id,
                name: instance.name,
                status: InstanceStatus::Deleting.as_str(),
                run_id: run,
            })
        },
    )
    .await
}

/// The password of an instance's superuser.
///
/// # Errors
/// The caller may not or must give the password again, none is kept, or it is in a Secret: that one is named.
pub async fn password(services: &Services, actor: &Actor, name: &str) -> Result<String> {
    audit::audited(services.db(), actor, "instance.password", name, |_| None, async {
        require_admin_sudo(actor)?;
        let instance = get(services, name).await?;
        if let Some(reference) = &instance.secret_ref {
            let command = reference.parse::<SecretRef>()?.command();
            return Err(Error::Conflict(format!(
                "Toygres does not keep this password: it is in the Secret {reference}. Who may read that sees it with: {command}"
            )));
        }
        let password = services.keys().read(services.db(), Kind::InstancePassword, instance.id.0).await?;
        let password =
            password.ok_or_else(|| Error::NotFound("No password is kept for it yet.".to_owned()))?;
        Ok(password.reveal().to_owned())
    })
    .await
}

/// How to connect, without the password.
#[must_use]
pub fn connection_string(instance: &Instance) -> String {
    let host = instance.host.as_deref().unwrap_or("127.0.0.1");
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!(
        "postgresql://{}@{host}:{}/{}",
        escaped(&instance.username),
        instance.port.unwrap_or(5432),
        escaped(&instance.database)
    )
}

/// The command by which a person outside of the cluster reaches a managed instance, where that takes one.
#[must_use]
pub fn way_in(services: &Services, instance: &Instance) -> Option<String> {
    let here = instance.origin == Origin::Managed && instance.platform == services.platform_id();
    (here && instance.host.is_some()).then(|| services.platform().way_in(&instance.name)).flatten()
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}
