//! Processes, identified by number and start time: the system reuses the numbers of processes that ended.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Clock ticks between the start of the machine and that of the process (field 22 of /proc/PID/stat).
    pub(crate) start: u64,
}

impl Process {
    /// The process that has this number now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let (_, start) = stat(pid)?;
        Some(Self { pid, start })
    }

    /// Whether it runs. A zombie does not.
    pub(crate) fn runs(self) -> bool {
        stat(self.pid).is_some_and(|(state, start)| start == self.start && state != 'Z')
    }

    /// The number of the user that it runs as; none if it has ended.
    pub(crate) fn user(self) -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        let real = line.split_whitespace().next()?.parse().ok()?;
        self.runs().then_some(real)
    }

    /// Sends it a signal, if it runs.
    pub(crate) fn signal(self, signal: Signal) {
        if let (true, Some(pid)) = (self.runs(), Pid::from_raw(self.pid)) {
            // It may end between the check and the signal.
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills it and its process group, if it runs.
    pub(crate) fn kill(self) {
        if let (true, Some(pid)) = (self.runs(), Pid::from_raw(self.pid)) {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Kills the rest of its process group, if it has ended.
    pub(crate) fn kill_group(self) {
        if let (None, Some(pid)) = (Self::of(self.pid), Pid::from_raw(self.pid)) {
            // Usually the group has no process.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Kills every process among those that `may_kill` accepts that has this `NAME=value` in its environment.
pub(crate) fn kill_with_variable(variable: &str, may_kill: impl Fn(Process) -> bool) {
    // Each round kills what the processes of the previous one started before they ended.
    for _ in 0..10 {
        let mut found = with_variable(variable);
        found.retain(|process| may_kill(*process));
        if found.is_empty() {
            return;
        }
        for process in found {
            process.signal(Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn with_variable(variable: &str) -> Vec<Process> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // The environment of another user's process cannot be read, unless this process is root. Jobs run as the same user.
    let has_variable = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    };
    pids.filter(has_variable).filter_map(Process::of).filter(|process| process.runs()).collect()
}

/// State and start time.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may itself contain parentheses.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Whether the process `pid` is a PostgreSQL server on this data directory.
pub(crate) fn serves(pid: i32, data_dir: &Path) -> bool {
    let Ok(command_line) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let real = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    command_line
        .split(|byte| *byte == 0)
        .any(|argument| [data_dir, &real].iter().any(|dir| argument == dir.as_os_str().as_encoded_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_is_distinguished_from_a_later_one_of_the_same_number() {
        let this = Process::of(std::process::id().cast_signed()).expect("this process runs");
        assert!(this.runs());
        assert!(!Process { start: this.start + 1, ..this }.runs());
    }
}
