//! Why a call of a step failed, and what the engine does next.

use std::time::Duration;

use serde_json::{Value, json};

/// Why a call of a step failed. `?` on a [`sqlx::Error`] creates one.
///
/// The engine stores the code, the subject and the detail and does not interpret them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    code: &'static str,
    subject: Option<String>,
    detail: String,
    kind: FailureKind,
    after: Option<Duration>,
}

/// What the engine does after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailureKind {
    Fatal,
    Retry,
    Outage,
}

/// Codes of the failures that the engine itself creates.
pub mod code {
    /// A step or its types are wrong, or it panicked.
    pub const INTERNAL: &str = "internal";
    /// One call exceeded its time limit.
    pub const STEP_TIMEOUT: &str = "step_timeout";
    /// The step exceeded its deadline over all attempts.
    pub const STEP_DEADLINE: &str = "step_deadline";
    /// Several workers in a row ended while they executed the step.
    pub const WORKERS_LOST: &str = "workers_lost";
    /// Another worker holds the run now.
    pub const RUN_TAKEN_OVER: &str = "run_taken_over";
    /// This version of the workflow has fewer steps than the run.
    pub const WORKFLOW_UNKNOWN: &str = "workflow_unknown";
    /// The database does not answer.
    pub const STATE_DATABASE_UNAVAILABLE: &str = "state_database_unavailable";
}

impl Failure {
    /// A permanent failure: the run rolls back without another attempt.
    pub fn fatal(code: &'static str, detail: impl ToString) -> Self {
        Self::new(FailureKind::Fatal, code, detail)
    }

    /// A transient failure: the step is retried while it has attempts.
    pub fn retry(code: &'static str, detail: impl ToString) -> Self {
        Self::new(FailureKind::Retry, code, detail)
    }

    /// A dependency of the step, such as the database, is unavailable: the step is called again after a pause, and the
    /// attempt is not counted. The step's deadline bounds this.
    pub fn outage(code: &'static str, detail: impl ToString) -> Self {
        Self::new(FailureKind::Outage, code, detail)
    }

    fn new(kind: FailureKind, code: &'static str, detail: impl ToString) -> Self {
        Self { code, subject: None, detail: storable(&detail.to_string()), kind, after: None }
    }

    /// The same failure without further attempts.
    #[must_use]
    pub fn into_fatal(self) -> Self {
        Self { kind: FailureKind::Fatal, ..self }
    }

    /// Sets what the failure is about; an empty subject counts as none.
    #[must_use]
    pub fn on(self, subject: Option<String>) -> Self {
        let subject = subject.map(|subject| storable(&subject)).filter(|subject| !subject.is_empty());
        Self { subject, ..self }
    }

    /// Retries after this time instead of the step's own pause.
    #[must_use]
    pub fn after(self, pause: Duration) -> Self {
        Self { after: Some(pause), ..self }
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What the failure is about.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The raw text.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether the run rolls back without another attempt.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.kind == FailureKind::Fatal
    }

    /// Whether the attempt is not counted.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        self.kind == FailureKind::Outage
    }

    /// The pause before the next attempt, where it differs from the step's own.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.after
    }

    /// The value of a JSON column: `{code, subject, detail}`.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "code": self.code, "subject": self.subject, "detail": self.detail })
    }
}

/// The text as the database can store it: the types text and jsonb cannot contain NUL.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        if database_is_unavailable(&error) {
            return Self::outage(code::STATE_DATABASE_UNAVAILABLE, error);
        }
        Self::retry(code::INTERNAL, error)
    }
}

/// Whether an error means that the database cannot serve now: it is unreachable, starting or shutting down, read-only, or out of
/// connections, space or memory, or another session kept a statement from ending; or that a connection broke: sqlx reports one
/// that ends during its start as an error of the protocol or of TLS.
#[must_use]
pub fn database_is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::BeginFailed
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_of_the_server(&code)),
        _ => false,
    }
}

/// Whether a SQLSTATE tells about the server and its other sessions, and not about the statement. See appendix A of the manual of
/// PostgreSQL.
fn is_of_the_server(sqlstate: &str) -> bool {
    // Connection, transaction rollback, resources, intervention of an operator, error of the system.
    let classes = ["08", "40", "53", "57", "58"];
    // read_only_sql_transaction, lock_not_available
    classes.iter().any(|class| sqlstate.starts_with(class)) || ["25006", "55P03"].contains(&sqlstate)
}

#[cfg(test)]
mod tests {
    use super::{Failure, code, is_of_the_server};

    #[test]
    fn states_of_the_server_differ_from_those_of_a_statement() {
        for state in ["08006", "40P01", "53100", "53300", "57014", "57P03", "58030", "25006", "55P03"] {
            assert!(is_of_the_server(state), "{state}");
        }
        for state in ["22003", "23505", "25001", "28P01", "42601", "55000", "P0001", "XX000"] {
            assert!(!is_of_the_server(state), "{state}");
        }
    }

    #[test]
    fn texts_of_a_failure_contain_no_nul() {
        let failure = Failure::retry(code::INTERNAL, "a\0b").on(Some("c\0".to_owned()));
        assert_eq!((failure.detail(), failure.subject()), ("a\u{2400}b", Some("c\u{2400}")));
    }

    #[test]
    fn an_unavailable_database_is_an_outage_and_other_database_errors_are_retried() {
        let outage = Failure::from(sqlx::Error::PoolTimedOut);
        assert_eq!((outage.code(), outage.is_outage()), (code::STATE_DATABASE_UNAVAILABLE, true));
        let retry = Failure::from(sqlx::Error::RowNotFound);
        assert_eq!((retry.code(), retry.is_outage(), retry.is_fatal()), (code::INTERNAL, false, false));
    }
}
