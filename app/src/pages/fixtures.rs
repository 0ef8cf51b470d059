//! Data of the pages for snapshot tests.

use model::image::{ImageStatus, Manifest};
use model::overview::OverviewInstance;
use model::page::Page;
use model::{Actor, Health, Image, ImageDetail, ImageType, Instance, InstanceStatus, Role, Run, RunState};
use serde_json::json;

use crate::api::instances::{InstanceRow, InstanceView};
use crate::api::overview::OverviewPage;
use crate::api::restore::{RestoreView, TargetRequest};
use crate::testing::fixtures::{ago, days, image, instance, parsed, run};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A user with this role, in sudo mode if `sudo`.
pub(super) fn actor(role: Role, sudo: bool) -> Actor {
    let kind = model::ActorKind::Account;
    Actor { kind, user: model::UserId(uuid::Uuid::from_u128(7)), name: "ann".to_owned(), role, sudo }
}

/// One page that holds all rows.
pub(super) fn page<T>(rows: Vec<T>) -> Page<T> {
    Page { total: i64::try_from(rows.len()).unwrap_or(0), rows, page: 1, per_page: 25 }
}

/// An instance with another name; its databases are `postgres` and `shop`.
pub(super) fn named(name: &str) -> Instance {
    let id = model::InstanceId(uuid::Uuid::from_u128(
        u128::from_be_bytes(*b"instance--------") + name.len() as u128,
    ));
    Instance { id, name: name.to_owned(), ..instance() }
}

/// A proven image.
pub(super) fn proven() -> Image {
    Image { proven_at: Some(ago(HOUR)), verified_at: Some(ago(HOUR)), ..image() }
}

/// A row of the overview. Its newest attempt is its newest complete image as well, if that is available and complete.
pub(super) fn row(instance: Instance, newest: Option<Image>) -> OverviewInstance {
    let is_complete = |image: &Image| image.status == ImageStatus::Available && image.partial().is_none();
    let newest_complete = newest.clone().filter(is_complete);
    OverviewInstance { instance, newest, newest_complete, days: days() }
}

/// A healthy instance whose newest image is recent, complete and proven.
pub(super) fn protected(name: &str) -> OverviewInstance {
    row(named(name), Some(proven()))
}

/// An instance without an image.
pub(super) fn without_image(name: &str) -> OverviewInstance {
    row(Instance { last_image_at: None, last_proven_at: None, ..named(name) }, None)
}

/// An instance whose newest image is older than three days.
pub(super) fn with_old_image(name: &str) -> OverviewInstance {
    let created_at = ago(4 * DAY);
    let instance = Instance { last_image_at: Some(created_at), ..named(name) };
    row(instance, Some(Image { created_at, ..proven() }))
}

/// An instance whose newest attempt failed.
pub(super) fn with_failed_attempt(name: &str) -> OverviewInstance {
    let failed = Image { status: ImageStatus::Failed, proven_at: None, ..image() };
    OverviewInstance { newest_complete: Some(proven()), ..row(named(name), Some(failed)) }
}

/// An instance whose only image holds one of six databases.
pub(super) fn with_partial_image(name: &str) -> OverviewInstance {
    row(named(name), Some(partial()))
}

/// A proven image that holds one of six databases.
pub(super) fn partial() -> Image {
    Image { databases: Some(1), source_databases: Some(6), ..proven() }
}

/// An instance whose newest image is not proven.
pub(super) fn with_unproven_image(name: &str) -> OverviewInstance {
    row(named(name), Some(image()))
}

/// An instance that does not respond.
pub(super) fn down(name: &str) -> OverviewInstance {
    row(Instance { health: Health::Down, ..named(name) }, Some(proven()))
}

/// An instance of type pg_durable whose background worker does not run.
pub(super) fn without_worker(name: &str) -> OverviewInstance {
    row(Instance { image_type: ImageType::PgDurable, ..named(name) }, Some(proven()))
}

/// A stopped instance.
pub(super) fn stopped(name: &str) -> OverviewInstance {
    row(Instance { status: InstanceStatus::Stopped, health: Health::Unknown, ..named(name) }, Some(proven()))
}

/// The overview of these instances and active runs; stuck runs are among both the active ones and those that need attention.
pub(super) fn overview(instances: Vec<OverviewInstance>, active: Vec<Run>) -> OverviewPage {
    let needs_attention: Vec<_> = active.iter().filter(|run| run.state == RunState::Stuck).collect();
    parsed(json!({
        "overview": {
            "instances": instances, "running": active, "needs_attention": needs_attention, "ended": [run(RunState::Succeeded)],
            "counts": { "instances": instances.len(), "images": 4, "runs_needing_attention": needs_attention.len() },
            "store_free_bytes": 112_000_000_000_i64, "stored_bytes": 932_000_000,
        },
        "place": place::<serde_json::Value>(false), "has_store": true, "versions": ["15.20", "17.10"],
    }))
}

