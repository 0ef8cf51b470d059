//! Snapshots of a run's page in each state.

use leptos::prelude::*;
use model::run::RunDetail;
use model::{LogFilter, LogPage, Role, RunState, StepState};

use super::{RunDetailView, steps_label};
use crate::api::runs::RunView;
use crate::testing::assert_text;
use crate::testing::fixtures::{receipt, run_detail, step};

const STEPS: [&str; 5] =
    ["CreateImageRecord", "GetInstanceByK8sName", "RunBackupJob", "VerifyImage", "UpdateImageStatus"];

fn detail(state: RunState, steps: [StepState; 5]) -> RunDetail {
    let row = |(position, (name, state)): (i32, (&str, StepState))| step(position, name, state);
    run_detail(state, (0..).zip(STEPS.into_iter().zip(steps)).map(row).collect())
}

fn snapshot(name: &'static str, detail: RunDetail, cancelling: bool) {
    let view = RunView { detail, filter: LogFilter::default(), log: LogPage::default() };
    assert_text(name, move || {
        view! { <RunDetailView view role=Role::Operator cancelling=Signal::derive(move || cancelling)/> }
    });
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
    assert_eq!(steps_label(&succeeded), "5 steps");
    snapshot("page_run_succeeded", succeeded, false);
}

#[test]
fn failed_run() {
    use StepState::{Skipped, Undone};
    let failed = detail(RunState::Failed, [Undone, Undone, Undone, Skipped, Skipped]);
    assert_eq!(steps_label(&failed), "3 of 3 rolled back");
    snapshot("page_run_failed", failed, false);
}

/// Neither the rate nor the remaining time of the job that has ended is shown.
#[test]
fn run_that_rolls_back_shows_the_rollback() {
    use StepState::{Done, Skipped, Undoing};
    let undoing = detail(RunState::Undoing, [Done, Done, Undoing, Skipped, Skipped]);
    assert_eq!(steps_label(&undoing), "0 of 3 rolled back");
    snapshot("page_run_rolling_back", undoing, false);
}

#[test]
fn stuck_run_names_the_decision() {
    use StepState::{Done, Skipped, Stuck};
    snapshot("page_run_stuck", detail(RunState::Stuck, [Done, Done, Stuck, Skipped, Skipped]), false);
}
