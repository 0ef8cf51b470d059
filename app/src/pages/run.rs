//! Being written.

use leptos::prelude::*;

/// Being written.
#[component]
pub fn RunPage() -> impl IntoView {
    view! { <p>"RunPage"</p> }
}
