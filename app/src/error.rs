//! The error of server functions: a code for programs, a message for users, and the form field that it belongs to.

use std::collections::BTreeMap;

use leptos::server_fn::Bytes;
use leptos::server_fn::Decodes;
use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};

/// The error of a server function, as pages show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UiError {
    /// A stable code: `not_found`, `invalid`, `conflict`, `forbidden`, `sudo_required`, `internal`, …
    pub code: String,
    /// The form field that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The message for the user.
    pub message: String,
    /// The submitted values by field, without secrets, for a form that is rendered again without WASM.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub input: BTreeMap<String, String>,
}

/// The result of a server function.
pub type Result<T> = std::result::Result<T, UiError>;

impl UiError {
    /// An error with a code and a message.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), field: None, message: message.into(), input: BTreeMap::new() }
    }

    /// An error for an action that requires a higher role.
    #[must_use]
    pub fn role(needs: model::Role, has: model::Role) -> Self {
        Self::new("forbidden", format!("This action requires the role {needs}; your role is {has}."))
    }

    /// An error for an invalid value of `field`.
    #[must_use]
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new("invalid", message) }
    }

    /// Adds the submitted values. Without WASM they are sent in an address: they must not contain secrets.
    #[must_use]
    pub fn with_input<'a>(mut self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.input = fields
            .into_iter()
            // The length of an address is limited; longer values are invalid in any case.
            .map(|(name, value)| (name.to_owned(), value.chars().take(300).collect()))
            .collect();
        self
    }

    /// Whether the requested object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code == "not_found"
    }

    /// The HTTP status of a page that shows only this error.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.code.as_str() {
            "not_found" => 404,
            "forbidden" | "sudo_required" => 403,
            "unauthenticated" => 401,
            "invalid" => 422,
            "conflict" => 409,
            "too_many" => 429,
            "unavailable" => 503,
            _ => 500,
        }
    }
}

impl std::fmt::Display for UiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UiError {}

impl FromServerFnError for UiError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Request(_) => {
                Self::new("offline", "Cannot reach the server. Check your connection and try again.")
            }
            ServerFnErrorErr::Args(_)
            | ServerFnErrorErr::MissingArg(_)
            | ServerFnErrorErr::Serialization(_) => {
                Self::new("invalid", "The form was incomplete. Reload the page and try again.")
            }
            ServerFnErrorErr::Deserialization(_) => Self::new(
                "out_of_date",
                "Toygres was updated. Reload the page and check whether your last action took effect.",
            ),
            _ => Self::new("internal", "An internal error occurred."),
        }
    }

    /// Serializes the error and sets its status on the response, because the framework responds to every error with 500.
    fn ser(&self) -> Bytes {
        #[cfg(feature = "ssr")]
        response::set_status(self);
        // Strings and a map of strings always serialize.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Deserializes an error. In the browser, an error that requires a login or the password leads to that page.
    fn de(data: Bytes) -> Self {
        let error = JsonEncoding::decode(data).unwrap_or_else(|cause: serde_json::Error| {
            Self::from_server_fn_error(ServerFnErrorErr::Deserialization(cause.to_string()))
        });
        #[cfg(all(feature = "hydrate", not(feature = "ssr")))]
        login::redirect(&error);
        error
    }
}

#[cfg(feature = "ssr")]
mod response {
    use leptos::prelude::use_context;

    /// Sets the status of the response, except for a plain form: it is redirected to its page.
    pub(super) fn set_status(error: &super::UiError) {
        let accepts = |parts: &http::request::Parts| {
            let accept = parts.headers.get(http::header::ACCEPT)?.to_str().ok()?;
            Some(accept.contains("text/html"))
        };
        let plain_form = use_context::<http::request::Parts>().as_ref().and_then(accepts).unwrap_or(false);
        if !plain_form
            && let Some(response) = use_context::<leptos_axum::ResponseOptions>()
            && let Ok(status) = http::StatusCode::from_u16(error.status())
        {
            response.set_status(status);
        }
    }
}

#[cfg(all(feature = "hydrate", not(feature = "ssr")))]
mod login {
    use leptos::prelude::window;

    use crate::url;

    /// Redirects to the login or password page if the error requires it.
    pub(super) fn redirect(error: &super::UiError) {
        let target = match error.code.as_str() {
            "sudo_required" => "/sudo",
            "unauthenticated" => "/login",
            _ => return,
        };
        let location = window().location();
        let current =
            format!("{}{}", location.pathname().unwrap_or_default(), location.search().unwrap_or_default());
        if !current.starts_with(target) {
            // If the browser denies the navigation, the page still shows the message.
            let _ = location.set_href(&format!("{target}?next={}", url::encode(&current)));
        }
    }
}

#[cfg(feature = "ssr")]
impl From<control::Error> for UiError {
    fn from(error: control::Error) -> Self {
        let code = error.code();
        let message = error.to_string();
        match error {
            control::Error::Invalid { field, .. } => {
                Self { field: Some(field.to_owned()), ..Self::new(code, message) }
            }
            control::Error::Internal(cause) => {
                let reference = uuid::Uuid::new_v4().simple().to_string().split_off(24);
                tracing::error!(reference, error = format!("{cause:#}"), "a request failed");
                Self::new(code, format!("{message} Reference in the server log: {reference}."))
            }
            _ => Self::new(code, message),
        }
    }
}
