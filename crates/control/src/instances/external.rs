//! Adding a server that exists already: it is connected to once, and what is wrong is said at the field.

use model::agent::{Connection, Outcome};
use model::instance::ExternalInstance;
use model::{Actor, ImageType, Instance, InstanceId, Name, Role, TlsMode};
use platform::Secret;

use super::by_id;
use super::reserve::name_taken;
use crate::audit;
use crate::error::{Error, Result};
use crate::secret_refs::SecretRef;
use crate::secrets::Kind;
use crate::services::Services;
use crate::users::require_role;

/// Adds a server that exists already, after connecting to it.
///
/// # Errors
/// The caller may not, the name is taken, or the server does not let us in; the field is named.
pub async fn add_external(services: &Services, actor: &Actor, new: ExternalInstance) -> Result<Instance> {
    let db = services.db();
    let subject = new.name.clone();
    audit::audited(db, actor, "instance.add", &subject, |_| None, async {
        require_role(actor, Role::Operator)?;
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
        let given = Given::of(&new, actor)?;
        let password = given.read(services).await?;
        let outcome = crate::jobs::probe(services, target.clone(), password.clone())
            .await
            .map_err(|error| field_of(error, &given))?;
        let Outcome::Probe { version, major, bytes, databases, workers, .. } = outcome else {
            return Err(Error::Internal(anyhow::anyhow!("a probe found out something else")));
        };
        let id = InstanceId::new();
        let mut tx = db.begin().await?;
        sqlx::query!(
            "insert into toygres.instance (id, name, platform, origin, status, image_type, version, major, host, port,
                 username, database, tls, health, health_at, size_bytes, databases, workers, secret_ref)
             values ($1, $2, $3, 'external', 'running', $4, $5, $6, $7, $8, $9, $10, $11, 'ok', clock_timestamp(), $12, $13,
                 $14, $15)",
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
            &databases,
            &workers,
            given.reference().map(ToString::to_string)
        )
        .execute(&mut *tx)
        .await
        .map_err(|error| name_taken(error, &name))?;
        if given.reference().is_none() {
            services.keys().keep(&mut tx, Kind::InstancePassword, id.0, &password).await?;
        }
        tx.commit().await?;
        by_id(db, id).await
    })
    .await
}

/// Where the password is.
enum Given {
    /// It was typed; Toygres keeps it.
    Typed(Secret),
    /// It is in a Secret of the cluster and stays there.
    Kept(SecretRef),
}

impl Given {
    fn of(new: &ExternalInstance, actor: &Actor) -> Result<Self> {
        let Some(text) = new.secret_ref.as_deref().filter(|text| !text.trim().is_empty()) else {
            return Ok(Self::Typed(Secret::new(new.password.clone())));
        };
        if !new.password.is_empty() {
            return Err(Error::invalid("secret_ref", "Type a password or name a Secret, not both."));
        }
        // Whoever names a Secret has its value sent to a host of their choice.
        if !actor.is(Role::Admin) {
            return Err(Error::invalid(
                "secret_ref",
                "Only an admin may have Toygres read a Secret. Type the password, or ask an admin.",
            ));
        }
        text.parse().map(Self::Kept)
    }

    async fn read(&self, services: &Services) -> Result<Secret> {
        match self {
            Self::Typed(password) => Ok(password.clone()),
            Self::Kept(reference) => reference.read(&**services.platform()).await,
        }
    }

    fn reference(&self) -> Option<&SecretRef> {
        match self {
            Self::Typed(_) => None,
            Self::Kept(reference) => Some(reference),
        }
    }
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
fn field_of(error: Error, given: &Given) -> Error {
    let Error::Conflict(words) = error else { return error };
    let lower = words.to_lowercase();
    let field = if lower.contains("password") || lower.contains("authentication") {
        if given.reference().is_some() { "secret_ref" } else { "password" }
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
