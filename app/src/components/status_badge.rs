//! States as shape + word + hue: which of each belongs to a run, a step, an image, an instance.

use leptos::prelude::*;
use model::run::StepState;
use model::{Health, Image, ImageStatus, Instance, InstanceStatus, RunState};

use super::icon::Icon;

/// How a state looks: its hue's class, its shape, its word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusStyle {
    /// The class that carries the hue: `ok run wait todo warn fail stuck undo off`.
    pub tone: &'static str,
    /// The shape's symbol.
    pub icon: &'static str,
    /// The word.
    pub label: String,
}

impl StatusStyle {
    /// A look of its own, for what has no table below.
    #[must_use]
    pub fn new(tone: &'static str, icon: &'static str, label: impl Into<String>) -> Self {
        Self { tone, icon, label: label.into() }
    }
}

/// Shape, word and hue of a state.
#[component]
pub fn StatusBadge(
    /// How it looks.
    #[prop(into)]
    style: StatusStyle,
    /// On a ground of its own: in the head of a page.
    #[prop(optional)]
    pill: bool,
    /// What to say on hover.
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

/// How a run's state looks.
#[must_use]
pub fn run(state: RunState) -> StatusStyle {
    let (tone, icon) = match state {
        RunState::Running => ("run", "s-run"),
        RunState::Undoing => ("undo", "s-undo"),
        RunState::Succeeded => ("ok", "s-ok"),
        RunState::Failed => ("fail", "s-fail"),
        RunState::Cancelled => ("off", "s-cancel"),
        RunState::Stuck => ("stuck", "s-stuck"),
    };
    StatusStyle::new(tone, icon, state.as_str())
}

/// How a step's state looks.
#[must_use]
pub fn step(state: StepState) -> StatusStyle {
    let (tone, icon, word) = match state {
        StepState::Todo => ("todo", "s-todo", "to do"),
        // Its job works; what it waits for in vain has words of its own.
        StepState::Running | StepState::Waiting => ("run", "s-run", "running"),
        StepState::Retrying => ("warn", "s-wait", "tries again"),
        StepState::Done => ("ok", "s-ok", "done"),
        StepState::Failed => ("fail", "s-fail", "failed"),
        StepState::Undoing => ("undo", "s-undo", "undoing"),
        StepState::Undone => ("undo", "s-undo", "undone"),
        StepState::Skipped => ("off", "s-cancel", "not begun"),
        StepState::Stuck => ("stuck", "s-stuck", "stuck"),
    };
    StatusStyle::new(tone, icon, word)
}

/// How an image's state looks. Green only when it was restored and compared; a square each.
#[must_use]
pub fn image(image: &Image) -> StatusStyle {
    match image.status {
        ImageStatus::Available if image.proven_at.is_some() => StatusStyle::new("ok", "s-proven", "proven"),
        ImageStatus::Available => StatusStyle::new("off", "s-made", "made"),
        ImageStatus::Creating => StatusStyle::new("run", "s-backing_up", "being made"),
        ImageStatus::Failed if image.was_cancelled() => StatusStyle::new("off", "s-cancel", "cancelled"),
        ImageStatus::Failed => StatusStyle::new("fail", "s-fail", "failed"),
        ImageStatus::Corrupt => StatusStyle::new("fail", "s-fail", "corrupt"),
        ImageStatus::Deleting => StatusStyle::new("undo", "trash", "deleting"),
    }
}

/// How an instance's state looks: a drum each, trouble has corners.
#[must_use]
pub fn instance(instance: &Instance) -> StatusStyle {
    match (instance.status, instance.health) {
        (InstanceStatus::Running, Health::Ok) if instance.health_detail.is_some() => {
            StatusStyle::new("warn", "s-up", "in danger")
        }
        (InstanceStatus::Running, Health::Ok) => StatusStyle::new("ok", "s-up", "running"),
        (InstanceStatus::Running, Health::Down) => StatusStyle::new("fail", "s-fail", "down"),
        (InstanceStatus::Running, Health::Unknown) => StatusStyle::new("wait", "s-down", "starting"),
        (InstanceStatus::Creating, _) if instance.source_image.is_some() => {
            StatusStyle::new("run", "s-run", "restoring")
        }
        (InstanceStatus::Creating, _) => StatusStyle::new("run", "s-run", "creating"),
        (InstanceStatus::Stopping, _) => StatusStyle::new("run", "s-run", "stopping"),
        (InstanceStatus::Starting, _) => StatusStyle::new("run", "s-run", "starting"),
        (InstanceStatus::Stopped, _) => StatusStyle::new("off", "s-down", "stopped"),
        (InstanceStatus::Failed, _) if instance.was_cancelled() => {
            StatusStyle::new("off", "s-cancel", "cancelled")
        }
        (InstanceStatus::Failed, _) => StatusStyle::new("fail", "s-fail", "failed"),
        (InstanceStatus::Deleting, _) => StatusStyle::new("undo", "trash", "deleting"),
    }
}
