//! Being written.

use leptos::prelude::*;

/// Being written.
#[component]
pub fn Login() -> impl IntoView {
    view! { <p>"Login"</p> }
}
