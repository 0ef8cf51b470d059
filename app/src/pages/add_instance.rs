//! Being written.

use leptos::prelude::*;

/// Being written.
#[component]
pub fn AddInstance() -> impl IntoView {
    view! { <p>"AddInstance"</p> }
}
