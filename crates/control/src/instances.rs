//! Instances: queries. The commands on instances are in `commands/`.

pub(crate) mod access;
mod history;

use model::{
    Failure, Health, ImageId, ImageType, Instance, InstanceId, InstanceStatus, Origin, PlatformId, RunId,
    TlsMode,
};
use platform::Installation;
use sqlx::PgPool;

pub use access::{connection_string, port_forward_command};
pub use history::history;
pub(crate) use history::history_of;

use crate::error::{Error, Result};
use crate::services::Services;

/// A `query_as!` of instances with the given tail; its rows convert into [`Instance`].
macro_rules! instances {
    ($tail:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            InstanceColumns,
            r#"select id as "id!: InstanceId", name as "name!", platform as "platform!: PlatformId",
                   origin as "origin!: Origin", status as "status!: InstanceStatus", image_type as "image_type!: ImageType",
                   version, major, host, port, username as "username!", database as "database!", tls as "tls!: TlsMode",
                   trust_loopback as "trust_loopback!", preload as "preload!", workers as "workers!", volume_bytes, secret_ref,
                   dns_label, source_image as "source_image: ImageId",
                   health as "health!: Health", health_detail, health_code, health_subject, health_at, size_bytes,
                   databases as "databases!", last_image_at, last_proven_at, run as "run: RunId", created_at as "created_at!"
               from toygres.instance_seen "# + $tail
            $(, $value)*
        )
    };
}

/// The columns of the view `instance_seen`.
struct InstanceColumns {
    id: InstanceId,
    name: String,
    platform: PlatformId,
    origin: Origin,
    status: InstanceStatus,
    image_type: ImageType,
    version: Option<String>,
    major: Option<i32>,
    host: Option<String>,
    port: Option<i32>,
    username: String,
    database: String,
    tls: TlsMode,
    trust_loopback: bool,
    preload: Vec<String>,
    workers: Vec<String>,
    volume_bytes: Option<i64>,
    secret_ref: Option<String>,
    dns_label: Option<String>,
    source_image: Option<ImageId>,
    health: Health,
    health_detail: Option<String>,
    health_code: Option<String>,
    health_subject: Option<String>,
    health_at: Option<chrono::DateTime<chrono::Utc>>,
    size_bytes: Option<i64>,
    databases: Vec<String>,
    last_image_at: Option<chrono::DateTime<chrono::Utc>>,
    last_proven_at: Option<chrono::DateTime<chrono::Utc>>,
    run: Option<RunId>,
    created_at: chrono::DateTime<chrono::Utc>,
}

impl From<InstanceColumns> for Instance {
    fn from(row: InstanceColumns) -> Self {
        let code = row.health_code;
        let health_detail = row
            .health_detail
            .map(|detail| Failure::from_columns(code.as_deref(), row.health_subject, detail));
        Self {
            id: row.id,
            name: row.name,
            platform: row.platform,
            origin: row.origin,
            status: row.status,
            image_type: row.image_type,
            version: row.version,
            major: row.major,
            host: row.host,
            port: row.port,
            username: row.username,
            database: row.database,
            tls: row.tls,
            trust_loopback: row.trust_loopback,
            preload: row.preload,
            workers: row.workers,
            volume_bytes: row.volume_bytes,
            secret_ref: row.secret_ref,
            dns_label: row.dns_label,
            source_image: row.source_image,
            health: row.health,
            health_detail,
            health_at: row.health_at,
            size_bytes: row.size_bytes,
            databases: row.databases,
            last_image_at: row.last_image_at,
            last_proven_at: row.last_proven_at,
            run: row.run,
            created_at: row.created_at,
        }
    }
}

/// All instances of all platforms, by name, without failed creations that were repeated later.
///
/// # Errors
/// The state database is unavailable.
pub async fn list(services: &Services) -> Result<Vec<Instance>> {
    let all = instances!(
        "where status <> 'failed' or not exists (select from toygres.instance later
             where later.name = instance_seen.name and later.created_at > instance_seen.created_at)
         order by name, created_at desc"
    );
    Ok(all.fetch_all(services.db()).await?.into_iter().map(Instance::from).collect())
}

/// An instance by its name or its id. If several platforms have instances with this name, that of this platform.
///
/// # Errors
/// The instance does not exist.
pub async fn get(services: &Services, name_or_id: &str) -> Result<Instance> {
    let id: Option<uuid::Uuid> = name_or_id.parse().ok();
    let found = instances!(
        "where id = $1 or name = $2
         order by (id = $1) desc nulls last, (platform = $3) desc, (status = 'failed'), created_at desc limit 1",
        id,
        name_or_id.replace('\0', ""),
        services.platform_id().0
    );
    let shown: String = name_or_id.chars().filter(|c| !c.is_control()).take(80).collect();
    let found = found.fetch_optional(services.db()).await?;
    found.map(Instance::from).ok_or_else(|| Error::NotFound(format!("Instance {shown} does not exist.")))
}

/// An instance of this platform by its name or its id, for a command.
///
/// # Errors
/// The instance does not exist, or belongs to another platform.
pub(crate) async fn get_here(services: &Services, name_or_id: &str) -> Result<Instance> {
    let instance = get(services, name_or_id).await?;
    ensure_here(services, &instance)?;
    Ok(instance)
}

/// Refuses an instance of another platform: its server, its volume and its address are not those that this process reaches.
pub(crate) fn ensure_here(services: &Services, instance: &Instance) -> Result<()> {
    if instance.platform == services.platform_id() {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "Instance {} belongs to another platform. Use the Toygres server of that platform.",
        instance.name
    )))
}

/// An instance by its id.
pub(crate) async fn by_id(db: &PgPool, id: InstanceId) -> Result<Instance> {
    let found = instances!("where id = $1", id.0).fetch_optional(db).await?;
    found.map(Instance::from).ok_or_else(|| Error::NotFound(format!("Instance {id} does not exist.")))
}

/// The PostgreSQL versions that the platform offers, the newest first.
///
/// # Errors
/// The platform is not responding.
pub async fn versions(services: &Services) -> Result<Vec<Installation>> {
    Ok(services.platform().installations().await?)
}
