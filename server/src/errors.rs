//! Error responses of the REST API: one JSON shape, the HTTP status, and for defects an id that is also in the log.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::{Failure, FailureCode};
use serde::Serialize;
use utoipa::ToSchema;

/// The body of every error response.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorDetail {
    /// What kind of error it is; programs decide on this alone. Codes never change.
    code: &'static str,
    /// What happened, as a sentence for users.
    message: String,
    /// What the failure is about: a host, an object key, a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// The raw text of the component that reported the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The invalid field of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    /// The code of the failure, if a test with the value of the field failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    /// The id of the log entry with the cause of an internal error.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
}

/// An error response.
#[derive(Debug)]
pub(crate) struct ErrorResponse {
    status: StatusCode,
    error: Box<ErrorDetail>,
    /// Seconds until a repetition of the request may succeed.
    retry_after: Option<i64>,
}

/// The code and message of an error response, for a layer that presents it in another shape.
#[derive(Clone)]
pub(crate) struct ErrorSummary {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl ErrorResponse {
    /// A response with this status, code and message.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let error = ErrorDetail {
            code,
            message: message.into(),
            subject: None,
            detail: None,
            field: None,
            cause: None,
            correlation_id: None,
        };
        Self { status, error: Box::new(error), retry_after: None }
    }

    /// The caller is not logged in.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "Log in first: use POST /login, or send a bearer token.",
        )
    }

    /// No route has this path.
    pub(crate) fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "This path does not exist. GET /api/openapi.json lists all paths.",
        )
    }

    /// The body exceeds the limit.
    pub(crate) fn body_too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Request body too large (256 KiB maximum).")
    }
}

/// The status of an error of the product.
fn status(error: &control::Error) -> StatusCode {
    match error {
        control::Error::NotFound(_) => StatusCode::NOT_FOUND,
        control::Error::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        control::Error::Conflict(_) => StatusCode::CONFLICT,
        control::Error::Forbidden(_) | control::Error::SudoRequired => StatusCode::FORBIDDEN,
        control::Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        control::Error::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        control::Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        control::Error::Failed(failure) => match failure.code {
            FailureCode::StateDatabaseUnavailable
            | FailureCode::ClusterUnreachable
            | FailureCode::PlatformUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            FailureCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::CONFLICT,
        },
        control::Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<control::Error> for ErrorResponse {
    fn from(error: control::Error) -> Self {
        let mut response = Self::new(status(&error), error.code(), error.to_string());
        match error {
            control::Error::Invalid { field, cause, .. } => {
                response.error.field = Some(field);
                response.error.cause = cause.map(FailureCode::as_str);
            }
            control::Error::TooMany { retry_after_seconds } => {
                response.retry_after = Some(retry_after_seconds);
            }
            control::Error::Failed(failure) => {
                response.error.message = failure.message();
                let Failure { subject, detail, .. } = failure;
                (response.error.subject, response.error.detail) = (subject, Some(detail));
            }
            control::Error::Internal(cause) => {
                let id = uuid::Uuid::new_v4().simple().to_string()[..8].to_owned();
                tracing::error!(reference = id, error = format!("{cause:#}"), "a request failed");
                response.error.correlation_id = Some(id);
            }
            _ => {}
        }
        if response.status == StatusCode::SERVICE_UNAVAILABLE {
            response.retry_after = Some(2);
        }
        response
    }
}

impl From<tower_sessions::session::Error> for ErrorResponse {
    fn from(error: tower_sessions::session::Error) -> Self {
        crate::session::unavailable(&error).into()
    }
}

impl From<JsonRejection> for ErrorResponse {
    fn from(rejection: JsonRejection) -> Self {
        let (code, message) = match rejection.status() {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => (
                "unsupported_media_type",
                "Send the body as JSON, with Content-Type: application/json.".to_owned(),
            ),
            StatusCode::PAYLOAD_TOO_LARGE => return Self::body_too_large(),
            StatusCode::UNPROCESSABLE_ENTITY => {
                ("invalid", format!("The body does not have the expected fields: {}.", cause(&rejection)))
            }
            _ => ("broken_json", format!("The body is not valid JSON: {}.", cause(&rejection))),
        };
        Self::new(rejection.status(), code, message)
    }
}

impl From<PathRejection> for ErrorResponse {
    fn from(_: PathRejection) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Invalid id: expected a UUID.")
    }
}

impl From<QueryRejection> for ErrorResponse {
    fn from(rejection: QueryRejection) -> Self {
        let message = format!("Invalid query: {}.", cause(&rejection));
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }
}

/// The innermost cause of a rejection: what serde reports, without the introductions of axum.
fn cause(rejection: &dyn std::error::Error) -> String {
    let mut innermost = rejection;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string().trim_end_matches('.').chars().take(200).collect()
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let summary = ErrorSummary { code: self.error.code, message: self.error.message.clone() };
        let mut response = (self.status, Json(ErrorBody { error: *self.error })).into_response();
        response.extensions_mut().insert(summary);
        if let Some(seconds) = self.retry_after
            && let Ok(value) = HeaderValue::from_str(&seconds.max(1).to_string())
        {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_keeps_its_code_subject_and_detail() {
        let failure = Failure::new(FailureCode::StoreKeyRejected, "403 SignatureDoesNotMatch").on("az://a/b");
        let response = ErrorResponse::from(control::Error::Failed(failure.clone()));
        assert_eq!(response.status, StatusCode::CONFLICT);
        let body = serde_json::to_value(&response.error).expect("JSON");
        assert_eq!(body["code"], "store_key_rejected");
        assert_eq!(body["message"], failure.message());
        assert_eq!((&body["subject"], &body["detail"]), (&"az://a/b".into(), &failure.detail.into()));
    }

    #[test]
    fn unavailable_state_database_asks_for_a_retry() {
        let failure = Failure::new(FailureCode::StateDatabaseUnavailable, "connection refused");
        let response = ErrorResponse::from(control::Error::Failed(failure));
        assert_eq!((response.status, response.retry_after), (StatusCode::SERVICE_UNAVAILABLE, Some(2)));
    }

    #[test]
    fn internal_error_shows_its_reference_only() {
        let cause = anyhow::anyhow!("canary");
        let response = ErrorResponse::from(control::Error::Internal(cause));
        assert!(response.error.correlation_id.is_some());
        assert!(!serde_json::to_string(&response.error).expect("JSON").contains("canary"));
    }
}
