//! How a job fails: a class, which decides what happens next, and a sentence for people. It prints nothing.

use std::io::ErrorKind;

use model::{ExitClass, Outcome};
use tokio_postgres::error::SqlState;

/// A failure whose class is known.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub(crate) struct Failure {
    class: ExitClass,
    words: String,
    /// What was found out all the same, such as the receipt of a restore that is not equal.
    outcome: Option<Box<Outcome>>,
}

/// Makes an error of a class.
pub(crate) fn fail(class: ExitClass, words: impl Into<String>) -> anyhow::Error {
    Failure { class, words: words.into(), outcome: None }.into()
}

/// The same, with what was found out.
pub(crate) fn fail_with(class: ExitClass, words: impl Into<String>, outcome: Outcome) -> anyhow::Error {
    Failure { class, words: words.into(), outcome: Some(outcome.into()) }.into()
}

/// What was found out by what failed.
pub(crate) fn outcome_of(error: &anyhow::Error) -> Option<Outcome> {
    error.chain().find_map(|cause| cause.downcast_ref::<Failure>()?.outcome.as_deref().cloned())
}

/// The class of any error: the first in its chain that has one; what nobody classified may work the next time.
pub(crate) fn class_of(error: &anyhow::Error) -> ExitClass {
    error.chain().find_map(class_of_cause).unwrap_or(ExitClass::Transient)
}

fn class_of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<ExitClass> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(failure.class);
    }
    if let Some(error) = cause.downcast_ref::<image::Error>() {
        return Some(error.class());
    }
    if let Some(error) = cause.downcast_ref::<tokio_postgres::Error>() {
        return error.code().map(class_of_sql);
    }
    match cause.downcast_ref::<std::io::Error>()?.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem => {
            Some(ExitClass::Configuration)
        }
        _ => None,
    }
}

/// The class of a server's refusal.
pub(crate) fn class_of_sql(code: &SqlState) -> ExitClass {
    match code.code() {
        "28P01" | "28000" => ExitClass::Authentication,
        // No such database; no right; no such feature or configuration.
        "3D000" | "42501" | "0A000" | "58P01" => ExitClass::Configuration,
        _ => ExitClass::Transient,
    }
}

/// The whole chain as one line.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let words = cause.to_string();
        // What says nothing, or nothing that was not just said.
        let empty = matches!(words.as_str(), "db error" | "error communicating with the server");
        if !empty && parts.last().is_none_or(|last| !last.ends_with(&words)) {
            parts.push(words);
        }
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn the_class_survives_what_is_said_around_it() {
        let error =
            Err::<(), _>(fail(ExitClass::Unreachable, "no answer")).context("cannot copy a").context("job");
        let error = error.expect_err("failed");
        assert_eq!(class_of(&error), ExitClass::Unreachable);
        assert_eq!(sentence(&error), "job: cannot copy a: no answer");
    }

    #[test]
    fn what_nobody_classified_may_work_the_next_time() {
        assert_eq!(class_of(&anyhow::anyhow!("odd")), ExitClass::Transient);
        let full = anyhow::Error::from(std::io::Error::from(ErrorKind::StorageFull)).context("cannot write");
        assert_eq!(class_of(&full), ExitClass::Configuration);
        let damaged = anyhow::Error::from(image::Error::Missing("k".to_owned()));
        assert_eq!(class_of(&damaged), ExitClass::Verification);
    }
}
