//! Snapshots of the components that show states.

use leptos::prelude::*;
use model::image::ImageStatus;
use model::overview::Overview;
use model::{
    Failure, FailureCode, Health, InstanceStatus, Level, LogFilter, LogLine, LogPage, Role, RunState,
    StepState,
};

use super::attention::{AttentionList, attention_items};
use super::confirm::{ConfirmDialog, SudoGate};
use super::field::{ActionError, TextField};
use super::form_error::FormError;
use super::history_chart::{HistoryChart, Legend};
use super::instance_table::InstanceTable;
use super::log_view::LogView;
use super::log_window::LogWindow;
use super::receipt::ReceiptSlip;
use super::run_live::RunSignals;
use super::run_progress::RunProgress;
use super::run_rows::{EndedRuns, LiveRuns};
use super::status_badge::{self, StatusBadge, StatusStyle};
use super::step_table::StepTable;
use super::target_fields::ClusterFields;
use super::time::{Ago, AgoOr, Due, Elapsed};
use crate::components::error_page::ErrorPage;
use crate::error::UiError;
use crate::testing::{assert_text, fixtures};

fn badges(styles: Vec<StatusStyle>) -> impl IntoView {
    let badge = |style: StatusStyle| {
        let look = format!("{} {}", style.tone, style.icon);
        view! { <p><StatusBadge style/> " (" {look} ")"</p> }
    };
    styles.into_iter().map(badge).collect_view()
}

#[test]
fn status_badges_of_runs_and_steps() {
    assert_text("status_badge_run", || {
        badges(RunState::ALL.iter().map(|state| status_badge::run(*state)).collect())
    });
    assert_text("status_badge_step", || {
        badges(StepState::ALL.iter().map(|state| status_badge::step(*state)).collect())
    });
}

#[test]
fn status_badges_of_images() {
    let mut images: Vec<_> =
        ImageStatus::ALL.iter().map(|status| model::Image { status: *status, ..fixtures::image() }).collect();
    images.push(model::Image { proven_at: Some(fixtures::ago(60)), ..fixtures::image() });
    let error = Some(Failure::new(FailureCode::Cancelled, "cancelled"));
    images.push(model::Image { status: ImageStatus::Failed, error, ..fixtures::image() });
    for state in [RunState::Running, RunState::Undoing, RunState::Stuck] {
        let image =
            model::Image { status: ImageStatus::Creating, run_state: Some(state), ..fixtures::image() };
        assert_eq!(image.is_in_progress(), state == RunState::Running);
        images.push(image);
    }
    assert_text("status_badge_image", move || badges(images.iter().map(status_badge::image).collect()));
}

#[test]
fn status_badges_of_instances() {
    let mut instances = instances_of_each_health();
    instances.extend(
        InstanceStatus::ALL.iter().map(|status| model::Instance { status: *status, ..fixtures::instance() }),
    );
    assert_text("status_badge_instance", move || {
        badges(instances.iter().map(status_badge::instance).collect())
    });
}

/// Running instances: healthy, not responding, unknown, at risk of data loss, without its background worker.
fn instances_of_each_health() -> Vec<model::Instance> {
    let with = |health, health_detail| model::Instance { health, health_detail, ..fixtures::instance() };
    let without_worker =
        model::Instance { image_type: model::ImageType::PgDurable, ..with(Health::Ok, None) };
    vec![
        with(Health::Ok, None),
        with(Health::Down, Some(Failure::new(FailureCode::ConnectionRefused, "connection refused"))),
        with(Health::Unknown, None),
        with(Health::Ok, Some(Failure::new(FailureCode::VolumeTerminating, "orders-data"))),
        without_worker,
    ]
}

