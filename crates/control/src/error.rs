//! The one error of this crate: what the person who asked is told. REST and pages map it and add nothing.

use model::RunId;
use serde::Serialize;

/// Shorthand.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was not done. `Display` is a sentence for the person who asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// What was typed cannot be; the field is named.
    #[error("{message}")]
    Invalid {
        /// The form's or the body's field.
        field: &'static str,
        /// What is wrong with it and what would be right.
        message: String,
    },
    /// It does not go together with what is there, or with what is going on.
    #[error("{0}")]
    Conflict(String),
    /// The role is too small.
    #[error("{0}")]
    Forbidden(String),
    /// The password must be given again first.
    #[error("This needs your password again.")]
    SudoRequired,
    /// Nobody is logged in, or the name and password are not right.
    #[error("The name or the password is not right.")]
    Unauthenticated,
    /// Too many tries.
    #[error("Too many tries. Wait {retry_after_seconds} s and try again.")]
    TooMany {
        /// How long to wait.
        retry_after_seconds: i64,
    },
    /// Something that this needs does not answer; it may later.
    #[error("{0}")]
    Unavailable(String),
    /// Our fault. The cause is logged where it is handled, never shown.
    #[error("Something went wrong on our side.")]
    Internal(anyhow::Error),
}

impl Error {
    /// A word that does not change, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Invalid { .. } => "invalid",
            Self::Conflict(_) => "conflict",
            Self::Forbidden(_) => "forbidden",
            Self::SudoRequired => "sudo_required",
            Self::Unauthenticated => "unauthenticated",
            Self::TooMany { .. } => "too_many",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NotFound(_) => 404,
            Self::Invalid { .. } => 422,
            Self::Conflict(_) => 409,
            Self::Forbidden(_) | Self::SudoRequired => 403,
            Self::Unauthenticated => 401,
            Self::TooMany { .. } => 429,
            Self::Unavailable(_) => 503,
            Self::Internal(_) => 500,
        }
    }

    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if workflow::database_is_unavailable(&error) {
            return Self::Unavailable(
                "Toygres' own database does not answer. Try again in a moment.".to_owned(),
            );
        }
        Self::Internal(error.into())
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<sqlx::Error>() {
            Ok(error) => error.into(),
            Err(error) => Self::Internal(error),
        }
    }
}

impl From<platform::Error> for Error {
    fn from(error: platform::Error) -> Self {
        match error {
            platform::Error::Foreign(words) | platform::Error::Impossible(words) => Self::Conflict(words),
            platform::Error::Transient(error) => Self::Internal(error),
        }
    }
}

/// What was started: the body of a 202.
#[derive(Clone, Debug, Serialize)]
pub struct Started<T> {
    /// The id of the thing that will be there, or will be gone.
    pub id: T,
    /// Its name.
    pub name: String,
    /// Where it stands now.
    pub status: &'static str,
    /// The run that does it.
    pub run_id: RunId,
}
