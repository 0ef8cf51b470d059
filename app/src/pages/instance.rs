//! Being written.

use leptos::prelude::*;

/// Being written.
#[component]
pub fn InstancePage() -> impl IntoView {
    view! { <p>"InstancePage"</p> }
}
