//! What a restore would do, and what stands in its way: the wizard's check. It changes nothing.

mod needs;
mod space;

use model::restore::{Check, RestorePlan, Verdict};
use model::{ImageId, ImageStatus, Name};
use platform::{Installation, Platform};

use crate::error::Result;
use crate::services::Services;

pub(crate) use needs::{is_offered, offered};

/// The instance to be, as far as somebody chose it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Target<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its major version; the source's, or the nearest newer one, if not given.
    pub major: Option<i32>,
    /// The size of its volume.
    pub volume_bytes: Option<i64>,
    /// A DNS label to ask for.
    pub dns_label: Option<&'a str>,
}

/// Checks everything that can be known before.
pub(crate) async fn check(services: &Services, image: ImageId, target: Target<'_>) -> Result<RestorePlan> {
    let detail = crate::images::get(services, image).await?;
    let platform = services.platform();
    let place = services.place();
    let installed = platform.installations().await?;
    let source_major = detail.image.major;
    let (version, major) = the_version(&**platform, &installed, source_major, target.major);
    let mut checks = vec![the_image(&detail.image), the_name(services, target.name).await?, version];
    let data = detail.manifest.as_ref().map(|manifest| manifest.source.bytes);
    let volume_bytes = crate::volumes::size(&place, target.volume_bytes, data)?;
    if let Some(manifest) = &detail.manifest {
        if let Some(installed) = installed.iter().find(|installed| Some(installed.major) == major) {
            checks.push(needs::extensions(&**platform, manifest, installed));
            checks.extend(needs::libraries(detail.image.image_type, manifest, installed));
            checks.extend(needs::image_type(&**platform, detail.image.image_type, installed.major));
        }
        checks.push(match volume_bytes {
            Some(volume) => space::volume(manifest.source.bytes, volume),
            None => space::disk(&**platform, manifest.source.bytes).await?,
        });
    }
    if place.is_kubernetes() {
        checks.extend(target.dns_label.map(space::network));
    }
    checks.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    Ok(RestorePlan { image, target: target.name.trim().to_owned(), major, bytes: data, volume_bytes, checks })
}

/// The same major version if it is there: a restore keeps what the source was. Else the nearest newer one.
fn best(installed: &[Installation], major: i32) -> Option<&Installation> {
    installed.iter().filter(|installed| installed.major >= major).min_by_key(|installed| installed.major)
}

fn found(subject: &str, verdict: Verdict, found: impl Into<String>, fix: Option<String>) -> Check {
    Check { subject: subject.to_owned(), verdict, found: found.into(), fix }
}

fn the_image(image: &model::Image) -> Check {
    match (image.status, image.proven_at, image.verified_at) {
        (ImageStatus::Available, Some(_), _) => {
            found("image", Verdict::Ok, "A restore of this image was proven equal before.", None)
        }
        (ImageStatus::Available, None, Some(_)) => {
            found("image", Verdict::Ok, "Every byte of the image was read back and matched.", None)
        }
        (ImageStatus::Available, None, None) => found(
            "image",
            Verdict::Warn,
            "The image was never read back.",
            Some(
                "The restore reads and checks every byte; verify it first if you want to know before."
                    .to_owned(),
            ),
        ),
        (status, ..) => found(
            "image",
            Verdict::Fail,
            format!("The image is {status}."),
            Some("Choose one that is available.".to_owned()),
        ),
    }
}

async fn the_name(services: &Services, target: &str) -> Result<Check> {
    let name = match Name::parse(target) {
        Ok(name) => name,
        Err(error) => return Ok(found("name", Verdict::Fail, error.to_string(), None)),
    };
    let taken = sqlx::query_scalar!(
        r#"select exists (select from toygres.instance where platform = $1 and name = $2 and status <> 'failed') as "taken!""#,
        services.platform_id().0,
        name.as_str()
    );
    if taken.fetch_one(services.db()).await? {
        let words = format!("There is an instance {name} already.");
        return Ok(found(
            "name",
            Verdict::Fail,
            words,
            Some("Choose another name; a restore never writes over an instance.".to_owned()),
        ));
    }
    Ok(found("name", Verdict::Ok, format!("The name {name} is free."), None))
}

/// What is said of the version, and which one it will be.
fn the_version(
    platform: &dyn Platform,
    installed: &[Installation],
    source: Option<i32>,
    chosen: Option<i32>,
) -> (Check, Option<i32>) {
    let Some(source) = source else {
        let words = "The image does not say which version it is of.";
        return (found("version", Verdict::Fail, words, None), None);
    };
    let there = match chosen {
        Some(chosen) if chosen < source => {
            let words = format!("PostgreSQL {chosen} cannot take an image of PostgreSQL {source}.");
            let fix = format!("Choose PostgreSQL {source} or a newer one.");
            return (found("version", Verdict::Fail, words, Some(fix)), None);
        }
        Some(chosen) => installed.iter().find(|installed| installed.major == chosen),
        None => best(installed, source),
    };
    let check = match there {
        Some(there) if there.major == source => found(
            "version",
            Verdict::Ok,
            format!("PostgreSQL {} is here, the source's major version.", there.version),
            None,
        ),
        Some(there) if chosen.is_some() => found(
            "version",
            Verdict::Warn,
            format!("The source is PostgreSQL {source}; the instance will be PostgreSQL {}.", there.version),
            None,
        ),
        Some(there) => found(
            "version",
            Verdict::Warn,
            format!("PostgreSQL {source} is not here; the instance will be PostgreSQL {}.", there.version),
            Some(format!("To keep the source's version: {}", platform.how_to_get(Some(source)))),
        ),
        None => {
            let words = match chosen {
                Some(chosen) => format!("PostgreSQL {chosen} is not here."),
                None => format!("PostgreSQL {source} is not here, nor any newer version."),
            };
            found("version", Verdict::Fail, words, Some(platform.how_to_get(chosen.or(Some(source)))))
        }
    };
    (check, there.map(|there| there.major))
}
