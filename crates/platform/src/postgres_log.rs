//! Classification of what PostgreSQL writes to its log. It reads no files.

/// The most lines that explain one failure.
const LINES: usize = 3;

/// The last lines that report or explain an error, joined; none if no line does.
pub(crate) fn error_lines(log: &str) -> Option<String> {
    // foreign text: PostgreSQL, initdb
    let severities = ["FATAL:", "PANIC:", "ERROR:", "DETAIL:", "HINT:", "error:", "Error:"];
    let is_error = |line: &&str| severities.iter().any(|severity| line.contains(severity));
    let lines: Vec<&str> = log.lines().filter(is_error).collect();
    (!lines.is_empty()).then(|| lines[lines.len().saturating_sub(LINES)..].join(" "))
}

/// Whether the server did not start because another program listens on its port. A server that logs in another language is
/// not recognised.
pub(crate) fn reports_port_in_use(log: &str) -> bool {
    log.contains("could not create any TCP/IP sockets") // foreign text: PostgreSQL
}

/// Whether the server did not start because processes of its killed predecessor still run.
pub(crate) fn reports_predecessor(log: &str) -> bool {
    // foreign text: PostgreSQL
    ["\"postmaster.pid\" already exists", "pre-existing shared memory block"]
        .iter()
        .any(|message| log.contains(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT_IN_USE: &str = "\
2026-11-28 12:00:00.000 UTC [71] LOG:  starting PostgreSQL 15.14 on x86_64-pc-linux-gnu
2026-11-28 12:00:00.001 UTC [71] LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use
2026-11-28 12:00:00.001 UTC [71] HINT:  Is another postmaster already running on port 15432? If not, wait a few seconds and retry.
2026-11-28 12:00:00.001 UTC [71] WARNING:  could not create listen socket for \"127.0.0.1\"
2026-11-28 12:00:00.001 UTC [71] FATAL:  could not create any TCP/IP sockets
2026-11-28 12:00:00.002 UTC [71] LOG:  database system is shut down
";

    #[test]
    fn error_lines_are_the_last_ones_that_explain() {
        let lines = error_lines(PORT_IN_USE).expect("errors");
        assert!(lines.contains("HINT:") && lines.ends_with("could not create any TCP/IP sockets"), "{lines}");
        assert!(!lines.contains("LOG:"), "{lines}");
        let initdb = "creating subdirectories ... ok\ninitdb: error: could not create directory \"x\"\n";
        assert_eq!(error_lines(initdb).as_deref(), Some("initdb: error: could not create directory \"x\""));
        assert_eq!(error_lines("LOG:  database system is ready to accept connections"), None);
        let many: String = (0..9).map(|n| format!("FATAL:  {n}\n")).collect();
        assert_eq!(error_lines(&many).as_deref(), Some("FATAL:  6 FATAL:  7 FATAL:  8"));
    }

    #[test]
    fn port_in_use_is_recognised() {
        assert!(reports_port_in_use(PORT_IN_USE));
        assert!(!reports_port_in_use(
            "FATAL:  could not map anonymous shared memory: Cannot allocate memory"
        ));
    }

    #[test]
    fn processes_of_a_killed_server_are_recognised() {
        assert!(reports_predecessor("FATAL:  lock file \"postmaster.pid\" already exists"));
        assert!(reports_predecessor(
            "FATAL:  pre-existing shared memory block (key 9177, ID 3) is still in use"
        ));
        assert!(!reports_predecessor(PORT_IN_USE));
    }
}
