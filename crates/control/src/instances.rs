//! Instances: looking at them, making, adding, starting, stopping, deleting. How a run makes one is in `workflows/`.

use model::agent::{Connection, Outcome};
use model::image::DayOfImages;
use model::instance::{ExternalInstance, NewInstance};
use model::restore::RestorePlan;
use model::{
    Actor, Health, ImageId, ImageStatus, ImageType, Instance, InstanceId, InstanceStatus, Name, Origin,
    PlatformId, Role, RunId, TlsMode,
};
use platform::{Installation, Secret};
use serde_json::json;
use sqlx::PgPool;
use workflow::{StartOptions, Workflow};

use crate::audit;
use crate::error::{Error, Result, Started};
use crate::secrets::Kind;
use crate::services::Services;
use crate::users::{need, need_admin_in_sudo, random_password};
use crate::workflows::{CreateInstance, DeleteInstance, RestoreImage};

/// The superuser of the instances that Toygres makes.
const SUPERUSER: &str = "postgres";

/// A `query_as!` of [`Instance`]s with the given tail.
macro_rules! instances {
    ($tail:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            Instance,
            r#"select id as "id!: InstanceId", name as "name!", platform as "platform!: PlatformId",
                   origin as "origin!: Origin", status as "status!: InstanceStatus", image_type as "image_type!: ImageType",
                   version, major, host, port, username as "username!", database as "database!", tls as "tls!: TlsMode",
                   trust_loopback as "trust_loopback!", dns_label, source_image as "source_image: ImageId",
                   health as "health!: Health", health_detail, health_at, size_bytes, databases as "databases!",
                   last_image_at, last_proven_at, run as "run: RunId", created_at as "created_at!"
               from toygres.instance_seen "# + $tail
            $(, $value)*
        )
    };
}

/// All instances of all platforms, by name.
///
/// # Errors
/// The CMS does not answer.
pub async fn list(services: &Services) -> Result<Vec<Instance>> {
    Ok(instances!("order by name, created_at desc").fetch_all(services.db()).await?)
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

/// What a restore of an image into an instance of this name would do, and what stands in its way.
///
/// # Errors
/// There is no such image.
pub async fn restore_plan(services: &Services, image: ImageId, target: &str) -> Result<RestorePlan> {
    crate::restore_plan::check(services, image, target).await
}

/// Starts making an instance: a new one, or from an image if one is named.
///
/// # Errors
/// The caller may not, what was asked for cannot be, or the name is taken.
pub async fn create(services: &Services, actor: &Actor, new: NewInstance) -> Result<Started<InstanceId>> {
    create_again(services, actor, new, None).await
}

/// The same, taking the password from an instance that could not be made, where none is given.
pub(crate) async fn create_again(
    services: &Services,
    actor: &Actor,
    new: NewInstance,
    failed: Option<InstanceId>,
) -> Result<Started<InstanceId>> {
    let action = if new.source_image_id.is_some() { "image.restore" } else { "instance.create" };
    let subject = new.name.clone();
    audit::witnessed(
        services.db(),
        actor,
        action,
        &subject,
        |started: &Started<_>| Some(started.run_id),
        async {
            need(actor, Role::Operator)?;
            let name = Name::parse(&new.name).map_err(|error| Error::invalid("name", error.to_string()))?;
            check_dns_label(new.dns_label.as_deref())?;
            match new.source_image_id {
                Some(image) => restore(services, actor, name, image, &new).await,
                None => fresh(services, actor, name, &new, failed).await,
            }
        },
    )
    .await
}

fn check_dns_label(label: Option<&str>) -> Result<()> {
    match label.filter(|label| !label.is_empty()).map(Name::parse) {
        Some(Err(_)) => {
            Err(Error::invalid("dns_label", "A DNS label has lowercase letters, digits and hyphens only."))
        }
        _ => Ok(()),
    }
}

/// What a row is reserved with.
struct Reserved<'a> {
    name: &'a Name,
    image_type: ImageType,
    major: i32,
    username: &'a str,
    trust_loopback: bool,
    preload: Vec<String>,
    source_image: Option<ImageId>,
    password: Option<Secret>,
}

