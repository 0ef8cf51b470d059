//! Servers that a killed agent left.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(20);
/// The interval at which a stopping server is checked.
const INTERVAL: Duration = Duration::from_millis(50);

/// Ends the server that runs in `data_dir`, if there is one, and waits for its end.
pub(crate) async fn end_orphan(data_dir: &Path) -> Result<()> {
    let Ok(text) = tokio::fs::read_to_string(data_dir.join("postmaster.pid")).await else { return Ok(()) };
    let Some(pid) = process_of(&text) else { return Ok(()) };
    let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let deadline = Instant::now() + GRACE;
    let mut signal = Signal::QUIT;
    while is_server_of(&process, data_dir).await {
        if Instant::now() > deadline {
            signal = Signal::KILL;
        }
        kill_process(pid, signal).context("cannot end the server of an earlier attempt")?;
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(())
}

/// The process that a `postmaster.pid` names. The single-user server of initdb writes a negative number; it ends with initdb.
fn process_of(text: &str) -> Option<Pid> {
    let number: i32 = text.lines().next()?.trim().parse().ok()?;
    Pid::from_raw(number.max(0))
}

/// Whether the process exists and is a server in `data_dir`: its number may have been reused.
async fn is_server_of(process: &Path, data_dir: &Path) -> bool {
    let Ok(command_line) = tokio::fs::read(process.join("cmdline")).await else { return false };
    command_line.split(|byte| *byte == 0).any(|argument| argument == data_dir.as_os_str().as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_a_killed_initdb_names_no_process() {
        assert_eq!(process_of("4242\n/data\n").map(|pid| pid.as_raw_nonzero().get()), Some(4242));
        for text in ["-4242\n/data\n", "0\n", "", "x\n", "-2147483648\n"] {
            assert_eq!(process_of(text), None, "{text}");
        }
    }
}
