//! Pages that say why there is nothing else to see: what happened, and the way out.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::components::icon::Mark;
use crate::components::shown::answer_with;
use crate::error::UiError;

/// No page has this address.
#[component]
pub fn NotFound() -> impl IntoView {
    let error = UiError::new("not_found", "No page has this address. It may have been moved, or mistyped.");
    answer_with(&error);
    view! { <ErrorPage error/> }
}

/// A page that is nothing but an error.
#[component]
pub fn ErrorPage(
    /// The error.
    error: UiError,
) -> impl IntoView {
    let title = match error.status() {
        404 => "Not here",
        403 => "Not allowed",
        401 => "Not logged in",
        503 => "Not available now",
        _ => "That did not work",
    };
    let code = format!("{} {}", error.status(), error.code);
    view! {
        <Title text=title/>
        <section class="nowhere">
            <Mark plan=true/>
            <div class="stack">
                <h1>{title}</h1>
                <p>{error.message}</p>
                <p class="sub mono">{code}</p>
                <div class="actions">
                    <a class="btn" href="/">"To the overview"</a>
                    <a class="btn" href="" rel="external">"Load it again"</a>
                </div>
            </div>
        </section>
    }
    .into_any()
}