/// The local platform, or Kubernetes.
pub(super) fn place<T: serde::de::DeserializeOwned>(kubernetes: bool) -> T {
    match kubernetes {
        true => parsed(json!({ "kind": "kubernetes", "name": "toygres-managed" })),
        false => parsed(json!({ "kind": "local", "name": "/var/lib/toygres" })),
    }
}

/// A row of the list of instances.
pub(super) fn list_row(row: OverviewInstance) -> InstanceRow {
    InstanceRow { instance: row.instance, days: row.days, backing_up: false }
}

/// The page of an instance with these images and runs.
pub(super) fn instance_view(instance: Instance, images: Vec<Image>, runs: Vec<Run>) -> InstanceView {
    let connection = "postgresql://postgres@127.0.0.1:54320/postgres";
    let backing_up = images.iter().any(|image| image.status == ImageStatus::Creating);
    parsed(json!({
        "instance": instance, "connection": connection, "port_forward": null, "diagnosis": null, "days": days(),
        "images_total": images.len(), "images": images, "failed_attempts": 2, "runs": runs, "backing_up": backing_up,
        "source_image": null,
    }))
}

/// The page of an image with its manifest, which has as many databases as the image. Only an available image has contents.
pub(super) fn image_detail(image: Image) -> ImageDetail {
    let mut manifest = manifest(2);
    let databases = image.databases.and_then(|count| usize::try_from(count).ok()).unwrap_or(2);
    manifest.databases.drain(..manifest.databases.len().saturating_sub(databases));
    let is_available = image.status == ImageStatus::Available;
    let mut detail = serde_json::to_value(image).expect("an image");
    if is_available {
        let tables = || manifest.databases.iter().flat_map(|database| &database.tables);
        detail["tables"] = json!(tables().count());
        detail["rows"] = json!(tables().map(|table| table.rows).sum::<u64>());
    }
    detail["manifest"] = json!(is_available.then_some(manifest));
    detail["store_name"] = json!("local");
    detail["prefix"] = json!("images/3/1");
    detail["restored_to"] = if is_available { json!(["orders-restored"]) } else { json!([]) };
    detail["in_use_by"] = json!([]);
    parsed(detail)
}

/// A manifest with the databases `postgres`, which is empty, and `shop`, which has this many tables.
pub(super) fn manifest(tables: u64) -> Manifest {
    let tables: Vec<_> = (1..=tables)
        .map(
            |n| json!({ "schema": "public", "name": format!("t{n}"), "rows": 1000 - n, "bytes": 90_000 - n }),
        )
        .collect();
    let database = |ordinal: u32,
                    name: &str,
                    tables: Vec<serde_json::Value>,
                    extensions: serde_json::Value| {
        json!({
            "ordinal": ordinal, "name": name, "owner": "shop", "encoding": "UTF8", "locale_provider": "libc",
            "collate": "C.UTF-8", "ctype": "C.UTF-8", "locale": null, "icu_rules": null, "collation_version": null,
            "bytes": 29_700_000, "extensions": extensions, "tables": tables, "sequences": 3, "large_objects": 0,
        })
    };
    let extensions = json!([{ "name": "pg_trgm", "version": "1.6" }]);
    parsed(json!({
        "format_version": 1, "image": image().id, "kind": "logical", "created_at": ago(2 * HOUR),
        "source": { "version": "15.20", "major": 15, "image_type": "stock", "preload": [], "bytes": 852_000_000 },
        "databases": [database(0, "postgres", vec![], json!([])), database(1, "shop", tables, extensions)],
        "objects": [{
            "key": "globals.sql.zst", "bytes": 1_204, "format": "sql", "compression": "zstd", "encryption": null,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        }],
        "tools": { "pg_dump": "15.20", "toygres": "0.1.0" },
    }))
}

/// The wizard on the local platform: the form, or the plan with checks of these verdicts.
pub(super) fn restore_view(verdicts: Option<&[&str]>) -> RestoreView {
    let checks = |verdicts: &[&str]| -> Vec<serde_json::Value> {
        let check = |verdict: &&str| json!({ "subject": "name", "verdict": verdict, "found": format!("A check with the verdict {verdict}."), "fix": null });
        verdicts.iter().map(check).collect()
    };
    let plan = verdicts.map(|verdicts| {
        json!({
            "image": image().id, "target": "orders-restored", "major": 15, "bytes": 852_000_000, "volume_bytes": null,
            "checks": checks(verdicts),
        })
    });
    let request = TargetRequest { name: "orders-restored".to_owned(), ..TargetRequest::default() };
    parsed(json!({
        "image": image_detail(image()), "place": place::<serde_json::Value>(false), "request": request, "plan": plan,
        "versions": [[15, "15.20"], [17, "17.10"]], "error": null,
    }))
}
