//! The error of a form that belongs to none of its fields.

use leptos::prelude::*;

use super::field::ActionError;
use super::icon::Icon;

/// The error of a form's last submission, unless it belongs to one of `fields`.
#[component]
pub fn FormError(
    /// The form's error.
    #[prop(into)]
    error: ActionError,
    /// The fields that show their own error.
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
