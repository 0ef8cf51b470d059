//! Being written.

use leptos::prelude::*;

/// Being written.
#[component]
pub fn Images() -> impl IntoView {
    view! { <p>"Images"</p> }
}
