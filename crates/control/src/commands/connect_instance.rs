//! Connecting an existing server: Toygres probes it once and reports a failure at the field of the form that it is about.

use model::agent::{Connection, Outcome};
use model::instance::ExternalInstance;
use model::{Actor, FailureCode, ImageType, Instance, InstanceId, Name, Origin, Role, TlsMode};
use platform::Secret;

use super::reserve_instance::name_in_use;
use crate::audit::entry;
use crate::error::{Error, Result};
use crate::instances::by_id;
use crate::secret_refs::SecretRef;
use crate::secrets::Kind;
use crate::services::Services;
use crate::users::{require_admin_sudo, require_role};

/// Adds an existing server after a successful connection.
///
/// # Errors
/// The role does not allow it, a field is invalid, or the connection fails; the field is named.
pub async fn connect_instance(services: &Services, actor: &Actor, new: ExternalInstance) -> Result<Instance> {
    let db = services.db();
    let subject = new.name.clone();
    let entry = entry(actor, "instance.add", &*subject);
    entry.perform(db, async {
        require_role(actor, Role::Operator)?;
        let name = Name::parse(&new.name).map_err(|error| Error::invalid("name", error.to_string()))?;
        let target = external_target(&new)?;
        let taken = sqlx::query_scalar!(
            r#"select exists (select from toygres.instance where platform = $1 and name = $2 and status <> 'failed') as "taken!""#,
            services.platform_id().0,
            name.as_str()
        );
        if taken.fetch_one(db).await? {
            return Err(Error::invalid("name", format!("Instance {name} already exists. Enter another name.")));
        }
        let given = PasswordSource::of(&new, actor)?;
        let checked = services.network().check(&target.host, target.port).await;
        checked.map_err(|failure| field_of(failure.into(), &given))?;
        let password = given.read(services).await?;
        let outcome = crate::jobs::probe(services, target.clone(), Origin::External, password.clone())
            .await
            .map_err(|error| field_of(error, &given))?;
        let Outcome::Probe { version, major, bytes, databases, workers, .. } = outcome else {
            return Err(Error::Internal(anyhow::anyhow!("a probe returned the outcome of another job")));
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
        .map_err(|error| name_in_use(error, &name))?;
        if given.reference().is_none() {
            services.keys().save(&mut tx, Kind::InstancePassword, id.0, &password).await?;
        }
        entry.succeed(&mut tx, None).await?;
        tx.commit().await?;
        by_id(db, id).await
    })
    .await
}

/// Where the password comes from.
enum PasswordSource {
    /// The form; Toygres stores it sealed.
    Typed(Secret),
    /// A Secret of the cluster, read at each use.
    Referenced(SecretRef),
}

impl PasswordSource {
    fn of(new: &ExternalInstance, actor: &Actor) -> Result<Self> {
        let Some(text) = new.secret_ref.as_deref().filter(|text| !text.trim().is_empty()) else {
            return Ok(Self::Typed(Secret::from(new.password.clone())));
        };
        if !new.password.is_empty() {
            return Err(Error::invalid("secret_ref", "Enter a password or a Secret, not both."));
        }
        // The value of a named Secret is sent to a host that the caller chooses.
        if !actor.is(Role::Admin) {
            return Err(Error::invalid(
                "secret_ref",
                "Only an admin may have Toygres read a Secret. Type the password, or ask an admin.",
            ));
        }
        require_admin_sudo(actor)?;
        text.parse().map(Self::Referenced)
    }

    async fn read(&self, services: &Services) -> Result<Secret> {
        match self {
            Self::Typed(password) => Ok(password.clone()),
            Self::Referenced(reference) => reference.read(&**services.platform()).await,
        }
    }

    fn reference(&self) -> Option<&SecretRef> {
        match self {
            Self::Typed(_) => None,
            Self::Referenced(reference) => Some(reference),
        }
    }
}

fn external_target(new: &ExternalInstance) -> Result<Connection> {
    let plain = |text: &str, longest: usize| {
        !text.is_empty() && text.len() <= longest && !text.chars().any(char::is_control)
    };
    let host = new.host.trim();
    // The brackets of an IPv6 address in a URL are not part of it.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let of_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if !plain(host, 253) || !host.chars().all(of_host) || host.starts_with('-') {
        return Err(Error::invalid(
            "host",
            "Enter a host name or an IP address, such as db.example.com or 192.0.2.10, without scheme, path and port.",
        ));
    }
    if new.port == 0 {
        return Err(Error::invalid("port", "A port is a number from 1 to 65535."));
    }
    let username = new.username.trim();
    if !plain(username, 63) {
        return Err(Error::invalid("username", "Enter a user name of at most 63 bytes."));
    }
    let database = if new.database.trim().is_empty() { "postgres" } else { new.database.trim() };
    if !plain(database, 63) {
        return Err(Error::invalid("database", "The name of a database has at most 63 bytes."));
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

/// Assigns a probe's failure to the field of the form that it is about.
fn field_of(error: Error, given: &PasswordSource) -> Error {
    let Error::Failed(failure) = error else { return error };
    let field = match failure.code {
        FailureCode::PasswordRejected | FailureCode::PasswordMissing => match given {
            PasswordSource::Typed(_) => "password",
            PasswordSource::Referenced(_) => "secret_ref",
        },
        FailureCode::SecretUnreadable => "secret_ref",
        FailureCode::DatabaseMissing => "database",
        FailureCode::TlsUnsupported | FailureCode::CertificateUntrusted | FailureCode::CertificateInvalid => {
            "tls"
        }
        FailureCode::ConnectionNotAdmitted | FailureCode::PermissionDenied => "username",
        FailureCode::ConnectionRefused | FailureCode::NotPostgres => "port",
        _ => "host",
    };
    Error::at_field(field, &failure)
}

#[cfg(test)]
mod tests {
    use model::Failure;

    use super::*;

    #[test]
    fn failure_is_reported_at_its_field() {
        let typed = PasswordSource::Typed(Secret::from("x".to_owned()));
        let cases = [
            (FailureCode::PasswordRejected, "password"),
            (FailureCode::DatabaseMissing, "database"),
            (FailureCode::CertificateUntrusted, "tls"),
            (FailureCode::ConnectionRefused, "port"),
            (FailureCode::HostNotResolved, "host"),
            (FailureCode::AddressNotAllowed, "host"),
            (FailureCode::LockTimeout, "host"),
        ];
        for (code, expected) in cases {
            // The text names every field and decides nothing.
            let failure = Failure::new(code, "password database tls role port user support");
            let Error::Invalid { field, .. } = field_of(Error::Failed(failure), &typed) else {
                panic!("{code} is not reported at a field");
            };
            assert_eq!(field, expected, "{code}");
        }
    }
}
