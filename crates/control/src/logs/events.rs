//! The engine's log lines: the triggers of `migrations/0009_failure.sql` write events, and this turns them into text.

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

impl Event {
    /// The text of the event, which begins with the title of the step that it is about.
    pub(super) fn message(&self, step: &str) -> String {
        match self {
            Self::StepStarted => format!("{step}: started"),
            Self::StepRestarted { attempt, attempts } => {
                format!("{step}: attempt {attempt} of {attempts} started")
            }
            Self::StepSucceeded => format!("{step}: succeeded"),
            Self::StepWillRetry { attempt, attempts, detail } => {
                format!("{step}: failed; attempt {attempt} of {attempts} follows: {detail}")
            }
            Self::StepFailed { detail } => format!("{step}: failed: {detail}"),
            Self::StepRolledBack => format!("{step}: rolled back"),
            Self::RollbackFailed { detail } => format!("{step}: rollback failed: {detail}"),
            Self::RunCancelling => "Run cancelled; rolling back the completed steps".to_owned(),
            Self::RunRollingBack => "Rolling back the completed steps".to_owned(),
            Self::RollbackResumed => "Rollback resumed".to_owned(),
            Self::RunSucceeded => "Run succeeded".to_owned(),
            Self::RunFailed => "Run failed".to_owned(),
            Self::RunCancelled => "Run cancelled".to_owned(),
            Self::RunStuck => "Rollback failed: manual action required".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::WorkflowName;

    use crate::logs::Line;

    #[test]
    fn trigger_lines_are_read_as_events() {
        let line = r#"{"at":"2026-11-28T10:00:00.000000Z","level":"warn","step":"RunBackupJob","message":"",
            "event":"step_will_retry","attempt":2,"attempts":5,"code":"connection_refused","detail":"connection refused"}"#;
        let line: Line = serde_json::from_str(line).expect("a line");
        let message = line.numbered(1, WorkflowName::CreateImage).message;
        assert_eq!(message, "Copy data: failed; attempt 2 of 5 follows: connection refused");
    }

    #[test]
    fn text_of_others_stays_on_its_line_without_terminal_escapes() {
        let foreign = "x\n3 2026-11-28T10:00:00Z info RunBackupJob forged\u{1b}[2K\u{202e}\u{9b}1m\0";
        let line = Line::new(model::Level::Error, "RunBackupJob", foreign);
        assert_eq!(line.message, "x 3 2026-11-28T10:00:00Z info RunBackupJob forged[2K1m");
        let event = serde_json::json!({ "at": "2026-11-28T10:00:00Z", "level": "error", "step": "RunBackupJob",
            "message": "", "event": "step_failed", "detail": "a\nb\u{1b}[31m" });
        let line: Line = serde_json::from_value(event).expect("a line");
        assert_eq!(line.numbered(1, WorkflowName::CreateImage).message, "Copy data: failed: a b[31m");
    }

    #[test]
    fn text_lines_have_no_event() {
        let line = r#"{"at":"2026-11-28T10:00:00Z","level":"info","step":"RunBackupJob","message":"copied 3 tables"}"#;
        let line: Line = serde_json::from_str(line).expect("a line");
        assert_eq!(line.event, None);
        assert_eq!(line.numbered(1, WorkflowName::CreateImage).message, "copied 3 tables");
    }
}
