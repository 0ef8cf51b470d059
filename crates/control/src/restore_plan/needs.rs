//! What an image needs of the PostgreSQL that it is restored into: extensions, libraries, a type.

use model::restore::{Check, Verdict};
use model::{ImageType, Manifest, workers};
use platform::{Installation, Platform};

use super::found;
use crate::error::Result;
use crate::services::Services;

/// Libraries that come with PostgreSQL itself.
const BUILT_IN: [&str; 5] =
    ["auto_explain", "pg_prewarm", "pg_stat_statements", "passwordcheck", "auth_delay"];

/// The extensions of its databases.
pub(super) fn extensions(platform: &dyn Platform, manifest: &Manifest, installed: &Installation) -> Check {
    let mut wanted: Vec<&str> =
        manifest.databases.iter().flat_map(|db| &db.extensions).map(|extension| &*extension.name).collect();
    // It is part of every PostgreSQL.
    wanted.retain(|name| *name != "plpgsql");
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return found("extensions", Verdict::Ok, "The image needs no extensions.", None);
    }
    let Some(there) = &installed.extensions else {
        return found(
            "extensions",
            Verdict::Warn,
            format!(
                "The image needs {}; whether they are here is not known before a server runs.",
                wanted.join(", ")
            ),
            Some(format!(
                "The container image of PostgreSQL {} must have them. If one is missing, the restore says so at once and nothing is left of it.",
                installed.major
            )),
        );
    };
    let missing: Vec<&str> =
        wanted.iter().copied().filter(|name| !there.iter().any(|there| there == name)).collect();
    if missing.is_empty() {
        let words = format!("All {} extensions of the image are here.", wanted.len());
        return found("extensions", Verdict::Ok, words, None);
    }
    found(
        "extensions",
        Verdict::Fail,
        format!("Not here for PostgreSQL {}: {}.", installed.major, missing.join(", ")),
        Some(match platform.kind() {
            "local" => format!(
                "Install them; Debian has most in postgresql-contrib or postgresql-{}-NAME.",
                installed.major
            ),
            _ => "Use a container image that has them.".to_owned(),
        }),
    )
}

/// The libraries that the source preloads. For an image of type pg_durable its own is no choice: without it the
/// instance would never be `running`.
pub(super) fn libraries(
    image_type: ImageType,
    manifest: &Manifest,
    installed: &Installation,
) -> Option<Check> {
    let preload = &manifest.source.preload;
    let missing: Vec<&str> =
        preload.iter().map(String::as_str).filter(|name| !is_offered(installed, name)).collect();
    let awaited = workers::awaited(image_type, preload);
    let fatal = !awaited.is_empty() && awaited.iter().all(|library| !is_offered(installed, library));
    if fatal {
        let words = format!(
            "The image is of type {image_type}, and {} is not here for PostgreSQL {}.",
            awaited.join(", "),
            installed.major
        );
        return Some(found("preload", Verdict::Fail, words, Some("Install it first.".to_owned())));
    }
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

/// What the platform lacks for the type.
pub(super) fn image_type(platform: &dyn Platform, image_type: ImageType, major: i32) -> Option<Check> {
    platform.lacks(image_type, major).map(|words| found("image_type", Verdict::Fail, words, None))
}

/// Whether a library can be preloaded, as far as one can know: it is known by the extension of its name.
pub(crate) fn is_offered(installed: &Installation, library: &str) -> bool {
    BUILT_IN.contains(&library)
        || installed.extensions.as_ref().is_none_or(|known| known.iter().any(|there| there == library))
}

/// The libraries that a restored instance preloads: those of the type and the source's, as far as they are here.
pub(crate) async fn offered(
    services: &Services,
    image_type: ImageType,
    major: i32,
    preload: Vec<String>,
) -> Result<Vec<String>> {
    let platform = services.platform();
    let installed = platform.installations().await?;
    let Some(installed) = installed.into_iter().find(|installed| installed.major == major) else {
        return Ok(Vec::new());
    };
    let mut all = platform.preload(image_type);
    all.extend(preload);
    let mut offered: Vec<String> = Vec::new();
    for library in all {
        if is_offered(&installed, &library) && !offered.contains(&library) {
            offered.push(library);
        }
    }
    Ok(offered)
}
