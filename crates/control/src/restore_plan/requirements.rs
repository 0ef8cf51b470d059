//! What an image requires of the PostgreSQL that it is restored into: extensions, libraries, an image type.

use model::client_version::{first_fixed, has_fixed_clients};
use model::restore::{Check, CheckSubject, Verdict};
use model::{ImageType, Manifest, PlatformKind, Remark, workers};
use platform::{Installation, Platform};

use super::finding::found;

/// Libraries that are part of PostgreSQL.
const BUILT_IN: [&str; 5] =
    ["auto_explain", "pg_prewarm", "pg_stat_statements", "passwordcheck", "auth_delay"];

/// Checks whether the programs that restore the image have known vulnerabilities; those that are not known are not judged.
pub(super) fn fixed_clients(installed: &Installation, required: bool) -> Option<Check> {
    if has_fixed_clients(&installed.version) != Some(false) {
        return None;
    }
    let fix = first_fixed(installed.major).map(|first| format!("Upgrade PostgreSQL to {first} or newer."));
    Some(found(
        CheckSubject::Version,
        if required { Verdict::Fail } else { Verdict::Warn },
        format!(
            "The programs of PostgreSQL {} have known vulnerabilities: pg_restore may execute code from a crafted image.",
            installed.version
        ),
        fix,
    ))
}

/// What the image lacks, or restores in another way than the source has it.
pub(super) fn remarks(manifest: &Manifest) -> Vec<Check> {
    let check = |remark: &Remark| {
        found(CheckSubject::Contents, Verdict::Warn, remark.text(), remark.fix().map(str::to_owned))
    };
    manifest.remarks().iter().map(check).collect()
}

/// Checks the extensions of the image's databases.
pub(super) fn extensions(platform: &dyn Platform, manifest: &Manifest, installed: &Installation) -> Check {
    let subject = CheckSubject::Extensions;
    let mut required: Vec<&str> =
        manifest.databases.iter().flat_map(|db| &db.extensions).map(|extension| &*extension.name).collect();
    // plpgsql is part of every PostgreSQL.
    required.retain(|name| *name != "plpgsql");
    required.sort_unstable();
    required.dedup();
    if required.is_empty() {
        return found(subject, Verdict::Ok, "The image requires no additional extensions.", None);
    }
    let Some(available) = &installed.extensions else {
        return found(
            subject,
            Verdict::Warn,
            format!(
                "The image requires {}. Whether they are available is known only when a server runs.",
                required.join(", ")
            ),
            Some(format!(
                "The container image of PostgreSQL {} must have them. If one is missing, the restore fails early and is rolled back.",
                installed.major
            )),
        );
    };
    let missing: Vec<&str> = required
        .iter()
        .copied()
        .filter(|name| !available.iter().any(|available| available == name))
        .collect();
    if missing.is_empty() {
        let reason = format!("All {} extensions of the image are available.", required.len());
        return found(subject, Verdict::Ok, reason, None);
    }
    found(
        subject,
        Verdict::Fail,
        format!("Not available for PostgreSQL {}: {}.", installed.major, missing.join(", ")),
        Some(match platform.kind() {
            PlatformKind::Local => format!(
                "Install them. On Debian most are in postgresql-contrib or postgresql-{}-NAME.",
                installed.major
            ),
            PlatformKind::Kubernetes => "Use a container image that has them.".to_owned(),
        }),
    )
}

/// Checks the libraries that the source preloads. For an image of type pg_durable its own library is mandatory: without it
/// the instance would never become `running`.
pub(super) fn libraries(
    image_type: ImageType,
    manifest: &Manifest,
    installed: &Installation,
) -> Option<Check> {
    let subject = CheckSubject::Preload;
    let preload = &manifest.source.preload;
    let missing: Vec<&str> =
        preload.iter().map(String::as_str).filter(|name| !is_offered(installed, name)).collect();
    let awaited = workers::awaited(image_type, preload);
    if !awaited.is_empty() && awaited.iter().all(|library| !is_offered(installed, library)) {
        let reason = format!(
            "The image has type {image_type}, and {} is not available for PostgreSQL {}.",
            awaited.join(", "),
            installed.major
        );
        return Some(found(subject, Verdict::Fail, reason, Some("Install the library first.".to_owned())));
    }
    (!missing.is_empty()).then(|| {
        found(
            subject,
            Verdict::Warn,
            format!(
                "The source preloads libraries that are not available: {}. They will not be loaded.",
                missing.join(", ")
            ),
            Some("If the instance needs their background workers, install them first.".to_owned()),
        )
    })
}

/// Checks whether the platform supports the image type.
pub(super) fn image_type(platform: &dyn Platform, image_type: ImageType, major: i32) -> Option<Check> {
    let reason = platform.unsupported_reason(image_type, major)?;
    Some(found(CheckSubject::ImageType, Verdict::Fail, reason, None))
}

/// Whether a library can be preloaded, judged by the extension of the same name.
pub(crate) fn is_offered(installed: &Installation, library: &str) -> bool {
    BUILT_IN.contains(&library)
        || installed.extensions.as_ref().is_none_or(|known| known.iter().any(|known| known == library))
}

/// The libraries that a restored instance preloads: those of its type and of the source that are available.
pub(crate) fn offered(
    platform: &dyn Platform,
    installed: &[Installation],
    image_type: ImageType,
    major: i32,
    preload: Vec<String>,
) -> Vec<String> {
    let Some(installed) = installed.iter().find(|installed| installed.major == major) else {
        return Vec::new();
    };
    let mut offered: Vec<String> = Vec::new();
    for library in platform.preload(image_type).into_iter().chain(preload) {
        if is_offered(installed, &library) && !offered.contains(&library) {
            offered.push(library);
        }
    }
    offered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(version: &str, required: bool) -> Option<Verdict> {
        let installed = Installation { major: 15, version: version.into(), bin_dir: None, extensions: None };
        fixed_clients(&installed, required).map(|check| check.verdict)
    }

    #[test]
    fn vulnerable_programs_are_a_warning_or_a_failure() {
        assert_eq!(verdict("15.18 (Debian 15.18-0+deb12u1)", false), Some(Verdict::Warn));
        assert_eq!(verdict("15.18 (Debian 15.18-0+deb12u1)", true), Some(Verdict::Fail));
        assert_eq!(verdict("15.20", true), None);
        assert_eq!(verdict("15", true), None);
    }
}