#[test]
fn step_table_shows_results_of_done_steps_and_progress_of_running_ones() {
    let step = fixtures::step;
    let progress = || Some(fixtures::progress());
    let error = || Some(fixtures::failure());
    let steps = vec![
        step(0, "CreateImageRecord", StepState::Done),
        model::StepRow { progress: progress(), ..step(1, "RunBackupJob", StepState::Done) },
        model::StepRow { progress: progress(), ..step(2, "RunBackupJob", StepState::Running) },
        model::StepRow {
            waits_for: Some(Failure::new(FailureCode::Unschedulable, "0/3 nodes are available")),
            ..step(3, "RunBackupJob", StepState::Waiting)
        },
        model::StepRow {
            attempt: 2,
            error: error(),
            first_error: Some(Failure::new(
                FailureCode::LockTimeout,
                "canceling statement due to lock timeout",
            )),
            progress: progress(),
            ..step(4, "RunBackupJob", StepState::Retrying)
        },
        model::StepRow { error: error(), ..step(5, "RunBackupJob", StepState::Failed) },
        model::StepRow { error: error(), progress: progress(), ..step(6, "RunBackupJob", StepState::Undone) },
        model::StepRow {
            undo_started_at: Some(fixtures::ago(50)),
            undo_finished_at: Some(fixtures::ago(5)),
            ..step(7, "CreateImageRecord", StepState::Undone)
        },
        model::StepRow {
            undo_started_at: Some(fixtures::ago(50)),
            ..step(8, "CreateImageRecord", StepState::Undoing)
        },
        model::StepRow {
            undo_started_at: Some(fixtures::ago(50)),
            undo_finished_at: Some(fixtures::ago(49)),
            undo_error: Some(Failure::new(FailureCode::StoreUnreachable, "connection refused").on("backups")),
            ..step(9, "CreateImageRecord", StepState::Stuck)
        },
        step(10, "UpdateImageStatus", StepState::Skipped),
        step(11, "UpdateImageStatus", StepState::Todo),
    ];
    assert_text("step_table", move || view! { <StepTable steps=Signal::derive(move || steps.clone())/> });
}

#[test]
fn only_running_runs_show_progress() {
    let active = [RunState::Running, RunState::Undoing, RunState::Stuck];
    assert_text("live_runs", move || view! { <LiveRuns runs=active.map(fixtures::run).to_vec()/> });
    assert_text("run_progress", || {
        view! {
            <RunProgress run=fixtures::run(RunState::Running) waits_for=Some("a volume".to_owned())/>
            <RunProgress run=model::Run { progress: None, ..fixtures::run(RunState::Running) }/>
            <RunProgress run=fixtures::run(RunState::Undoing)/>
        }
    });
}

#[test]
fn ended_runs_show_their_results() {
    let runs: Vec<_> = RunState::ALL.iter().map(|state| fixtures::run(*state)).collect();
    assert_text("ended_runs", move || view! { <EndedRuns runs caption="Runs"/> });
}

#[test]
fn receipt_draws_tables_only_if_all_match() {
    assert_text("receipt", || {
        view! {
            <ReceiptSlip receipt=fixtures::receipt(0)/>
            <ReceiptSlip receipt=fixtures::receipt(1)/>
            <ReceiptSlip receipt=fixtures::receipt(23)/>
        }
    });
}

#[test]
fn attention_list_is_sorted_by_severity() {
    let overview: Overview = serde_json::from_value(serde_json::json!({
        "instances": instances_of_each_health().into_iter().map(|instance| {
            serde_json::json!({ "instance": instance, "newest": null, "days": [] })
        }).collect::<Vec<_>>(),
        "running": [], "ended": [],
        "needs_attention": [fixtures::run(RunState::Failed), fixtures::run(RunState::Stuck)],
        "counts": { "instances": 4, "images": 1, "runs_needing_attention": 2, "corrupt_images": 2 },
        "store_free_bytes": null, "stored_bytes": 0,
    }))
    .expect("an overview");
    let items = attention_items(&overview);
    let of_viewer = items.clone();
    assert_text("attention_list", move || {
        view! { <AttentionList items role=Role::Operator/> <AttentionList items=of_viewer role=Role::Viewer/> }
    });
}

