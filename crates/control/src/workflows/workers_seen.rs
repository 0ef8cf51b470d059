//! Whether a server has the background worker that its type is about, by what a probe saw.

use anyhow::anyhow;
use model::agent::Outcome;
use model::workers;
use workflow::Failure;

/// Processes that every server has.
const OWN: [&str; 7] = [
    "archiver",
    "autovacuum launcher",
    "background writer",
    "checkpointer",
    "io worker",
    "logical replication launcher",
    "walwriter",
];

/// An instance of type pg_durable is there when its background worker is (the rule: [`workers::awaited`]). A worker may
/// come a moment after the server takes clients, so each further try of the step looks again.
pub(super) fn has_a_worker_of(awaited: &[String], outcome: Outcome) -> Result<Outcome, Failure> {
    let Outcome::Probe { workers: seen, .. } = &outcome else { return Ok(outcome) };
    if workers::seen(awaited, seen) {
        return Ok(outcome);
    }
    let others: Vec<&str> = seen.iter().map(String::as_str).filter(|worker| !OWN.contains(worker)).collect();
    let others =
        if others.is_empty() { "none besides PostgreSQL's own".to_owned() } else { others.join(", ") };
    Err(Failure::retry(anyhow!(
        "PostgreSQL answers, but no background worker of {} was seen; there are: {others}. \
         Is the library in shared_preload_libraries, and does pg_hba.conf trust 127.0.0.1 and ::1, where its worker connects?",
        awaited.join(" or ")
    )))
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
    fn a_worker_that_is_not_seen_is_named_and_waited_for() {
        let awaited = ["pg_durable".to_owned()];
        let failure =
            has_a_worker_of(&awaited, probe(&["checkpointer", "pg_cron launcher"])).expect_err("missing");
        assert!(!failure.is_fatal());
        let words = failure.message();
        for part in
            ["pg_durable was seen", "there are: pg_cron launcher.", "shared_preload_libraries", "pg_hba.conf"]
        {
            assert!(words.contains(part), "{words}");
        }
        assert!(
            crate::diagnosis::of_instance(&words).is_some_and(|known| known.fix.contains("127.0.0.1/32"))
        );
    }

    #[test]
    fn a_worker_that_is_seen_lets_the_instance_run() {
        let awaited = ["pg_durable".to_owned()];
        assert!(has_a_worker_of(&awaited, probe(&["walwriter", "pg_durable worker"])).is_ok());
        assert!(has_a_worker_of(&[], probe(&[])).is_ok());
    }
}
