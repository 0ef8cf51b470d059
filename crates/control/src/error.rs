//! The one error of this crate: why a request was not carried out. The REST API and the pages map it and add nothing.

use model::{Failure, FailureCode, RunId};
use serde::Serialize;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request was not carried out. `Display` is a sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The value of a field is invalid.
    #[error("{message}")]
    Invalid {
        /// The field of the form or the body.
        field: &'static str,
        /// What is wrong and what is accepted.
        message: String,
        /// The code of the failure, if a test with the value failed.
        cause: Option<FailureCode>,
    },
    /// The state of an object, or a running operation, does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// The role of the user does not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// The user must confirm the password first.
    #[error("Confirm your password first.")]
    SudoRequired,
    /// The caller is not logged in, or user name and password do not match.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// Too many failed attempts.
    #[error("Too many attempts. Try again in {retry_after_seconds} s.")]
    TooMany {
        /// The time to wait, in seconds.
        retry_after_seconds: i64,
    },
    /// The state database is unavailable.
    #[error("{0}")]
    Unavailable(String),
    /// A store, a server, the platform or a job reported a failure.
    #[error("{0}")]
    Failed(Failure),
    /// A defect. The cause is logged where it is handled and never shown.
    #[error("Something went wrong in Toygres.")]
    Internal(anyhow::Error),
}

impl Error {
    /// The code, for programs. It never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Invalid { .. } => "invalid",
            Self::Conflict(_) => "conflict",
            Self::Forbidden(_) => "forbidden",
            Self::SudoRequired => "sudo_required",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::TooMany { .. } => "too_many",
            Self::Unavailable(_) => "unavailable",
            Self::Failed(failure) => failure.code.as_str(),
            Self::Internal(_) => "internal",
        }
    }

    /// The failure that is stored with an instance, an image or a run.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let code = match self {
            Self::Failed(failure) => return failure.clone(),
            Self::Unavailable(_) => FailureCode::StateDatabaseUnavailable,
            Self::Internal(_) => FailureCode::Internal,
            _ => FailureCode::Refused,
        };
        Failure::new(code, self.to_string())
    }

    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into(), cause: None }
    }

    /// A failure that the value of a field causes, with its explanation.
    pub(crate) fn at_field(field: &'static str, failure: &Failure) -> Self {
        Self::Invalid { field, message: with_explanation(failure), cause: Some(failure.code) }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if workflow::database_is_unavailable(&error) {
            return Self::Unavailable("The state database is unavailable. Try again in a moment.".to_owned());
        }
        Self::Internal(error.into())
    }
}

impl From<anyhow::Error> for Error {
    /// Recovers the typed cause, where the error is one.
    fn from(error: anyhow::Error) -> Self {
        fn typed<E>(error: anyhow::Error) -> Result<Error, anyhow::Error>
        where
            E: std::error::Error + Send + Sync + 'static,
            Error: From<E>,
        {
            error.downcast::<E>().map(Error::from)
        }
        typed::<sqlx::Error>(error)
            .or_else(typed::<Failure>)
            .or_else(typed::<image::Error>)
            .or_else(typed::<platform::Error>)
            .unwrap_or_else(Self::Internal)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<platform::Error> for Error {
    fn from(error: platform::Error) -> Self {
        Self::Failed(error.failure().clone())
    }
}

impl From<image::Error> for Error {
    fn from(error: image::Error) -> Self {
        Self::Failed(error.failure())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// The cause and the fix of a failure and its raw text, as the message of a form field.
fn with_explanation(failure: &Failure) -> String {
    if !failure.code.has_known_cause() {
        return failure.to_string();
    }
    let explanation = failure.code.explanation();
    format!("{} {} ({failure})", explanation.cause, explanation.fix)
}

/// What an error means for a step: a permanent failure is not retried, an unavailable state database counts no attempt.
impl From<Error> for workflow::Failure {
    fn from(error: Error) -> Self {
        if let Error::Internal(cause) = &error {
            return Self::retry(FailureCode::Internal.as_str(), format!("{cause:#}"));
        }
        let failure = error.failure();
        let code = failure.code.as_str();
        let step = match error {
            Error::Unavailable(_) => Self::outage(code, failure.detail),
            _ if failure.code.is_permanent() => Self::fatal(code, failure.detail),
            _ => Self::retry(code, failure.detail),
        };
        step.on(failure.subject)
    }
}

/// What was started: the body of a response with status 202.
#[derive(Clone, Debug, Serialize)]
pub struct Started<T> {
    /// The id of the object that the run creates, changes or deletes.
    pub id: T,
    /// Its name.
    pub name: String,
    /// Its present status.
    pub status: &'static str,
    /// The run.
    pub run_id: RunId,
}
