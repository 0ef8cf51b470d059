//! Standard error: messages that cannot be events of the job.

use std::io::Write as _;

/// Writes a line, prefixed with the program's name. A closed standard error is ignored.
pub(crate) fn log_stderr(message: &str) {
    let _ = writeln!(std::io::stderr(), "toygres-agent: {message}");
}