async fn fresh(
    services: &Services,
    actor: &Actor,
    name: Name,
    new: &NewInstance,
    failed: Option<InstanceId>,
) -> Result<Started<InstanceId>> {
    let installed = versions(services).await?;
    let newest = installed.first().ok_or_else(|| Error::Conflict(platform::local::NO_POSTGRES.to_owned()))?;
    let major = new.major.unwrap_or(newest.major);
    if !installed.iter().any(|installed| installed.major == major) {
        let there: Vec<String> = installed.iter().map(|installed| installed.major.to_string()).collect();
        return Err(Error::invalid(
            "major",
            format!(
                "PostgreSQL {major} is not installed here; {} is. Choose that, or install postgresql-{major}.",
                there.join(", ")
            ),
        ));
    }
    let given = new.password.clone().filter(|password| !password.is_empty());
    if let Some(password) = &given {
        check_password(password)?;
    }
    let kept = match (&given, failed) {
        (None, Some(failed)) => services.keys().read(services.db(), Kind::InstancePassword, failed.0).await?,
        _ => None,
    };
    let password = given.map(Secret::new).or(kept).unwrap_or_else(random_password);
    let image_type = new.image_type.unwrap_or(ImageType::Stock);
    let reserved = Reserved {
        name: &name,
        image_type,
        major,
        username: SUPERUSER,
        trust_loopback: new.trust_loopback.unwrap_or(false) || image_type == ImageType::PgDurable,
        preload: if image_type == ImageType::PgDurable { vec!["pg_durable".to_owned()] } else { Vec::new() },
        source_image: None,
        password: Some(password),
    };
    let id = InstanceId::new();
    let title = format!("Create {name}");
    reserve_and_start(services, actor, id, reserved, new, &CreateInstance { instance: id }, &title).await
}

fn check_password(password: &str) -> Result<()> {
    if password.len() > 1000 || password.chars().any(|c| c == '\0' || c == '\n' || c == '\r') {
        return Err(Error::invalid("password", "A password has at most 1,000 bytes and no line breaks."));
    }
    if password.chars().count() < 8 {
        return Err(Error::invalid(
            "password",
            "A password has at least 8 characters. Left empty, one is made up.",
        ));
    }
    Ok(())
}

async fn restore(
    services: &Services,
    actor: &Actor,
    name: Name,
    image: ImageId,
    new: &NewInstance,
) -> Result<Started<InstanceId>> {
    let detail = crate::images::get(services, image).await?;
    if detail.image.status != ImageStatus::Available {
        return Err(Error::Conflict(format!(
            "The image {} is {}; only one that is available can be restored.",
            detail.image.name, detail.image.status
        )));
    }
    let plan = restore_plan(services, image, name.as_str()).await?;
    if let Some(check) = plan.checks.iter().find(|check| check.verdict == model::restore::Verdict::Fail) {
        let sentence =
            format!("{} {}", check.found, check.fix.as_deref().unwrap_or_default()).trim().to_owned();
        return Err(if check.subject == "name" {
            Error::invalid("name", sentence)
        } else {
            Error::Conflict(sentence)
        });
    }
    let source = sqlx::query!("select username, trust_loopback from toygres.image where id = $1", image.0)
        .fetch_one(services.db())
        .await?;
    let preload = detail.manifest.map(|manifest| manifest.source.preload).unwrap_or_default();
    let major = plan.major.ok_or_else(|| Error::Conflict("The image names no version.".to_owned()))?;
    let reserved = Reserved {
        name: &name,
        image_type: detail.image.image_type,
        major,
        username: &source.username,
        trust_loopback: source.trust_loopback || new.trust_loopback.unwrap_or(false),
        preload: crate::restore_plan::offered(services, major, preload).await?,
        source_image: Some(image),
        password: None,
    };
    let id = InstanceId::new();
    let title = format!("Restore {} into {name}", detail.image.name);
    reserve_and_start(services, actor, id, reserved, new, &RestoreImage { instance: id, image }, &title).await
}

