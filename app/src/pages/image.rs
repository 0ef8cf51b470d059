//! Being written.

use leptos::prelude::*;

/// Being written.
#[component]
pub fn ImagePage() -> impl IntoView {
    view! { <p>"ImagePage"</p> }
}
