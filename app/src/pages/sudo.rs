//! Being written.

use leptos::prelude::*;

/// Being written.
#[component]
pub fn Sudo() -> impl IntoView {
    view! { <p>"Sudo"</p> }
}
