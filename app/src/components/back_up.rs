//! The button that this is all about.

use leptos::prelude::*;
use model::{Health, Instance, InstanceStatus};

use super::field::refused;
use super::icon::Icon;
use super::toast::use_toasts;
use crate::api::instances::BackUp;

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
    let action = ServerAction::<BackUp>::new();
    let refused = refused(action);
    let toasts = use_toasts();
    Effect::new(move |_| {
        if let Some(error) = refused.get() {
            toasts.say(error.message);
        }
    });
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
