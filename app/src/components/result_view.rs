//! Data that was fetched, or the reason why it is not there; on the server the answer's status says so too.

use leptos::prelude::*;

use crate::error::{Result, UiError};
use crate::pages::errors::ErrorPage;

/// Shows `data` as a page by `show`, or the error as one.
pub fn shown<T, V: IntoView + 'static>(data: Result<T>, show: impl FnOnce(T) -> V) -> AnyView {
    match data {
        Ok(data) => show(data).into_any(),
        Err(error) => {
            set_response_status(&error);
            view! { <ErrorPage error/> }.into_any()
        }
    }
}

/// Gives the answer that is being rendered the status of an error.
#[cfg(feature = "ssr")]
pub fn set_response_status(error: &UiError) {
    // These answers are on their way to where the password is asked for.
    if matches!(error.code.as_str(), "unauthenticated" | "sudo_required") {
        return;
    }
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>()
        && let Ok(status) = http::StatusCode::from_u16(error.status())
    {
        response.set_status(status);
    }
}

/// In the browser there is no answer to give a status to.
#[cfg(not(feature = "ssr"))]
pub fn set_response_status(_: &UiError) {}
