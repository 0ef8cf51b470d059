//! The check before a restore: what it would do, and what prevents it. It changes nothing.

mod capacity;
mod finding;
mod requirements;

use model::restore::{Check, CheckSubject, RestorePlan, Verdict};
use model::{Actor, ImageDetail, ImageId, ImageStatus, Name, Role};
use platform::{Installation, Platform};

use self::finding::found;
use crate::error::Result;
use crate::images;
use crate::services::Services;
use crate::users::require_role;

pub(crate) use requirements::{is_offered, offered};

/// The requested settings of the new instance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Target<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its major version; the source's, or the nearest newer one, if not given.
    pub major: Option<i32>,
    /// The size of its volume in bytes.
    pub volume_bytes: Option<i64>,
    /// The DNS label to request.
    pub dns_label: Option<&'a str>,
}

/// Checks what a restore of an image into this target would do, and what prevents it.
///
/// # Errors
/// The role does not allow it, the image does not exist, or the requested volume size is invalid.
pub async fn check(
    services: &Services,
    actor: &Actor,
    image: ImageId,
    target: Target<'_>,
) -> Result<RestorePlan> {
    require_role(actor, Role::Operator)?;
    let detail = images::get(services, image).await?;
    let installed = services.platform().installations().await?;
    assess(services, &detail, &installed, target).await
}

/// The same for an image and installations that were read already.
pub(crate) async fn assess(
    services: &Services,
    detail: &ImageDetail,
    installed: &[Installation],
    target: Target<'_>,
) -> Result<RestorePlan> {
    let platform = &**services.platform();
    let place = services.place();
    let image = &detail.image;
    let (version, major) = choose_version(platform, installed, image.major, target.major);
    let mut checks = vec![check_image(image), check_name(services, target.name).await?, version];
    let data = detail.manifest.as_ref().map(|manifest| manifest.source.bytes);
    let volume_bytes = crate::volumes::size(&place, target.volume_bytes, data)?;
    if let Some(manifest) = &detail.manifest {
        checks.extend(requirements::remarks(manifest));
        if let Some(installed) = installed.iter().find(|installed| Some(installed.major) == major) {
            checks.extend(requirements::fixed_clients(installed, services.require_fixed_clients()));
            checks.push(requirements::extensions(platform, manifest, installed));
            checks.extend(requirements::libraries(image.image_type, manifest, installed));
            checks.extend(requirements::image_type(platform, image.image_type, installed.major));
        }
        checks.push(match volume_bytes {
            Some(volume) => capacity::volume(manifest.source.bytes, volume),
            None => capacity::disk(platform, manifest.source.bytes).await?,
        });
    }
    if place.is_kubernetes() {
        checks.extend(target.dns_label.map(capacity::network));
    }
    checks.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    let target = target.name.trim().to_owned();
    let bytes = data.map(capacity::required);
    Ok(RestorePlan { image: image.id, target, major, bytes, volume_bytes, checks })
}

/// The source's major version if it is installed, else the nearest newer one.
fn best(installed: &[Installation], major: i32) -> Option<&Installation> {
    installed.iter().filter(|installed| installed.major >= major).min_by_key(|installed| installed.major)
}

fn check_image(image: &model::Image) -> Check {
    let subject = CheckSubject::Image;
    match (image.status, image.proven_at, image.verified_at) {
        (ImageStatus::Available, Some(_), _) => found(subject, Verdict::Ok, "The image is proven.", None),
        (ImageStatus::Available, None, Some(_)) => {
            found(subject, Verdict::Ok, "Every byte of the image was read back and matched.", None)
        }
        (ImageStatus::Available, None, None) => found(
            subject,
            Verdict::Warn,
            "The image was never verified.",
            Some(
                "The restore reads and checks every byte. To know before, verify the image first.".to_owned(),
            ),
        ),
        (status, ..) => found(
            subject,
            Verdict::Fail,
            format!("The image is {status}."),
            Some("Choose an available image.".to_owned()),
        ),
    }
}

async fn check_name(services: &Services, target: &str) -> Result<Check> {
    let subject = CheckSubject::Name;
    let name = match Name::parse(target) {
        Ok(name) => name,
        Err(error) => return Ok(found(subject, Verdict::Fail, error.to_string(), None)),
    };
    let taken = sqlx::query_scalar!(
        r#"select exists (select from toygres.instance where platform = $1 and name = $2 and status <> 'failed') as "taken!""#,
        services.platform_id().0,
        name.as_str()
    );
    if taken.fetch_one(services.db()).await? {
        return Ok(found(
            subject,
            Verdict::Fail,
            format!("Instance {name} already exists."),
            Some("Choose another name. A restore never overwrites an instance.".to_owned()),
        ));
    }
    Ok(found(subject, Verdict::Ok, format!("The name {name} is free."), None))
}

/// The check of the version, and the version that the instance gets.
fn choose_version(
    platform: &dyn Platform,
    installed: &[Installation],
    source: Option<i32>,
    chosen: Option<i32>,
) -> (Check, Option<i32>) {
    let subject = CheckSubject::Version;
    let Some(source) = source else {
        let reason = "The image does not contain the version of its source.";
        return (found(subject, Verdict::Fail, reason, None), None);
    };
    let available = match chosen {
        Some(chosen) if chosen < source => {
            let reason =
                format!("An image of PostgreSQL {source} cannot be restored into PostgreSQL {chosen}.");
            let fix = format!("Choose PostgreSQL {source} or a newer version.");
            return (found(subject, Verdict::Fail, reason, Some(fix)), None);
        }
        Some(chosen) => installed.iter().find(|installed| installed.major == chosen),
        None => best(installed, source),
    };
    let check = match available {
        Some(version) if version.major == source => found(
            subject,
            Verdict::Ok,
            format!("PostgreSQL {} is available (same major version as the source).", version.version),
            None,
        ),
        Some(version) => found(
            subject,
            Verdict::Warn,
            format!(
                "The source is PostgreSQL {source}. The instance will be PostgreSQL {}.",
                version.version
            ),
            chosen.is_none().then(|| {
                format!(
                    "To keep the source's version, make it available. {}",
                    platform.install_hint(Some(source))
                )
            }),
        ),
        None => {
            let reason = match chosen {
                Some(chosen) => format!("PostgreSQL {chosen} is not available."),
                None => format!("Neither PostgreSQL {source} nor a newer version is available."),
            };
            found(subject, Verdict::Fail, reason, Some(platform.install_hint(chosen.or(Some(source)))))
        }
    };
    (check, available.map(|version| version.major))
}
