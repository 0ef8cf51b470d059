//! The scaffold of the tests: real PostgreSQL servers and the real agent.
#![expect(clippy::unwrap_used, reason = "a test's scaffold fails loudly")]
#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

mod executor;
mod programs;
mod server;
mod workspace;

pub(crate) use executor::{Connection, Executor};
pub(crate) use programs::{bin, short_dir, unprivileged};
pub(crate) use server::{Server, Session};
pub(crate) use workspace::{AGENT, Agent, Ended, Workspace};

/// A password that every layer must quote.
pub(crate) const PASSWORD: &str = r#"p:a\s's "w$(id)"#;

/// Asserts that two sorted dumps are the same, and shows the lines that differ.
pub(crate) fn assert_same(left: &[String], right: &[String]) {
    let only = |a: &[String], b: &[String]| -> Vec<String> {
        let mut counts = std::collections::HashMap::new();
        b.iter().for_each(|l| *counts.entry(l.clone()).or_insert(0) += 1);
        a.iter()
            .filter(|l| {
                let n = counts.entry((*l).clone()).or_insert(0);
                *n -= 1;
                *n < 0
            })
            .map(|l| l.chars().take(200).collect())
            .take(20)
            .collect()
    };
    assert!(
        left == right,
        "only at the source: {:#?}\nonly restored: {:#?}",
        only(left, right),
        only(right, left)
    );
}

/// The command lines of processes that contain `text`.
pub(crate) fn processes_with(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(bytes) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        if line.contains(text) {
            found.push(line);
        }
    }
    found
}
