//! The error of a call to a platform.

use model::{Failure, FailureCode};

/// A call failed. Callers decide by [`Error::code`]; whether a repeat can succeed is [`FailureCode::is_permanent`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] Failure);

/// The result of a call to a platform.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What went wrong.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.0
    }

    /// The failure's code.
    #[must_use]
    pub fn code(&self) -> FailureCode {
        self.0.code
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        error.0
    }
}

/// An error without a code of its own, such as one of the operating system: [`FailureCode::PlatformUnavailable`], with the
/// whole chain of causes as the detail.
impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Failure::new(FailureCode::PlatformUnavailable, format!("{error:#}")).into()
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn untyped_error_keeps_all_causes() {
        let cause: anyhow::Result<()> =
            Err(anyhow::Error::from(std::io::Error::from(std::io::ErrorKind::PermissionDenied)));
        let error = Error::from(cause.context("read the record").expect_err("an error"));
        assert_eq!(error.code(), FailureCode::PlatformUnavailable);
        assert_eq!(error.to_string(), "read the record: permission denied");
    }
}
