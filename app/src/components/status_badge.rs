//! Status badges: the icon, label and color of each state of a run, a step, an image and an instance.

use leptos::prelude::*;
use model::run::StepState;
use model::{Health, Image, ImageStatus, Instance, InstanceStatus, RunState};

use super::icon::Icon;
use crate::labels;

/// How a state is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusStyle {
    /// The class of the color: `ok run wait todo warn fail stuck undo off`.
    pub tone: &'static str,
    /// The icon's name.
    pub icon: &'static str,
    /// The label.
    pub label: String,
}

impl StatusStyle {
    /// A style for a state that has no function below.
    #[must_use]
    pub fn new(tone: &'static str, icon: &'static str, label: impl Into<String>) -> Self {
        Self { tone, icon, label: label.into() }
    }
}

/// A state with its icon, label and color.
#[component]
pub fn StatusBadge(
    /// How it is shown.
    #[prop(into)]
    style: StatusStyle,
    /// Whether it has a background, as in the header of a page.
    #[prop(optional)]
    pill: bool,
    /// The tooltip.
    #[prop(default = None)]
    title: Option<String>,
) -> impl IntoView {
    view! {
        <span class=format!("state {}{}", style.tone, if pill { " pill" } else { "" }) title=title>
            <Icon name=style.icon/>
            {style.label}
        </span>
    }
}

/// The style of a run's state.
#[must_use]
pub fn run(state: RunState) -> StatusStyle {
    let (tone, icon, label) = match state {
        RunState::Running => ("run", "s-run", "running"),
        RunState::Undoing => ("undo", "s-undo", "rolling back"),
        RunState::Succeeded => ("ok", "s-ok", "succeeded"),
        RunState::Failed => ("fail", "s-fail", "failed"),
        RunState::Cancelled => ("off", "s-cancel", "cancelled"),
        RunState::Stuck => ("stuck", "s-stuck", "needs attention"),
    };
    StatusStyle::new(tone, icon, label)
}

/// The style of a step's state.
#[must_use]
pub fn step(state: StepState) -> StatusStyle {
    let (tone, icon, label) = match state {
        StepState::Todo => ("todo", "s-todo", "pending"),
        // In `Waiting` the step's job runs; a step that is blocked has `waits_for`.
        StepState::Running | StepState::Waiting => ("run", "s-run", "running"),
        StepState::Retrying => ("warn", "s-wait", "retrying"),
        StepState::Done => ("ok", "s-ok", "done"),
        StepState::Failed => ("fail", "s-fail", "failed"),
        StepState::Undoing => ("undo", "s-undo", "rolling back"),
        StepState::Undone => ("undo", "s-undo", "rolled back"),
        StepState::Skipped => ("off", "s-cancel", "skipped"),
        StepState::Stuck => ("stuck", "s-stuck", "rollback failed"),
    };
    StatusStyle::new(tone, icon, label)
}

/// The style of an image's state. Only a proven image is green.
#[must_use]
pub fn image(image: &Image) -> StatusStyle {
    let (tone, icon, label) = match image.status {
        ImageStatus::Available if image.proven_at.is_some() => ("ok", "s-proven", "proven"),
        ImageStatus::Available => ("off", "s-made", "available"),
        ImageStatus::Creating => match image.run_state {
            Some(state @ (RunState::Stuck | RunState::Undoing)) => return run(state),
            _ => ("run", "s-making", "creating"),
        },
        ImageStatus::Failed if image.was_cancelled() => ("off", "s-cancel", "cancelled"),
        ImageStatus::Failed => ("fail", "s-fail", "failed"),
        ImageStatus::Corrupt => ("fail", "s-fail", "corrupt"),
        ImageStatus::Deleting => ("undo", "trash", "deleting"),
    };
    StatusStyle::new(tone, icon, label)
}

/// The style of an instance's state, which depends on its status and on its last health check.
#[must_use]
pub fn instance(instance: &Instance) -> StatusStyle {
    let (tone, icon, label) = match (instance.status, instance.health) {
        (InstanceStatus::Running, Health::Ok)
            if instance.health_detail.is_some() || labels::missing_worker(instance).is_some() =>
        {
            ("warn", "s-up", "at risk")
        }
        (InstanceStatus::Running, Health::Ok) => ("ok", "s-up", "running"),
        (InstanceStatus::Running, Health::Down) => ("fail", "s-fail", "not responding"),
        (InstanceStatus::Running, Health::Unknown) => ("wait", "s-down", "unknown"),
        (InstanceStatus::Creating, _) if instance.source_image.is_some() => ("run", "s-run", "restoring"),
        (InstanceStatus::Creating, _) => ("run", "s-run", "creating"),
        (InstanceStatus::Stopping, _) => ("run", "s-run", "stopping"),
        (InstanceStatus::Starting, _) => ("run", "s-run", "starting"),
        (InstanceStatus::Stopped, _) => ("off", "s-down", "stopped"),
        (InstanceStatus::Failed, _) if instance.was_cancelled() => ("off", "s-cancel", "cancelled"),
        (InstanceStatus::Failed, _) => ("fail", "s-fail", "failed"),
        (InstanceStatus::Deleting, _) => ("undo", "trash", "deleting"),
    };
    StatusStyle::new(tone, icon, label)
}
