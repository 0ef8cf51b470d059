//! What was error, above the form, where it belongs to no field of it.

use leptos::prelude::*;

use super::field::ActionError;
use super::icon::Icon;

/// The refusal of a form's last try, unless one of `fields` shows it.
#[component]
pub fn FormError(
    /// The form's refusal.
    #[prop(into)]
    error: ActionError,
    /// The fields that show their own.
    #[prop(optional)]
    fields: &'static [&'static str],
) -> impl IntoView {
    view! {
        <div aria-live="assertive">
            {move || {
                error
                    .get()
                    .filter(|error| error.field.as_deref().is_none_or(|field| !fields.contains(&field)))
                    .map(|error| {
                        view! {
                            <p class="form-error fail">
                                <Icon name="s-fail"/>
                                <span>{error.message}</span>
                            </p>
                        }
                    })
            }}
        </div>
    }
    .into_any()
}
