//! Starting the creation of an instance, empty or from an image.

use model::instance::NewInstance;
use model::restore::{CheckSubject, Verdict};
use model::{Actor, ImageId, ImageStatus, ImageType, InstanceId, Name, Role};
use platform::Secret;

use super::reserve_instance::{Reservation, reserve_and_start};
use crate::audit::{Entry, entry};
use crate::error::{Error, Result, Started};
use crate::instances::versions;
use crate::restore_plan::{self, Target};
use crate::secrets::Kind;
use crate::services::Services;
use crate::users::{random_password, require_admin_sudo, require_role};
use crate::volumes;
use crate::workflows::{CreateInstance, RestoreImage};

/// The superuser of new instances.
const SUPERUSER: &str = "postgres";

/// Starts the creation of an instance: empty, or restored from an image if one is given.
///
/// # Errors
/// The role does not allow it, a field is invalid, the restore check fails, or the name is in use.
pub async fn create_instance(
    services: &Services,
    actor: &Actor,
    new: NewInstance,
) -> Result<Started<InstanceId>> {
    create_again(services, actor, new, None).await
}

/// The same; without a password in the request, takes that of the failed instance.
pub(crate) async fn create_again(
    services: &Services,
    actor: &Actor,
    new: NewInstance,
    failed: Option<InstanceId>,
) -> Result<Started<InstanceId>> {
    let action = if new.source_image_id.is_some() { "image.restore" } else { "instance.create" };
    let entry = entry(actor, action, &*new.name);
    let work = async {
        require_role(actor, Role::Operator)?;
        let name = Name::parse(&new.name).map_err(|error| Error::invalid("name", error.to_string()))?;
        let new = NewInstance {
            dns_label: new.dns_label.clone().filter(|label| !label.trim().is_empty()),
            ..new.clone()
        };
        check_dns_label(new.dns_label.as_deref())?;
        // Both open the instance, and with a restore the data of its source, to others than its users. The local platform
        // ignores the DNS label.
        let is_public = new.dns_label.is_some() && services.place().is_kubernetes();
        if is_public || new.trust_loopback == Some(true) {
            require_admin_sudo(actor)?;
        }
        let by = (actor, &entry);
        match new.source_image_id {
            Some(image) => restore(services, by, name, image, &new).await,
            None => fresh(services, by, name, &new, failed).await,
        }
    };
    entry.perform(services.db(), work).await
}

fn check_dns_label(label: Option<&str>) -> Result<()> {
    match label.map(Name::parse) {
        Some(Err(_)) => {
            Err(Error::invalid("dns_label", "A DNS label has only lowercase letters, digits and hyphens."))
        }
        _ => Ok(()),
    }
}

