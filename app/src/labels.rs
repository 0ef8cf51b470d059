//! Labels of values that several pages show.

use model::{Health, Image, ImageType, Instance, InstanceStatus};

use crate::format;

/// The label of an image type, in a sentence.
pub(crate) fn image_type(image_type: ImageType) -> &'static str {
    match image_type {
        ImageType::Stock => "standard",
        ImageType::PgDurable => "pg_durable",
    }
}

/// The values and labels of a select field for image types.
pub(crate) fn image_type_options() -> Vec<(String, String)> {
    let label = |image_type| match image_type {
        ImageType::Stock => "Standard PostgreSQL",
        ImageType::PgDurable => "PostgreSQL with pg_durable (durable functions inside the database)",
    };
    ImageType::ALL.iter().map(|one| (one.to_string(), label(*one).to_owned())).collect()
}

/// `1 of 6` if the image holds fewer databases than its source had.
pub(crate) fn partial_count(image: &Image) -> Option<String> {
    image.partial().map(|(held, existing)| format!("{held} of {existing}"))
}

/// `1 of 6 databases` if the image holds fewer databases than its source had.
pub(crate) fn partial(image: &Image) -> Option<String> {
    partial_count(image).map(|count| format!("{count} databases"))
}

/// What does not work without the background worker of an instance.
pub(crate) const MISSING_WORKER_EFFECT: &str = "Durable functions do not run.";

/// The library whose background worker did not run at the last health check; none if the instance has or needs none.
pub(crate) fn missing_worker(instance: &Instance) -> Option<String> {
    let was_checked = instance.status == InstanceStatus::Running
        && instance.health == Health::Ok
        && instance.health_at.is_some();
    instance.missing_worker().filter(|_| was_checked).map(|libraries| libraries.join(" or "))
}

/// `1 needs attention`, `3 need attention`.
pub(crate) fn needing_attention(count: i64) -> String {
    format::quantity(count, "needs attention", "need attention")
}

/// The phase of a job, as an activity.
pub(crate) fn phase(name: &str) -> String {
    let label = match name {
        "rows" => "copying rows",
        "commit" => "committing",
        "verify" => "verifying",
        "verified" => "verified",
        "initdb" => "creating the data directory",
        "schema" => "creating the schema",
        "large objects" => "copying large objects",
        "indexes" => "creating indexes",
        "compare" => "comparing with the image",
        "sync" => "writing to disk",
        other => other,
    };
    label.to_owned()
}

/// The outcome of an action in the audit log, by its code.
pub(crate) fn outcome(code: &str) -> String {
    match code {
        "ok" => "done".to_owned(),
        "sudo_required" => "re-authentication required".to_owned(),
        "forbidden" => "denied".to_owned(),
        "unauthenticated" => "wrong password".to_owned(),
        other => other.replace('_', " "),
    }
}

/// `3 failed or cancelled backups`.
pub(crate) fn failed_backups(count: i64) -> String {
    format::quantity(count, "failed or cancelled backup", "failed or cancelled backups")
}
