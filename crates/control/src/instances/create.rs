//! Making an instance: what is asked for is checked, a row is reserved, a run is started. How the run makes it is in
//! `workflows/`.

use model::instance::NewInstance;
use model::{Actor, ImageId, ImageStatus, ImageType, InstanceId, Name, Role};
use platform::Secret;

use super::reserve::{Reserved, reserve_and_start};
use super::versions;
use crate::audit;
use crate::error::{Error, Result, Started};
use crate::restore_plan::{self, Target};
use crate::secrets::Kind;
use crate::services::Services;
use crate::users::{require_role, random_password};
use crate::volumes;
use crate::workflows::{CreateInstance, RestoreImage};

/// The superuser of the instances that Toygres makes.
const SUPERUSER: &str = "postgres";

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
    audit::audited(
        services.db(),
        actor,
        action,
        &subject,
        |started: &Started<_>| Some(started.run_id),
        async {
            require_role(actor, Role::Operator)?;
            let name = Name::parse(&new.name).map_err(|error| Error::invalid("name", error.to_string()))?;
            let new = NewInstance {
                dns_label: new.dns_label.clone().filter(|label| !label.trim().is_empty()),
                ..new
            };
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
    match label.map(Name::parse) {
        Some(Err(_)) => {
            Err(Error::invalid("dns_label", "A DNS label has lowercase letters, digits and hyphens only."))
        }
        _ => Ok(()),
    }
}

async fn fresh(
    services: &Services,
    actor: &Actor,
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
    let password = given.map(Secret::new).or(kept).unwrap_or_else(random_password);
    let reserved = Reserved {
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
    reserve_and_start(services, actor, id, reserved, new, &CreateInstance { instance: id }, &title).await
}

/// The version that was asked for, or the newest, if an instance of that type can be made of it.
async fn choose_version(services: &Services, asked: Option<i32>, image_type: ImageType) -> Result<i32> {
    let platform = services.platform();
    let installed = versions(services).await?;
    let newest = installed.first().ok_or_else(|| {
        Error::Conflict(format!("There is no PostgreSQL here to start. {}", platform.how_to_get(None)))
    })?;
    let major = asked.unwrap_or(newest.major);
    let Some(chosen) = installed.iter().find(|installed| installed.major == major) else {
        let there: Vec<String> = installed.iter().map(|installed| installed.major.to_string()).collect();
        let how = platform.how_to_get(Some(major));
        let there = there.join(", ");
        return Err(Error::invalid(
            "major",
            format!("PostgreSQL {major} is not here; {there} is. Choose that, or: {how}"),
        ));
    };
    if let Some(words) = platform.lacks(image_type, major) {
        return Err(Error::invalid("image_type", words));
    }
    match platform.preload(image_type).iter().find(|library| !restore_plan::is_offered(chosen, library)) {
        Some(library) => Err(Error::invalid(
            "image_type",
            format!(
                "The extension {library} is not here for PostgreSQL {major}. Install it first, or choose stock."
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
    let target = Target {
        name: name.as_str(),
        major: new.major,
        volume_bytes: new.volume_bytes,
        dns_label: new.dns_label.as_deref(),
    };
    let plan = restore_plan::check(services, image, target).await?;
    if let Some(check) = plan.checks.iter().find(|check| check.verdict == model::restore::Verdict::Fail) {
        let sentence =
            format!("{} {}", check.found, check.fix.as_deref().unwrap_or_default()).trim().to_owned();
        return Err(match check.subject.as_str() {
            "name" => Error::invalid("name", sentence),
            "volume" => Error::invalid("volume_bytes", sentence),
            "version" if new.major.is_some() => Error::invalid("major", sentence),
            _ => Error::Conflict(sentence),
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
        preload: restore_plan::offered(services, detail.image.image_type, major, preload).await?,
        volume_bytes: plan.volume_bytes,
        data_bytes: plan.bytes,
        source_image: Some(image),
        password: None,
    };
    let id = InstanceId::new();
    let title = format!("Restore {} into {name}", detail.image.name);
    reserve_and_start(services, actor, id, reserved, new, &RestoreImage { instance: id, image }, &title).await
}
