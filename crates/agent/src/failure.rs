//! How the errors of a job become its [`Failure`]: the code of the first cause that has one, and the chain of causes as text.

use std::io::ErrorKind;

use model::{Failure, FailureCode, Outcome};
use tokio_postgres::error::DbError;

use crate::redact::Redactor;
use crate::sqlstate;

/// Creates an error with a code. `detail` is what happened.
pub(crate) fn fail(code: FailureCode, detail: impl Into<String>) -> anyhow::Error {
    Failure::new(code, detail).into()
}

/// A failure of a job that has an outcome nevertheless, such as the receipt of a restore that differs.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub(crate) struct FailureWithOutcome {
    #[source]
    pub(crate) failure: Failure,
    pub(crate) outcome: Box<Outcome>,
}

/// The outcome that an error carries.
pub(crate) fn outcome_of(error: &anyhow::Error) -> Option<Outcome> {
    error.chain().find_map(|cause| Some((*cause.downcast_ref::<FailureWithOutcome>()?.outcome).clone()))
}

/// The failure that ends a job. `unspecific` is the code if no cause has one of its own but PostgreSQL reported an error.
pub(crate) fn failure_of(error: &anyhow::Error, unspecific: FailureCode, redactor: &Redactor) -> Failure {
    let known = error.chain().find_map(failure_of_cause);
    let from_postgres = error.chain().any(<dyn std::error::Error>::is::<tokio_postgres::Error>);
    let code = known
        .as_ref()
        .map_or(if from_postgres { unspecific } else { FailureCode::Other }, |failure| failure.code);
    Failure { code, subject: known.and_then(|failure| failure.subject), detail: detail_of(error, redactor) }
}

/// Code and subject of one cause, if it has a code. The detail is not used.
fn failure_of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Failure> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(failure.clone());
    }
    if let Some(error) = cause.downcast_ref::<image::Error>() {
        return Some(error.failure());
    }
    let code = if let Some(error) = cause.downcast_ref::<DbError>() {
        sqlstate::code_of(error)?
    } else if let Some(error) = cause.downcast_ref::<tokio_postgres::Error>() {
        connection_lost(error)?
    } else {
        code_of_io(cause.downcast_ref::<std::io::Error>()?.kind())?
    };
    Some(Failure::new(code, ""))
}

/// Whether an error of the connection, not of the server, means that the connection was lost.
fn connection_lost(error: &tokio_postgres::Error) -> Option<FailureCode> {
    let is_io = std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
    (error.is_closed() || is_io).then_some(FailureCode::ConnectionLost)
}

/// The code of an error on the agent's own files.
fn code_of_io(kind: ErrorKind) -> Option<FailureCode> {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(FailureCode::DiskFull),
        ErrorKind::ReadOnlyFilesystem => Some(FailureCode::PlatformSettingsInvalid),
        _ => None,
    }
}

/// The details of an error and its causes in one line. Text of PostgreSQL and of stores is redacted.
fn detail_of(error: &anyhow::Error, redactor: &Redactor) -> String {
    let mut parts: Vec<String> = Vec::new();
    for text in error.chain().filter_map(|cause| text_of_cause(cause, redactor)) {
        if parts.last().is_none_or(|last| !last.ends_with(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// The text of one cause, without the subject of a failure; none if the next cause has all of the text.
fn text_of_cause(cause: &(dyn std::error::Error + 'static), redactor: &Redactor) -> Option<String> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(failure.detail.clone());
    }
    if let Some(error) = cause.downcast_ref::<image::Error>() {
        return Some(redactor.clean(&error.failure().detail));
    }
    if let Some(error) = cause.downcast_ref::<DbError>() {
        return Some(redactor.clean(&error.to_string()));
    }
    let is_wrapper = cause.is::<FailureWithOutcome>()
        || cause.downcast_ref::<tokio_postgres::Error>().is_some_and(|error| error.as_db_error().is_some());
    (!is_wrapper).then(|| cause.to_string())
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn failure(error: &anyhow::Error) -> Failure {
        failure_of(error, FailureCode::DumpFailed, &Redactor::default())
    }

    #[test]
    fn code_and_subject_survive_context() {
        let refused = Failure::new(FailureCode::ConnectionRefused, "connection refused").on("db:5432");
        let error = Err::<(), _>(refused).context("cannot copy a").context("job").expect_err("failed");
        let failure = failure(&error);
        assert_eq!(
            (failure.code, failure.subject.as_deref()),
            (FailureCode::ConnectionRefused, Some("db:5432"))
        );
        assert_eq!(failure.detail, "job: cannot copy a: connection refused");
    }

    #[test]
    fn errors_without_a_code_may_succeed_later() {
        assert_eq!(failure(&anyhow::anyhow!("odd")).code, FailureCode::Other);
        let full = anyhow::Error::from(std::io::Error::from(ErrorKind::StorageFull)).context("cannot write");
        assert_eq!(failure(&full).code, FailureCode::DiskFull);
    }

    #[test]
    fn error_of_an_image_keeps_its_code_and_object() {
        let missing = Failure::new(FailureCode::ObjectMissing, "not found").on("k");
        let missing = failure(&anyhow::Error::from(image::Error::from(missing)));
        assert_eq!((missing.code, missing.subject.as_deref()), (FailureCode::ObjectMissing, Some("k")));
    }
}
