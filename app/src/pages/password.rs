//! Being written.

use leptos::prelude::*;

/// Being written.
#[component]
pub fn Password() -> impl IntoView {
    view! { <p>"Password"</p> }
}
