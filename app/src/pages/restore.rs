//! Being written.

use leptos::prelude::*;

/// Being written.
#[component]
pub fn Restore() -> impl IntoView {
    view! { <p>"Restore"</p> }
}
