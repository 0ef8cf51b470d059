//! How errors leave the REST side: one JSON shape, the right status, and for our own faults an id that the log has too.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The body of every answer that is no success.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorWords,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorWords {
    /// A word that does not change.
    code: &'static str,
    /// A sentence.
    message: String,
    /// The field that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    /// What the log has the cause under, if it is our fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
}

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    body: ErrorBody,
    retry_after: Option<i64>,
}

/// What an answer that is no success says, for whoever shows it in another shape.
#[derive(Clone)]
pub(crate) struct Said {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    /// One with these words.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let error = ErrorWords { code, message: message.into(), field: None, correlation_id: None };
        Self { status, body: ErrorBody { error }, retry_after: None }
    }

    /// Nobody is logged in.
    pub(crate) fn no_session() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "Log in first: POST /login, or send a bearer token.",
        )
    }

    /// There is no such address.
    pub(crate) fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "There is nothing at this address. GET /api/openapi.json lists what there is.",
        )
    }
}

impl From<control::Error> for Refusal {
    fn from(error: control::Error) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut refusal = Self::new(status, error.code(), error.to_string());
        match &error {
            control::Error::Invalid { field, .. } => refusal.body.error.field = Some(field),
            control::Error::TooMany { retry_after_seconds } => {
                refusal.retry_after = Some(*retry_after_seconds);
            }
            control::Error::Unavailable(_) => refusal.retry_after = Some(2),
            control::Error::Internal(cause) => {
                let id = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
                tracing::error!(reference = id, error = format!("{cause:#}"), "a request failed");
                refusal.body.error.correlation_id = Some(id);
            }
            _ => {}
        }
        refusal
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        let status = rejection.status();
        let (code, words) = match status {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => (
                "unsupported_media_type",
                "Send the body as JSON, with Content-Type: application/json.".to_owned(),
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                ("too_large", "The body is larger than anything that is asked for here.".to_owned())
            }
            StatusCode::UNPROCESSABLE_ENTITY => (
                "invalid",
                format!("The body is not what is asked for here: {}.", tail(&rejection.body_text())),
            ),
            _ => ("broken_json", format!("The body is no JSON: {}.", tail(&rejection.body_text()))),
        };
        Self::new(status, code, words)
    }
}

/// What serde says, without the library's own introduction.
fn tail(text: &str) -> String {
    let words = text
        .rsplit_once("target type: ")
        .or_else(|| text.rsplit_once("as JSON: "))
        .map_or(text, |(_, words)| words);
    words.trim_end_matches('.').chars().take(200).collect()
}

impl From<PathRejection> for Refusal {
    fn from(_: PathRejection) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "An id in the address is none: ids are UUIDs.")
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid",
            format!("The query cannot be read: {}.", tail(&rejection.body_text())),
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let said = Said { code: self.body.error.code, message: self.body.error.message.clone() };
        let mut response = (self.status, Json(self.body)).into_response();
        response.extensions_mut().insert(said);
        if let Some(seconds) = self.retry_after
            && let Ok(value) = HeaderValue::from_str(&seconds.max(1).to_string())
        {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}
