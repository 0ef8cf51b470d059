//! Being written.

use leptos::prelude::*;

/// Being written.
#[component]
pub fn Overview() -> impl IntoView {
    view! { <p>"Overview"</p> }
}
