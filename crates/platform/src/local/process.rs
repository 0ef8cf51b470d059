//! Processes by number and start time, so that a number which the system gave away again is never taken for ours.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Clock ticks from the machine's start to the process' (field 22 of /proc/PID/stat).
    pub(crate) start: u64,
}

impl Process {
    /// The process that has this number now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let (_, start) = stat(pid)?;
        Some(Self { pid, start })
    }

    /// Whether it runs still; one that has ended and was not waited for does not.
    pub(crate) fn runs(self) -> bool {
        stat(self.pid).is_some_and(|(state, start)| start == self.start && state != 'Z')
    }

    /// Signals it, if it runs.
    pub(crate) fn signal(self, signal: Signal) {
        if let (true, Some(pid)) = (self.runs(), Pid::from_raw(self.pid)) {
            // It may end between the look and the signal.
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills what is left of the process group of one that has just ended.
    pub(crate) fn end_group(self) {
        if let (None, Some(pid)) = (Self::of(self.pid), Pid::from_raw(self.pid)) {
            // Mostly nobody is left.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// Kills it and its process group, if it runs.
    pub(crate) fn kill(self) {
        if let (true, Some(pid)) = (self.runs(), Pid::from_raw(self.pid)) {
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Kills every process that has this in its environment, and what those start meanwhile.
pub(crate) fn end_carriers(variable: &str) {
    // Each round finds what the one before had no time to see; nothing forks so often.
    for _ in 0..10 {
        let carriers = carriers(variable);
        if carriers.is_empty() {
            return;
        }
        for process in carriers {
            process.signal(Signal::KILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn carriers(variable: &str) -> Vec<Process> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // Nobody's environment but our own user's can be read, and that is enough.
    let carries = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    };
    pids.filter(carries).filter_map(Process::of).filter(|process| process.runs()).collect()
}

/// State and start time; the name before them may hold anything, a closing bracket too.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Whether process `pid` is a PostgreSQL server on this data directory.
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
    fn a_process_is_told_from_a_later_one_of_the_same_number() {
        let ours = Process::of(std::process::id().cast_signed()).expect("we run");
        assert!(ours.runs());
        assert!(!Process { start: ours.start + 1, ..ours }.runs());
    }
}
