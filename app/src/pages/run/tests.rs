//! Snapshots of a run's page in each state.

use leptos::prelude::*;
use model::run::{Diagnosis, RunDetail};
use model::{Failure, FailureCode, LogFilter, LogPage, Role, RunState, StepState};

use super::{RunDetailView, steps_label};
use crate::api::runs::RunView;
use crate::testing::fixtures::{ago, failure, receipt, run_detail, step};
use crate::testing::{assert_text, html};

const STEPS: [&str; 5] =
    ["CreateImageRecord", "GetInstanceByK8sName", "RunBackupJob", "VerifyImage", "UpdateImageStatus"];

fn detail(state: RunState, steps: [StepState; 5]) -> RunDetail {
    let row = |(position, (name, state)): (i32, (&str, StepState))| step(position, name, state);
    run_detail(state, (0..).zip(STEPS.into_iter().zip(steps)).map(row).collect())
}

fn run_view(detail: RunDetail) -> RunView {
    RunView { detail, filter: LogFilter::default(), log: LogPage::default() }
}

fn snapshot(name: &'static str, detail: RunDetail, cancelling: bool) {
    let view = run_view(detail);
    assert_text(name, move || view! { <RunDetailView view role=Role::Operator cancelling/> });
}

#[test]
fn running_run() {
    use StepState::{Done, Running, Todo};
    let running = detail(RunState::Running, [Done, Done, Running, Todo, Todo]);
    assert_eq!(steps_label(&running), "2 of 5 done");
    snapshot("page_run_running", running.clone(), false);
    snapshot("page_run_cancel", running, true);
}

#[test]
fn succeeded_run() {
    let mut succeeded = detail(RunState::Succeeded, [StepState::Done; 5]);
    succeeded.receipt = Some(receipt(0));
    assert_eq!(steps_label(&succeeded), "5 of 5 done");
    snapshot("page_run_succeeded", succeeded, false);
}

/// The failure of the last attempt of a copy whose first attempt lost its connection.
fn last_failure() -> Failure {
    Failure::new(FailureCode::ConnectionRefused, "connection refused").on("db.example.com:5432")
}

/// A run whose copy failed twice, each time for another reason, and whose steps have these states.
fn failed_twice(state: RunState, steps: [StepState; 5]) -> RunDetail {
    let mut detail = detail(state, steps);
    detail.run.error = Some(last_failure());
    detail.step_rows[2].first_error = Some(failure());
    detail.step_rows[2].error = Some(last_failure());
    let meaning = match state {
        RunState::Stuck => "The rollback is incomplete. The run still holds its locks.",
        RunState::Undoing => "The run is rolling back.",
        _ => "The image is not usable. The source was only read, and earlier images are unchanged.",
    };
    let explanation = failure().code.explanation();
    detail.diagnosis = Some(Diagnosis {
        cause: explanation.cause.to_owned(),
        fix: explanation.fix.to_owned(),
        meaning: meaning.to_owned(),
    });
    detail
}

#[test]
fn failed_run_shows_the_first_error_before_the_last() {
    use StepState::{Skipped, Undone};
    let failed = failed_twice(RunState::Failed, [Undone, Undone, Undone, Skipped, Skipped]);
    assert_eq!(steps_label(&failed), "3 of 3 rolled back");
    let alert = super::alert(&failed);
    let page = html(move || alert);
    let position = |text: &str| page.find(text).expect("the error is shown");
    assert!(position("public.big: the server closed") < position("db.example.com:5432: connection refused"));
    snapshot("page_run_failed", failed, false);
}

/// Neither the rate nor the remaining time of the job that has ended is shown.
#[test]
fn run_that_rolls_back_shows_the_rollback() {
    use StepState::{Done, Skipped, Undoing};
    let mut undoing = failed_twice(RunState::Undoing, [Done, Done, Undoing, Skipped, Skipped]);
    undoing.step_rows[2].finished_at = Some(ago(58));
    undoing.step_rows[2].undo_started_at = Some(ago(10));
    undoing.step_rows[2].undo_attempt = 1;
    undoing.step_rows[2].undo_error = Some(Failure::new(FailureCode::StoreUnavailable, "no answer for 20 s"));
    assert_eq!(steps_label(&undoing), "0 of 3 rolled back");
    let view = run_view(undoing.clone());
    let page = html(move || view! { <RunDetailView view role=Role::Viewer cancelling=false/> });
    assert!(!page.contains("MB/s") && !page.contains("Remaining"), "{page}");
    snapshot("page_run_rolling_back", undoing, false);
}

#[test]
fn cancelled_run_rolls_back_without_an_error() {
    use StepState::{Done, Skipped, Undoing};
    let mut undoing = detail(RunState::Undoing, [Done, Done, Undoing, Skipped, Skipped]);
    undoing.run.cancel = true;
    snapshot("page_run_rolling_back_cancelled", undoing, false);
}

#[test]
fn stuck_run_names_the_decision() {
    use StepState::{Done, Skipped, Stuck};
    let mut stuck = failed_twice(RunState::Stuck, [Done, Done, Stuck, Skipped, Skipped]);
    stuck.step_rows[2].undo_error = Some(Failure::new(FailureCode::StoreUnavailable, "no answer for 20 s"));
    let view = run_view(stuck);
    // Only an admin may leave what the rollback could not remove.
    assert_text("page_run_stuck", move || view! { <RunDetailView view role=Role::Admin cancelling=false/> });
}

#[test]
fn run_that_waits_names_the_resource() {
    use StepState::{Done, Todo, Waiting};
    let mut waiting = detail(RunState::Running, [Done, Done, Waiting, Todo, Todo]);
    let failure = Failure::new(FailureCode::Unschedulable, "0/3 nodes are available: 3 Insufficient memory.");
    let explanation = failure.code.explanation();
    waiting.diagnosis = Some(Diagnosis {
        cause: explanation.cause.to_owned(),
        fix: explanation.fix.to_owned(),
        meaning: String::new(),
    });
    waiting.step_rows[2].waits_for = Some(failure);
    snapshot("page_run_waiting", waiting, false);
}