/// One transaction: the row, its password, the run.
async fn reserve_and_start<W: Workflow>(
    services: &Services,
    actor: &Actor,
    id: InstanceId,
    reserved: Reserved<'_>,
    new: &NewInstance,
    input: &W,
    title: &str,
) -> Result<Started<InstanceId>> {
    let run = RunId::new();
    let mut tx = services.db().begin().await?;
    sqlx::query!(
        "insert into toygres.instance (id, name, platform, origin, status, image_type, major, username, database, tls,
             trust_loopback, preload, dns_label, source_image, run)
         values ($1, $2, $3, 'managed', 'creating', $4, $5, $6, 'postgres', 'disable', $7, $8, $9, $10, $11)",
        id.0,
        reserved.name.as_str(),
        services.platform_id().0,
        reserved.image_type.as_str(),
        reserved.major,
        reserved.username,
        reserved.trust_loopback,
        &reserved.preload,
        new.dns_label.as_deref().filter(|label| !label.is_empty()),
        reserved.source_image.map(|image| image.0),
        run.0
    )
    .execute(&mut *tx)
    .await
    .map_err(|error| name_taken(error, reserved.name))?;
    if let Some(password) = &reserved.password {
        services.keys().keep(&mut tx, Kind::InstancePassword, id.0, password).await?;
    }
    // What is asked for again is this without its secret.
    let request = NewInstance { password: None, ..new.clone() };
    let labels = json!({
        "title": title, "started_by": actor.name, "instance": id, "instance_name": reserved.name.as_str(),
        "image": reserved.source_image, "request": request,
    });
    start_run(services, &mut tx, input, run, labels).await?;
    tx.commit().await?;
    Ok(Started {
        id,
        name: reserved.name.to_string(),
        status: InstanceStatus::Creating.as_str(),
        run_id: run,
    })
}

fn name_taken(error: sqlx::Error, name: &Name) -> Error {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("instance_name") => {
            Error::invalid("name", format!("There is an instance {name} already. Choose another name."))
        }
        _ => error.into(),
    }
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

/// Adds a server that exists already, after connecting to it.
///
/// # Errors
/// The caller may not, the name is taken, or the server does not let us in; the field is named.
pub async fn add_external(services: &Services, actor: &Actor, new: ExternalInstance) -> Result<Instance> {
    let db = services.db();
    let subject = new.name.clone();
    audit::witnessed(db, actor, "instance.add", &subject, |_| None, async {
        need(actor, Role::Operator)?;
        let name = Name::parse(&new.name).map_err(|error| Error::invalid("name", error.to_string()))?;
        let target = external_target(&new)?;
        let taken = sqlx::query_scalar!(
            r#"select exists (select from toygres.instance where platform = $1 and name = $2 and status <> 'failed') as "taken!""#,
            services.platform_id().0,
            name.as_str()
        );
        if taken.fetch_one(db).await? {
            return Err(Error::invalid("name", format!("There is an instance {name} already. Choose another name.")));
        }
        let password = Secret::new(new.password.clone());
        let outcome = crate::jobs::probe(services, target.clone(), password.clone()).await.map_err(field_of)?;
        let Outcome::Probe { version, major, bytes, databases, .. } = outcome else {
            return Err(Error::Internal(anyhow::anyhow!("a probe found out something else")));
        };
        let id = InstanceId::new();
        let mut tx = db.begin().await?;
        sqlx::query!(
            "insert into toygres.instance (id, name, platform, origin, status, image_type, version, major, host, port,
                 username, database, tls, health, health_at, size_bytes, databases)
             values ($1, $2, $3, 'external', 'running', $4, $5, $6, $7, $8, $9, $10, $11, 'ok', clock_timestamp(), $12, $13)",
            id.0,
            name.as_str(),
            services.platform_id().0,
            new.image_type.unwrap_or(ImageType::Stock).as_str(),
            version,
            major,
            target.host,
            i32::from(target.port),
            target.username,
            target.database,
            target.tls.as_str(),
            bytes,
            &databases
        )
        .execute(&mut *tx)
        .await
        .map_err(|error| name_taken(error, &name))?;
        services.keys().keep(&mut tx, Kind::InstancePassword, id.0, &password).await?;
        tx.commit().await?;
        by_id(db, id).await
    })
    .await
}

