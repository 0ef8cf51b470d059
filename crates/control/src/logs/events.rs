//! The engine's log lines: the triggers of `migrations/0009_failure.sql` write events, and this turns them into text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A state change of a step or a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    StepStarted,
    StepRestarted {
        attempt: i32,
        attempts: i32,
    },
    StepSucceeded,
    /// `attempt` is the number of the next attempt.
    StepWillRetry {
        attempt: i32,
        attempts: i32,
        #[serde(default)]
        detail: String,
    },
    StepFailed {
        #[serde(default)]
        detail: String,
    },
    StepRolledBack,
    RollbackFailed {
        #[serde(default)]
        detail: String,
    },
    RunCancelling,
    RunRollingBack,
    RollbackResumed,
    RunSucceeded,
    RunFailed,
    RunCancelled,
    RunStuck,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StepStarted => f.write_str("Step started"),
            Self::StepRestarted { attempt, attempts } => write!(f, "Attempt {attempt} of {attempts} started"),
            Self::StepSucceeded => f.write_str("Step succeeded"),
            Self::StepWillRetry { attempt, attempts, detail } => {
                write!(f, "Step failed; attempt {attempt} of {attempts} follows: {detail}")
            }
            Self::StepFailed { detail } => write!(f, "Step failed: {detail}"),
            Self::StepRolledBack => f.write_str("Step rolled back"),
            Self::RollbackFailed { detail } => write!(f, "Rollback failed: {detail}"),
            Self::RunCancelling => f.write_str("Run cancelled; rolling back the completed steps"),
            Self::RunRollingBack => f.write_str("Rolling back the completed steps"),
            Self::RollbackResumed => f.write_str("Rollback resumed"),
            Self::RunSucceeded => f.write_str("Run succeeded"),
            Self::RunFailed => f.write_str("Run failed"),
            Self::RunCancelled => f.write_str("Run cancelled"),
            Self::RunStuck => f.write_str("Run stuck: manual action is required"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::logs::Line;

    #[test]
    fn trigger_lines_are_read_as_events() {
        let line = r#"{"at":"2026-11-28T10:00:00.000000Z","level":"warn","step":"RunBackupJob","message":"",
            "event":"step_will_retry","attempt":2,"attempts":5,"code":"connection_refused","detail":"connection refused"}"#;
        let line: Line = serde_json::from_str(line).expect("a line");
        assert_eq!(line.numbered(1).message, "Step failed; attempt 2 of 5 follows: connection refused");
    }

    #[test]
    fn text_lines_have_no_event() {
        let line = r#"{"at":"2026-11-28T10:00:00Z","level":"info","step":"RunBackupJob","message":"copied 3 tables"}"#;
        let line: Line = serde_json::from_str(line).expect("a line");
        assert_eq!(line.event, None);
        assert_eq!(line.numbered(1).message, "copied 3 tables");
    }
}
