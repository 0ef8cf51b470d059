//! The events with which the follower of a job reports what the job waits for: each cause once, and only if the job waits for a
//! while.

use std::collections::HashSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use model::{EventBody, Failure, Level};
use tokio::time::Instant;

use super::events::{is_warning, message};

/// How long a job must wait before the cause is reported.
const GRACE: Duration = Duration::from_secs(5);
/// The most causes and warnings that are reported for one job.
const LIMIT: usize = 256;

/// What was reported about one job.
pub(super) struct WaitingReport {
    since: Instant,
    failures: Vec<Failure>,
    warnings: HashSet<String>,
}

impl WaitingReport {
    /// Reports about a job that is followed since this time.
    pub(super) fn since(since: Instant) -> Self {
        Self { since, failures: Vec::new(), warnings: HashSet::new() }
    }

    /// What to report of a job that waits because of `failure`: first the warnings that say something else, as log lines,
    /// then the failure.
    pub(super) fn next(&mut self, events: &[Event], failure: Option<Failure>) -> Vec<EventBody> {
        if self.since.elapsed() < GRACE {
            return Vec::new();
        }
        let cause = failure.as_ref().map(|failure| failure.detail.clone());
        let mut report = Vec::new();
        for event in events.iter().filter(|event| is_warning(event)) {
            let message = message(event);
            if Some(&message) != cause.as_ref()
                && self.warnings.len() < LIMIT
                && self.warnings.insert(message.clone())
            {
                let reason = event.reason.as_deref().unwrap_or("Warning");
                let message = format!("{reason}: {message}");
                report.push(EventBody::Log { level: Level::Warn, message });
            }
        }
        if let Some(failure) = failure.filter(|failure| !self.failures.contains(failure))
            && self.failures.len() < LIMIT
        {
            self.failures.push(failure.clone());
            report.push(EventBody::Waiting(failure));
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use model::FailureCode;

    use super::*;

    fn warning(reason: &str, message: &str) -> Event {
        serde_json::from_value(serde_json::json!({
            "metadata": {}, "involvedObject": {}, "type": "Warning", "reason": reason, "message": message
        }))
        .expect("an Event")
    }

    #[test]
    fn cause_is_reported_once_and_after_the_other_warnings() {
        let long_ago = Instant::now().checked_sub(2 * GRACE).expect("a time");
        let mut report = WaitingReport::since(long_ago);
        let cpu = Failure::new(FailureCode::Unschedulable, "3 Insufficient cpu").on("t-1-abc");
        let events = [warning("FailedScheduling", "3 Insufficient cpu."), warning("FailedMount", "x")];
        let other = EventBody::Log { level: Level::Warn, message: "FailedMount: x".to_owned() };
        assert_eq!(report.next(&events, Some(cpu.clone())), [other, EventBody::Waiting(cpu.clone())]);
        assert_eq!(report.next(&events, Some(cpu.clone())), []);
        let memory = Failure { detail: "3 Insufficient memory".to_owned(), ..cpu };
        assert_eq!(report.next(&[], Some(memory.clone())), [EventBody::Waiting(memory)]);
    }

    #[test]
    fn nothing_is_reported_at_first() {
        let mut report = WaitingReport::since(Instant::now());
        assert_eq!(report.next(&[], Some(Failure::new(FailureCode::Unschedulable, "x"))), []);
    }
}