async fn fresh(
    services: &Services,
    by: (&Actor, &Entry<'_>),
    name: Name,
    new: &NewInstance,
    failed: Option<InstanceId>,
) -> Result<Started<InstanceId>> {
    let image_type = new.image_type.unwrap_or(ImageType::Stock);
    let major = choose_version(services, new.major, image_type).await?;
    let volume_bytes = volumes::size(&services.place(), new.volume_bytes, None)?;
    let given = new.password.clone().filter(|password| !password.is_empty());
    if let Some(password) = &given {
        check_password(password)?;
    }
    let kept = match (&given, failed) {
        (None, Some(failed)) => services.keys().read(services.db(), Kind::InstancePassword, failed.0).await?,
        _ => None,
    };
    let password = given.map(Secret::from).or(kept).unwrap_or_else(random_password);
    let reserved = Reservation {
        name: &name,
        image_type,
        major,
        username: SUPERUSER,
        trust_loopback: new.trust_loopback.unwrap_or(false) || image_type == ImageType::PgDurable,
        preload: services.platform().preload(image_type),
        volume_bytes,
        data_bytes: None,
        source_image: None,
        password: Some(password),
    };
    let id = InstanceId::new();
    let title = format!("Create {name}");
    reserve_and_start(services, by, id, reserved, new, &CreateInstance { instance: id }, &title).await
}

/// The requested version, or the newest one, if the platform can create an instance of that type and version.
async fn choose_version(services: &Services, requested: Option<i32>, image_type: ImageType) -> Result<i32> {
    let platform = services.platform();
    let installed = versions(services).await?;
    let newest = installed.first().ok_or_else(|| {
        Error::Conflict(format!("No PostgreSQL version is available. {}", platform.install_hint(None)))
    })?;
    let major = requested.unwrap_or(newest.major);
    let Some(chosen) = installed.iter().find(|installed| installed.major == major) else {
        let available: Vec<String> = installed.iter().map(|installed| installed.major.to_string()).collect();
        let (available, hint) = (available.join(", "), platform.install_hint(Some(major)));
        return Err(Error::invalid(
            "major",
            format!("PostgreSQL {major} is not available. Available versions: {available}. {hint}"),
        ));
    };
    if let Some(reason) = platform.unsupported_reason(image_type, major) {
        return Err(Error::invalid("image_type", reason));
    }
    match platform.preload(image_type).iter().find(|library| !restore_plan::is_offered(chosen, library)) {
        Some(library) => Err(Error::invalid(
            "image_type",
            format!(
                "The extension {library} is not available for PostgreSQL {major}. Install it, or choose standard PostgreSQL."
            ),
        )),
        None => Ok(major),
    }
}

fn check_password(password: &str) -> Result<()> {
    if password.len() > 1000 || password.chars().any(|c| c == '\0' || c == '\n' || c == '\r') {
        return Err(Error::invalid("password", "A password has at most 1,000 bytes and no line breaks."));
    }
    if password.chars().count() < 8 {
        return Err(Error::invalid(
            "password",
            "A password has at least 8 characters. Leave empty to generate one.",
        ));
    }
    Ok(())
}

async fn restore(
    services: &Services,
    by: (&Actor, &Entry<'_>),
    name: Name,
    image: ImageId,
    new: &NewInstance,
) -> Result<Started<InstanceId>> {
    let detail = crate::images::get(services, image).await?;
    if detail.image.status != ImageStatus::Available {
        return Err(Error::Conflict(format!(
            "Image {} is {}. Only an available image can be restored.",
            detail.image.name, detail.image.status
        )));
    }
    let target = Target {
        name: name.as_str(),
        major: new.major,
        volume_bytes: new.volume_bytes,
        dns_label: new.dns_label.as_deref(),
    };
    let installed = versions(services).await?;
    let plan = restore_plan::assess(services, &detail, &installed, target).await?;
    if let Some(check) = plan.checks.iter().find(|check| check.verdict == Verdict::Fail) {
        let sentence =
            format!("{} {}", check.found, check.fix.as_deref().unwrap_or_default()).trim().to_owned();
        return Err(match check.subject {
            CheckSubject::Name => Error::invalid("name", sentence),
            CheckSubject::Volume => Error::invalid("volume_bytes", sentence),
            CheckSubject::Version if new.major.is_some() => Error::invalid("major", sentence),
            _ => Error::Conflict(sentence),
        });
    }
    let source = sqlx::query!("select username, trust_loopback from toygres.image where id = $1", image.0)
        .fetch_one(services.db())
        .await?;
    let preload = detail.manifest.map(|manifest| manifest.source.preload).unwrap_or_default();
    let major = plan
        .major
        .ok_or_else(|| Error::Conflict("The image does not contain the version of its source.".to_owned()))?;
    let reserved = Reservation {
        name: &name,
        image_type: detail.image.image_type,
        major,
        username: &source.username,
        trust_loopback: source.trust_loopback || new.trust_loopback.unwrap_or(false),
        preload: restore_plan::offered(
            &**services.platform(),
            &installed,
            detail.image.image_type,
            major,
            preload,
        ),
        volume_bytes: plan.volume_bytes,
        data_bytes: plan.bytes,
        source_image: Some(image),
        password: None,
    };
    let id = InstanceId::new();
    let title = format!("Restore {} into {name}", detail.image.name);
    reserve_and_start(services, by, id, reserved, new, &RestoreImage { instance: id, image }, &title).await
}