#[test]
fn instance_table_offers_a_backup_to_operators_only() {
    let mut rows: Vec<_> =
        instances_of_each_health().into_iter().map(|instance| (instance, fixtures::days(), false)).collect();
    rows.push((fixtures::instance(), vec![], true));
    rows.push((
        model::Instance { status: InstanceStatus::Creating, last_image_at: None, ..fixtures::instance() },
        vec![],
        false,
    ));
    let of_viewer = vec![rows[0].clone()];
    assert_text("instance_table", move || {
        view! { <InstanceTable rows role=Role::Operator/> <InstanceTable rows=of_viewer role=Role::Viewer/> }
    });
}

#[test]
fn history_chart_shows_the_newest_size_and_duration() {
    assert_text("history_chart", || {
        view! { <HistoryChart name="orders".to_owned() days=fixtures::days() backing_up=false/> <Legend/> }
    });
}

#[test]
fn form_errors_are_shown_once() {
    let error = |error: UiError| -> ActionError { Signal::derive(move || Some(error.clone())) };
    assert_text("form_error", move || {
        let of_field = error(UiError::invalid("name", "The name is taken.").with_input([("name", "orders")]));
        let of_form = error(UiError::new("conflict", "Another run is using it: Back up orders."));
        view! {
            <FormError error=of_field fields=&["name"]/>
            <TextField name="name" label="Name" error=of_field hint="Lowercase letters, digits and hyphens."/>
            <FormError error=of_form fields=&["name"]/>
            <TextField name="name" label="Name" error=of_form hint="Lowercase letters, digits and hyphens."/>
        }
    });
}

#[test]
fn dialogs_and_gates() {
    let place = |kind: &str| -> model::PlatformInfo {
        serde_json::from_value(serde_json::json!({ "kind": kind, "name": "toygres-managed" }))
            .expect("a platform")
    };
    assert_text("dialogs", move || {
        let error: ActionError = Signal::derive(|| None);
        let fields = |place| {
            view! { <ClusterFields place volume_gib="20" volume_hint="At least 10 GiB." error/> }
        };
        view! {
            <ConfirmDialog title="Delete orders?" danger=true><p>"The data will be deleted."</p></ConfirmDialog>
            <SudoGate next="/settings?at=users" what="Creating a user"/>
            {fields(place("local"))}
            {fields(place("kubernetes"))}
        }
    });
}

#[test]
fn error_pages_name_the_problem() {
    let errors = ["not_found", "forbidden", "unauthenticated", "unavailable", "internal"];
    assert_text("error_page", move || {
        errors
            .map(|code| view! { <ErrorPage error=UiError::new(code, "The message.")/> })
            .into_iter()
            .collect_view()
    });
}

#[test]
fn times_are_relative_to_now() {
    let (ago, now) = (fixtures::ago, fixtures::now());
    assert_text("time", move || {
        view! {
            <p><Ago at=ago(3600 + 59 * 60)/></p>
            <p><Ago at=ago(-89 * 86_400)/></p>
            <p><AgoOr at=None/></p>
            <p><Due at=ago(-3)/></p>
            <p><Due at=ago(3)/></p>
            <p><Elapsed from=now to=None/></p>
            <p><Elapsed from=ago(1) to=Some(now)/></p>
        }
    });
}

#[test]
fn log_marks_matches_and_tells_what_is_shown() {
    let line = |n, level, message: &str| LogLine {
        n,
        at: fixtures::ago(60),
        level,
        step: "RunBackupJob".to_owned(),
        message: message.to_owned(),
    };
    let lines = vec![line(1, Level::Info, "copied shop"), line(2, Level::Error, "cannot copy public.big")];
    let log = move |search: &str, lines: Vec<LogLine>, state| {
        let detail = fixtures::run_detail(state, vec![]);
        let filter = LogFilter { search: search.to_owned(), ..LogFilter::default() };
        let matches = i64::try_from(lines.len()).expect("few lines");
        let page = LogPage { lines, earlier: false, later: false, matches, newest: 2 };
        let window = LogWindow::new(detail.run.id, filter, page);
        view! { <LogView run=RunSignals::start(detail, window)/> }
    };
    assert_text("log_view", move || {
        view! {
            {log("", lines.clone(), RunState::Running)}
            {log("public", vec![lines[1].clone()], RunState::Failed)}
            {log("missing", vec![], RunState::Failed)}
        }
    });
}
