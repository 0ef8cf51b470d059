//! Showing the password of an instance to an administrator.

use model::Actor;
use platform::ExposeSecret;

use crate::audit::entry;
use crate::error::{Error, Result};
use crate::instances;
use crate::secret_refs::SecretRef;
use crate::secrets::Kind;
use crate::services::Services;
use crate::users::require_admin_sudo;

/// The password of an instance's superuser.
///
/// # Errors
/// The role does not allow it, the password must be confirmed, none is stored, or a Secret holds it; the Secret is named.
pub async fn reveal_password(services: &Services, actor: &Actor, name: &str) -> Result<String> {
    let entry = entry(actor, "instance.password", name);
    entry.perform(services.db(), async {
        require_admin_sudo(actor)?;
        let instance = instances::get(services, name).await?;
        if let Some(reference) = &instance.secret_ref {
            let command = reference.parse::<SecretRef>()?.command();
            return Err(Error::Conflict(format!(
                "Toygres does not store this password. It is in the Secret {reference}. To read it, run: {command}"
            )));
        }
        let password = services.keys().read(services.db(), Kind::InstancePassword, instance.id.0).await?;
        let password = password.ok_or_else(|| Error::NotFound("No password is stored yet.".to_owned()))?;
        Ok(password.expose_secret().to_owned())
    })
    .await
}
