//! The one error that server functions return: a code for programs, a sentence for people, the field that it is about.

use std::collections::BTreeMap;

use leptos::server_fn::Bytes;
use leptos::server_fn::Decodes;
use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};

/// Why something was error or went wrong, as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UiError {
    /// A word that does not change: `not_found`, `invalid`, `conflict`, `forbidden`, `sudo_required`, `internal`, …
    pub code: String,
    /// The form's field that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// A sentence for the person.
    pub message: String,
    /// What was typed, by field and without secrets: a form that is rendered again without WASM shows it again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub input: BTreeMap<String, String>,
}

/// What a server function returns.
pub type Result<T> = std::result::Result<T, UiError>;

impl UiError {
    /// An error of the given code.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), field: None, message: message.into(), input: BTreeMap::new() }
    }

    /// A refusal of what needs a higher role.
    #[must_use]
    pub fn role(needs: model::Role, has: model::Role) -> Self {
        Self::new("forbidden", format!("This needs the role {needs}; yours is {has}."))
    }

    /// A refusal of what was typed into `field`.
    #[must_use]
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new("invalid", message) }
    }

    /// Remembers what was typed. It travels in an address when there is no WASM, so never give it a secret.
    #[must_use]
    pub fn with_input<'a>(mut self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.input = fields
            .into_iter()
            // An address has an end; what is longer was error for its length anyway.
            .map(|(name, value)| (name.to_owned(), value.chars().take(300).collect()))
            .collect();
        self
    }

    /// Whether nothing is there under the address that was asked for.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code == "not_found"
    }

    /// The HTTP status of a page that shows nothing but this error.
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
            ServerFnErrorErr::Request(_) => Self::new(
                "offline",
                "The server did not answer. Nothing was done; try again when it is back.",
            ),
            ServerFnErrorErr::Args(_)
            | ServerFnErrorErr::MissingArg(_)
            | ServerFnErrorErr::Serialization(_) => {
                Self::new("invalid", "The form came incomplete. Load the page again and repeat it.")
            }
            ServerFnErrorErr::Deserialization(_) => Self::new(
                "out_of_date",
                "This page is older than the server. Load it again, then look whether the last thing was done.",
            ),
            _ => Self::new("internal", "Something went wrong on our side."),
        }
    }

    /// The framework answers every refusal with 500; here, where it turns one into a body, the answer gets its own status.
    fn ser(&self) -> Bytes {
        #[cfg(feature = "ssr")]
        answer::give_status(self);
        // A text and three maps of texts: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Reads a refusal, and where a password is what is missing, asks for it and comes back.
    fn de(data: Bytes) -> Self {
        let error = JsonEncoding::decode(data).unwrap_or_else(|cause: serde_json::Error| {
            Self::from_server_fn_error(ServerFnErrorErr::Deserialization(cause.to_string()))
        });
        #[cfg(all(feature = "hydrate", not(feature = "ssr")))]
        way_out::take(&error);
        error
    }
}

#[cfg(feature = "ssr")]
mod answer {
    use leptos::prelude::use_context;

    /// Gives an answer to a program its status; a plain form's answer is a way back to its page.
    pub(super) fn give_status(error: &super::UiError) {
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
mod way_out {
    use leptos::prelude::window;

    use crate::url;

    /// Goes to where the password is asked for, if that is what the error is about.
    pub(super) fn take(error: &super::UiError) {
        let door = match error.code.as_str() {
            "sudo_required" => "/sudo",
            "unauthenticated" => "/login",
            _ => return,
        };
        let location = window().location();
        let here =
            format!("{}{}", location.pathname().unwrap_or_default(), location.search().unwrap_or_default());
        if !here.starts_with(door) {
            // If the browser refuses to go there, the sentence on the page still says what is missing.
            let _ = location.set_href(&format!("{door}?next={}", url::encode(&here)));
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
                Self::new(code, format!("{message} The log has it under {reference}."))
            }
            _ => Self::new(code, message),
        }
    }
}
