//! Being written.

use leptos::prelude::*;

/// Being written.
#[component]
pub fn NewInstance() -> impl IntoView {
    view! { <p>"NewInstance"</p> }
}
