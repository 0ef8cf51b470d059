//! The page for addresses without a page.

use leptos::prelude::*;

use crate::components::error_page::ErrorPage;
use crate::components::result_view::set_response_status;
use crate::error::UiError;

#[cfg(feature = "ssr")]
pub use crate::components::error_page::document;

/// The page of an address that has no page.
#[component]
pub fn NotFound() -> impl IntoView {
    let error = UiError::new("not_found", "No page has this address. Check the address for typing errors.");
    set_response_status(&error);
    view! { <ErrorPage error/> }
}
