//! The error of this crate: a [`Failure`], classified where the provider or the operating system reports it.

use std::io::ErrorKind;

use model::{Failure, FailureCode};

/// The result of an operation on a store or an image.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The failure of an operation on a store or an image.
///
/// Decide on [`Error::code`] alone. The text is for people: the raw words of the provider or the operating system, or a
/// short statement of what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(Failure);

impl Error {
    /// What kind of failure it is.
    #[must_use]
    pub fn code(&self) -> FailureCode {
        self.0.code
    }

    /// The failure as the value that is stored and shown.
    #[must_use]
    pub fn failure(&self) -> Failure {
        self.0.clone()
    }

    pub(crate) fn new(code: FailureCode, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(Failure::new(code, detail).on(subject))
    }

    /// An object whose bytes are not the ones that were written.
    pub(crate) fn damaged(key: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FailureCode::ObjectDamaged, key, detail)
    }

    /// An address or an option that is invalid.
    pub(crate) fn settings(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FailureCode::StoreSettingsInvalid, subject, detail)
    }

    /// An error of the operating system while it accesses a store's directory.
    pub(crate) fn io(subject: impl Into<String>, error: &std::io::Error) -> Self {
        Self::new(code_of_io(error.kind()), subject, error.to_string())
    }

    /// A task or a library of this process that failed.
    pub(crate) fn internal(subject: impl Into<String>, error: impl std::fmt::Display) -> Self {
        Self::new(FailureCode::Internal, subject, error.to_string())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        error.0
    }
}

/// The code of an error of the operating system; an error that may pass is [`FailureCode::StoreUnavailable`].
pub(crate) fn code_of_io(kind: ErrorKind) -> FailureCode {
    match kind {
        ErrorKind::NotFound => FailureCode::ObjectMissing,
        ErrorKind::AlreadyExists => FailureCode::ObjectExists,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FailureCode::StoreFull,
        ErrorKind::ReadOnlyFilesystem => FailureCode::StoreReadOnly,
        ErrorKind::PermissionDenied => FailureCode::StorePermissionDenied,
        ErrorKind::NotADirectory => FailureCode::StoreSettingsInvalid,
        _ => FailureCode::StoreUnavailable,
    }
}
