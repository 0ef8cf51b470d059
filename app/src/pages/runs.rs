//! Being written.

use leptos::prelude::*;

/// Being written.
#[component]
pub fn Runs() -> impl IntoView {
    view! { <p>"Runs"</p> }
}
