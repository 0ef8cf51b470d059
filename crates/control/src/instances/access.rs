//! How to connect to an instance: its address, its password, and the commands for users.

use model::agent::Connection;
use model::{Instance, Origin};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use platform::Secret;

use crate::error::{Error, Result};
use crate::secret_refs::SecretRef;
use crate::secrets::Kind;
use crate::services::Services;

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// How a job connects to an instance.
pub(crate) fn connection(instance: &Instance) -> Connection {
    Connection {
        host: instance.host.clone().unwrap_or_default(),
        port: instance.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(5432),
        username: instance.username.clone(),
        database: instance.database.clone(),
        tls: instance.tls,
    }
}

/// The password of an instance: the sealed one, or the present value of the Secret that holds it.
///
/// # Errors
/// No password is stored, or the Secret cannot be read.
pub(crate) async fn password(services: &Services, instance: &Instance) -> Result<Secret> {
    if let Some(reference) = &instance.secret_ref {
        return reference.parse::<SecretRef>()?.read(&**services.platform()).await;
    }
    let password = services.keys().read(services.db(), Kind::InstancePassword, instance.id.0).await?;
    password.ok_or_else(|| Error::NotFound(format!("No password is stored for instance {}.", instance.name)))
}

/// The connection URI, without the password.
#[must_use]
pub fn connection_string(instance: &Instance) -> String {
    let host = instance.host.as_deref().unwrap_or("127.0.0.1");
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!(
        "postgresql://{}@{host}:{}/{}",
        utf8_percent_encode(&instance.username, RESERVED),
        instance.port.unwrap_or(5432),
        utf8_percent_encode(&instance.database, RESERVED)
    )
}

/// The command that makes a managed instance reachable from outside the cluster, where one is needed.
#[must_use]
pub fn port_forward_command(services: &Services, instance: &Instance) -> Option<String> {
    let ours = instance.origin == Origin::Managed && instance.platform == services.platform_id();
    (ours && instance.host.is_some())
        .then(|| services.platform().port_forward_command(&instance.name))
        .flatten()
}
