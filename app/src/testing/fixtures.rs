//! Model values for snapshot tests. They are read from JSON, so that a new field with a default changes nothing here.

use chrono::{DateTime, TimeDelta, Utc};
use model::image::DayOfImages;
use model::run::{Progress, Receipt, RunDetail};
use model::{Failure, FailureCode, Image, Instance, Run, RunState, StepRow, StepState, WorkflowName};
use serde_json::json;

/// The time that snapshots are rendered at.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_773_281_645, 0).expect("a valid time")
}

/// A time before [`now`].
pub(crate) fn ago(seconds: i64) -> DateTime<Utc> {
    now() - TimeDelta::seconds(seconds)
}

pub(crate) fn parsed<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).expect("a fixture that fits the model")
}

fn id(n: u32) -> String {
    format!("00000000-0000-7000-8000-{n:012}")
}

/// The instance `orders`: managed, running, healthy, with an image.
pub(crate) fn instance() -> Instance {
    parsed(json!({
        "id": id(1), "name": "orders", "platform": id(2), "origin": "managed", "status": "running",
        "image_type": "stock", "version": "15.20 (Debian 15.20-0+deb12u1)", "major": 15, "host": "127.0.0.1",
        "port": 54320, "username": "postgres", "database": "postgres", "tls": "disable", "trust_loopback": false,
        "preload": [], "workers": [], "volume_bytes": null, "secret_ref": null, "dns_label": null,
        "source_image": null, "health": "ok", "health_detail": null, "health_at": ago(60), "size_bytes": 852_000_000,
        "databases": ["postgres", "shop"], "last_image_at": ago(7_140), "last_proven_at": ago(4 * 86_400),
        "run": null, "created_at": ago(89 * 86_400),
    }))
}

/// An available image of `orders` that is not proven.
pub(crate) fn image() -> Image {
    parsed(json!({
        "id": id(3), "name": "orders-2026-03-12", "description": "", "instance": id(1), "instance_name": "orders",
        "kind": "logical", "image_type": "stock", "status": "available", "version": "15.20", "major": 15,
        "source_bytes": 852_000_000, "stored_bytes": 233_000_000, "databases": 2, "tables": 7, "rows": 1_204_117,
        "duration_ms": 12_500, "store": id(4), "run": id(5), "created_by": "ann", "created_at": ago(7_140),
        "verified_at": null, "proven_at": null, "error": null,
    }))
}

/// A run of five steps that backs up `orders`, at its third step, with progress.
pub(crate) fn run(state: RunState) -> Run {
    let ended = state.has_ended();
    parsed(json!({
        "id": id(5), "workflow": "create-image", "version": 1, "state": state, "position": 2, "steps": 5,
        "step": "RunBackupJob", "title": "Back up orders", "instance": id(1), "instance_name": "orders",
        "image": id(3), "image_name": "orders-2026-03-12", "started_by": "ann", "cancel": state == RunState::Cancelled,
        "error": (state == RunState::Failed).then(failure),
        "progress": progress(), "created_at": ago(75), "finished_at": ended.then(|| ago(30)),
    }))
}

/// The failure of a copy: the server closed the connection.
pub(crate) fn failure() -> Failure {
    Failure::new(FailureCode::ConnectionLost, "the server closed the connection").on("public.big")
}

/// Rows being copied: 120 of an estimated 298 MB.
pub(crate) fn progress() -> Progress {
    Progress {
        phase: "rows".to_owned(),
        bytes: 120_000_000,
        bytes_total: Some(298_000_000),
        done: 3,
        total: Some(7),
        rate: Some(17_800_000),
    }
}

/// A step that started 70 seconds ago and, if it has ended, took 12 seconds.
pub(crate) fn step(position: i32, name: &str, state: StepState) -> StepRow {
    let started = !matches!(state, StepState::Todo | StepState::Skipped);
    let active = matches!(state, StepState::Running | StepState::Waiting | StepState::Retrying);
    parsed(json!({
        "position": position, "name": name, "title": model::run::step_title(WorkflowName::CreateImage, name), "state": state, "attempt": i32::from(started), "attempts": 5,
        "deadline": null, "due_at": (state == StepState::Retrying).then(|| ago(-8)), "error": null,
        "waits_for": null, "progress": null, "started_at": started.then(|| ago(70)),
        "finished_at": (started && !active).then(|| ago(58)),
    }))
}

/// A run with the given steps.
pub(crate) fn run_detail(state: RunState, step_rows: Vec<StepRow>) -> RunDetail {
    let mut detail = serde_json::to_value(run(state)).expect("a run");
    detail["step_rows"] = json!(step_rows);
    detail["log_lines"] = json!(2);
    parsed(detail)
}

/// The receipt of a restore with this many differences, of which at most 20 are named.
pub(crate) fn receipt(differences: u64) -> Receipt {
    Receipt {
        tables: 418,
        rows: 1_204_117,
        sequences: 12,
        large_objects: 0,
        differences: (1..=differences.min(20))
            .map(|n| format!("shop: app.orders_{n}: 3 rows, expected 4"))
            .collect(),
        difference_count: differences,
    }
}

/// The last three days of `orders`: a failed backup, a proven image, an image that is not proven.
pub(crate) fn days() -> Vec<DayOfImages> {
    let day = |back, created, failed, proven| DayOfImages {
        day: now().date_naive() - chrono::Days::new(back),
        created,
        failed,
        proven,
        stored_bytes: (created > 0).then_some(233_000_000),
        duration_ms: (created > 0).then_some(12_500),
    };
    vec![day(2, 0, 1, 0), day(1, 1, 0, 1), day(0, 2, 0, 0)]
}
