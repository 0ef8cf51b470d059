//! The back-up button and the action behind it.

use leptos::prelude::*;
use model::{Health, Instance, InstanceStatus};

use super::field::{ActionError, action_error};
use super::icon::Icon;
use crate::api::instances::BackUp;

/// The server action that starts a backup. The layout owns it, so that its error remains when the row with the button is
/// rendered again.
#[derive(Clone, Copy)]
pub struct BackUpAction(ServerAction<BackUp>);

impl BackUpAction {
    /// Creates the action and provides it as context.
    pub fn provide() -> Self {
        let action = Self(ServerAction::new());
        provide_context(action);
        action
    }

    /// The error of the last call.
    #[must_use]
    pub fn error(self) -> ActionError {
        action_error(self.0)
    }

    /// The action, for a form.
    #[must_use]
    pub fn action(self) -> ServerAction<BackUp> {
        self.0
    }
}

/// The action that starts a backup.
///
/// # Panics
/// Outside of the layout.
#[must_use]
pub fn use_back_up() -> BackUpAction {
    expect_context()
}

/// Whether the instance can be backed up now.
#[must_use]
pub fn can_back_up(instance: &Instance) -> bool {
    instance.status == InstanceStatus::Running && instance.health != Health::Down
}

/// A button that starts a backup and opens its run.
#[component]
pub fn BackUpButton(
    /// The instance.
    instance: Instance,
    /// Whether it is the page's primary button.
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