fn external_target(new: &ExternalInstance) -> Result<Connection> {
    let plain = |text: &str, longest: usize| {
        !text.is_empty() && text.len() <= longest && !text.chars().any(char::is_control)
    };
    let host = new.host.trim();
    let of_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if !plain(host, 253) || !host.chars().all(of_host) || host.starts_with('-') {
        return Err(Error::invalid(
            "host",
            "A host is a name or an address, such as db.example.com or 192.0.2.10: no URL, no path, no port.",
        ));
    }
    if new.port == 0 {
        return Err(Error::invalid("port", "A port is a number from 1 to 65535."));
    }
    let username = new.username.trim();
    if !plain(username, 63) {
        return Err(Error::invalid("username", "Type the user to connect as, at most 63 bytes."));
    }
    let database = if new.database.trim().is_empty() { "postgres" } else { new.database.trim() };
    if !plain(database, 63) {
        return Err(Error::invalid("database", "A database's name has at most 63 bytes."));
    }
    if new.password.len() > 1000 || new.password.contains('\0') {
        return Err(Error::invalid("password", "A password has at most 1,000 bytes."));
    }
    Ok(Connection {
        host: host.to_owned(),
        port: new.port,
        username: username.to_owned(),
        database: database.to_owned(),
        tls: new.tls.unwrap_or(TlsMode::Prefer),
    })
}

/// Which field of the form a probe's failure is about.
fn field_of(error: Error) -> Error {
    let Error::Conflict(words) = error else { return error };
    let lower = words.to_lowercase();
    let field = if lower.contains("password") || lower.contains("authentication") {
        "password"
    } else if lower.contains("database") && lower.contains("not exist") {
        "database"
    } else if lower.contains("tls") || lower.contains("certificate") {
        "tls"
    } else if lower.contains("role") || lower.contains("user") {
        "username"
    } else if lower.contains("refused") || lower.contains("port") {
        "port"
    } else {
        "host"
    };
    Error::Invalid { field, message: words }
}

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
    audit::witnessed(
        services.db(),
        actor,
        "instance.delete",
        name,
        |started: &Started<_>| Some(started.run_id),
        async {
            need_admin_in_sudo(actor)?;
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
/// The caller may not or must give the password again, or none is kept.
pub async fn password(services: &Services, actor: &Actor, name: &str) -> Result<String> {
    audit::witnessed(services.db(), actor, "instance.password", name, |_| None, async {
        need_admin_in_sudo(actor)?;
        let instance = get(services, name).await?;
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

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

/// Images of an instance by day, the oldest first, days without any among them.
///
/// # Errors
/// The CMS does not answer.
pub async fn history(services: &Services, instance: InstanceId, days: i32) -> Result<Vec<DayOfImages>> {
    Ok(history_of(services.db(), &[instance.0], days).await?.into_iter().map(|(_, day)| day).collect())
}

/// The same for several instances at once.
pub(crate) async fn history_of(
    db: &PgPool,
    instances: &[uuid::Uuid],
    days: i32,
) -> Result<Vec<(InstanceId, DayOfImages)>> {
    let rows = sqlx::query!(
        r#"select o.instance as "instance!: InstanceId", d.day::date as "day!",
               count(i.id) filter (where i.status in ('available', 'corrupt'))::int as "made!",
               count(i.id) filter (where i.status = 'failed')::int as "failed!",
               count(i.id) filter (where i.status = 'available' and i.proven_at is not null)::int as "proven!",
               (array_agg(i.stored_bytes order by i.created_at desc) filter (where i.status = 'available'))[1] as stored_bytes,
               (array_agg(i.duration_ms order by i.created_at desc) filter (where i.status = 'available'))[1] as duration_ms
           from unnest($1::uuid[]) as o (instance)
           cross join generate_series(
               date_trunc('day', clock_timestamp() at time zone 'utc') - make_interval(days => $2 - 1),
               date_trunc('day', clock_timestamp() at time zone 'utc'), interval '1 day') as d (day)
           left join toygres.image i on i.instance = o.instance
               and i.created_at >= d.day at time zone 'utc' and i.created_at < (d.day + interval '1 day') at time zone 'utc'
           group by o.instance, d.day order by o.instance, d.day"#,
        instances,
        days.clamp(1, 90)
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let day = DayOfImages {
                day: row.day,
                made: row.made,
                failed: row.failed,
                proven: row.proven,
                stored_bytes: row.stored_bytes,
                duration_ms: row.duration_ms,
            };
            (row.instance, day)
        })
        .collect())
}
