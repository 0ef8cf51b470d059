//! Whether a probe saw the background worker of the instance's type.

use model::agent::Outcome;
use model::{FailureCode, workers};
use workflow::Failure;

/// Background processes of every server.
const OWN: [&str; 7] = [
    "archiver",
    "autovacuum launcher",
    "background writer",
    "checkpointer",
    "io worker",
    "logical replication launcher",
    "walwriter",
];

/// Checks that a worker of one of the awaited libraries was seen (the rule: [`workers::awaited`]). A worker may start shortly
/// after the server accepts clients, so the failure is transient.
pub(super) fn has_a_worker_of(awaited: &[String], outcome: Outcome) -> Result<Outcome, Failure> {
    let Outcome::Probe { workers: seen, .. } = &outcome else { return Ok(outcome) };
    if workers::seen(awaited, seen) {
        return Ok(outcome);
    }
    let others: Vec<&str> = seen.iter().map(String::as_str).filter(|worker| !OWN.contains(worker)).collect();
    let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
    let awaited = awaited.join(" or ");
    let detail = format!("no background worker of {awaited} was seen; other workers: {others}");
    Err(Failure::retry(FailureCode::WorkerNotSeen.as_str(), detail).on(Some(awaited)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(workers: &[&str]) -> Outcome {
        Outcome::Probe {
            version: "15.20".to_owned(),
            major: 15,
            bytes: 0,
            databases: Vec::new(),
            workers: workers.iter().map(|worker| (*worker).to_owned()).collect(),
            superuser: true,
        }
    }

    #[test]
    fn missing_worker_is_a_transient_failure() {
        let awaited = ["pg_durable".to_owned()];
        let failure =
            has_a_worker_of(&awaited, probe(&["checkpointer", "pg_cron launcher"])).expect_err("missing");
        assert!(!failure.is_fatal());
        assert_eq!(failure.code(), FailureCode::WorkerNotSeen.as_str());
        assert_eq!(failure.subject(), Some("pg_durable"));
    }

    #[test]
    fn seen_worker_lets_the_instance_run() {
        let awaited = ["pg_durable".to_owned()];
        assert!(has_a_worker_of(&awaited, probe(&["walwriter", "pg_durable worker"])).is_ok());
        assert!(has_a_worker_of(&[], probe(&[])).is_ok());
    }
}
