//! Renders the result of a server function: its data, or an error page with the status of the error.

use leptos::prelude::*;

use super::error_page::ErrorPage;
use crate::error::{Result, UiError};

/// Renders the data with `view`, or the error as a page.
pub fn view_or_error<T, V: IntoView + 'static>(data: Result<T>, view: impl FnOnce(T) -> V) -> AnyView {
    match data {
        Ok(data) => view(data).into_any(),
        Err(error) => {
            set_response_status(&error);
            view! { <ErrorPage error/> }.into_any()
        }
    }
}

/// Sets the HTTP status of the response to the status of an error.
#[cfg(feature = "ssr")]
pub fn set_response_status(error: &UiError) {
    // These responses redirect to the login or password page.
    if matches!(error.code.as_str(), "unauthenticated" | "sudo_required") {
        return;
    }
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>()
        && let Ok(status) = http::StatusCode::from_u16(error.status())
    {
        response.set_status(status);
    }
}

/// Does nothing: in the browser there is no response.
#[cfg(not(feature = "ssr"))]
pub fn set_response_status(_: &UiError) {}
