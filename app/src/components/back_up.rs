//! The button that this is all about.

use leptos::prelude::*;
use model::{Health, Instance, InstanceStatus};

use super::field::{ActionError, action_error};
use super::icon::Icon;
use crate::api::instances::BackUp;

/// Starting a back-up, from wherever on the page. The frame has it, so that a refusal outlives the row with the button.
#[derive(Clone, Copy)]
pub struct BackUpAction(ServerAction<BackUp>);

impl BackUpAction {
    /// For the frame.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "made once, by the frame")]
    pub fn new() -> Self {
        Self(ServerAction::new())
    }

    /// The refusal of the last try.
    #[must_use]
    pub fn error(self) -> ActionError {
        action_error(self.0)
    }

    /// For a form.
    #[must_use]
    pub fn action(self) -> ServerAction<BackUp> {
        self.0
    }
}

/// Starting a back-up.
///
/// # Panics
/// Outside of the frame.
#[must_use]
pub fn use_back_up() -> BackUpAction {
    expect_context()
}

/// Whether an image of the instance can be made now.
#[must_use]
pub fn can_back_up(instance: &Instance) -> bool {
    instance.status == InstanceStatus::Running && instance.health != Health::Down
}

/// Starts a back-up at one press and goes to its run.
#[component]
pub fn BackUpButton(
    /// The instance.
    instance: Instance,
    /// As the page's one filled button.
    #[prop(optional)]
    primary: bool,
) -> impl IntoView {
    let action = use_back_up().action();
    let label = (!primary).then(|| format!("Back up {}", instance.name));
    view! {
        <ActionForm action=action>
            <input type="hidden" name="instance" value=instance.id.to_string()/>
            <button
                class=if primary { "btn primary" } else { "btn small" }
                aria-label=label
                disabled=move || action.pending().get()
            >
                <Icon name="backup"/>
                "Back up"
            </button>
        </ActionForm>
    }
}
