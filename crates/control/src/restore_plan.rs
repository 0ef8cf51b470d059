//! What a restore would do, and what stands in its way: the wizard's check. It changes nothing.

use model::restore::{Check, RestorePlan, Verdict};
use model::{ImageId, ImageStatus, Manifest, Name};
use platform::Installation;

use crate::error::Result;
use crate::services::Services;

/// Checks everything that can be known before.
pub(crate) async fn check(services: &Services, image: ImageId, target: &str) -> Result<RestorePlan> {
    let detail = crate::images::get(services, image).await?;
    let installed = crate::instances::versions(services).await?;
    let mut checks = vec![the_image(&detail.image), the_name(services, target).await?];
    let source_major = detail.image.major;
    let major = source_major.and_then(|major| best(&installed, major)).map(|installed| installed.major);
    checks.push(the_version(&installed, source_major));
    if let Some(manifest) = &detail.manifest {
        if let Some(installed) = installed.iter().find(|installed| Some(installed.major) == major) {
            checks.push(the_extensions(manifest, installed));
            checks.extend(the_libraries(manifest, installed));
        }
        checks.push(the_space(services, manifest).await?);
    }
    checks.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    let bytes = detail.manifest.as_ref().map(|manifest| manifest.source.bytes);
    Ok(RestorePlan { image, target: target.trim().to_owned(), major, bytes, checks })
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

fn the_version(installed: &[Installation], major: Option<i32>) -> Check {
    let Some(major) = major else {
        return found("version", Verdict::Fail, "The image does not say which version it is of.", None);
    };
    match best(installed, major) {
        Some(installed) if installed.major == major => found(
            "version",
            Verdict::Ok,
            format!("PostgreSQL {} is installed, the source's major version.", installed.version),
            None,
        ),
        Some(installed) => found(
            "version",
            Verdict::Warn,
            format!(
                "PostgreSQL {major} is not installed; the instance will be PostgreSQL {}.",
                installed.version
            ),
            Some(format!("To keep the source's version, install postgresql-{major}.")),
        ),
        None => found(
            "version",
            Verdict::Fail,
            format!("PostgreSQL {major} is not installed, nor any newer version."),
            Some(format!("Install it: apt-get install postgresql-{major}.")),
        ),
    }
}

fn the_extensions(manifest: &Manifest, installed: &Installation) -> Check {
    let mut wanted: Vec<&str> =
        manifest.databases.iter().flat_map(|db| &db.extensions).map(|extension| &*extension.name).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let Some(there) = &installed.extensions else {
        let found_words = match wanted.is_empty() {
            true => "The image needs no extensions.".to_owned(),
            false => format!(
                "The server's image must offer: {}. The restore says at once if it does not.",
                wanted.join(", ")
            ),
        };
        return found(
            "extensions",
            if wanted.is_empty() { Verdict::Ok } else { Verdict::Warn },
            found_words,
            None,
        );
    };
    let missing: Vec<&str> =
        wanted.iter().copied().filter(|name| !there.iter().any(|there| there == name)).collect();
    if missing.is_empty() {
        return found(
            "extensions",
            Verdict::Ok,
            format!("All {} extensions of the image are installed.", wanted.len()),
            None,
        );
    }
    found(
        "extensions",
        Verdict::Fail,
        format!("Not installed for PostgreSQL {}: {}.", installed.major, missing.join(", ")),
        Some(format!(
            "Install them; Debian has most in postgresql-contrib or postgresql-{}-NAME.",
            installed.major
        )),
    )
}

fn the_libraries(manifest: &Manifest, installed: &Installation) -> Option<Check> {
    let missing: Vec<&str> = manifest
        .source
        .preload
        .iter()
        .map(String::as_str)
        .filter(|name| !is_offered(installed, name))
        .collect();
    (!missing.is_empty()).then(|| {
        found(
            "preload",
            Verdict::Warn,
            format!(
                "The source preloads libraries that are not known here: {}. They will not be loaded.",
                missing.join(", ")
            ),
            Some("Install them first if the instance needs their background workers.".to_owned()),
        )
    })
}

fn is_offered(installed: &Installation, library: &str) -> bool {
    // A library is known by the extension of its name; these come with PostgreSQL itself.
    ["auto_explain", "pg_prewarm", "pg_stat_statements", "passwordcheck", "auth_delay"].contains(&library)
        || installed.extensions.as_ref().is_none_or(|known| known.iter().any(|there| there == library))
}

/// Those of the source's preloaded libraries that are here.
pub(crate) async fn offered(services: &Services, major: i32, preload: Vec<String>) -> Result<Vec<String>> {
    let installed = crate::instances::versions(services).await?;
    let Some(installed) = installed.into_iter().find(|installed| installed.major == major) else {
        return Ok(Vec::new());
    };
    Ok(preload.into_iter().filter(|library| is_offered(&installed, library)).collect())
}

/// The source's size and a fifth: indexes are built beside the rows.
async fn the_space(services: &Services, manifest: &Manifest) -> Result<Check> {
    let wanted = u64::try_from(manifest.source.bytes).unwrap_or(0) * 6 / 5;
    let gigabytes = |bytes: u64| format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10);
    Ok(match services.platform().free_bytes().await? {
        Some(free) if free < wanted => found(
            "disk",
            Verdict::Fail,
            format!("The instance will take about {}, and {} are free.", gigabytes(wanted), gigabytes(free)),
            Some("Make room, or delete what nobody needs.".to_owned()),
        ),
        Some(free) if free < wanted * 2 => found(
            "disk",
            Verdict::Warn,
            format!("About {} of the {} that are free will be used.", gigabytes(wanted), gigabytes(free)),
            None,
        ),
        Some(free) => found(
            "disk",
            Verdict::Ok,
            format!("{} are free; about {} will be used.", gigabytes(free), gigabytes(wanted)),
            None,
        ),
        None => found("disk", Verdict::Ok, "The platform makes a volume of the right size.", None),
    })
}
