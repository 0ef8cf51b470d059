//! Runs PostgreSQL's programs: argument vectors, a cleared environment, an own process group, both ends of every pipe.
//! It does not know what any of them does.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use model::{ExitClass, Level};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::failure::fail;
use crate::run_as::RunAs;

/// What a program inherits from the agent's environment; all else is taken away. The last one tells whose it is: should the
/// agent be killed, the platform finds by it what is left at work.
const PASSED_ON: [&str; 5] = ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZ", model::agent::ENV_RESULT];
/// How many of a program's last complaints an error keeps.
const KEPT_LINES: usize = 12;
/// The longest complaint that is kept, in bytes.
const KEPT_BYTES: u64 = 2048;

/// A program to be started.
pub(crate) struct Tool {
    name: String,
    command: Command,
}

impl Tool {
    /// Prepares `path`; as `run_as` where the agent is root and the program must not be.
    pub(crate) fn new(path: &Path, run_as: Option<RunAs>) -> Self {
        let mut command = Command::new(path);
        command.env_clear().envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("LC_ALL", "C").process_group(0).kill_on_drop(true).current_dir("/");
        if let Some(user) = run_as {
            command.uid(user.uid).gid(user.gid);
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self { name, command }
    }

    /// Adds arguments.
    pub(crate) fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    /// Sets environment variables.
    pub(crate) fn envs<I: IntoIterator<Item = (&'static str, OsString)>>(mut self, vars: I) -> Self {
        self.command.envs(vars);
        self
    }

    /// Starts it with a pipe on its output, nothing on its input.
    pub(crate) fn reading(mut self) -> Result<(Running, ChildStdout)> {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut running = self.start()?;
        let stdout = running.child.stdout.take().context("no pipe on its output")?;
        Ok((running, stdout))
    }

    /// Starts it with a pipe on its input, its output thrown away.
    pub(crate) fn writing(mut self) -> Result<(Running, ChildStdin)> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut running = self.start()?;
        let stdin = running.child.stdin.take().context("no pipe on its input")?;
        Ok((running, stdin))
    }

    /// Starts it without input and output.
    pub(crate) fn silent(mut self) -> Result<Running> {
        self.command.stdin(Stdio::null()).stdout(Stdio::null());
        self.start()
    }

    /// Starts it with its complaints going to a file, and leaves it to the caller.
    pub(crate) fn daemon(mut self, log: std::fs::File) -> Result<Child> {
        self.command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.command.spawn().with_context(|| format!("cannot start {}", self.name))
    }

    fn start(mut self) -> Result<Running> {
        let mut child = self
            .command
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let stderr = child.stderr.take().context("no pipe for its complaints")?;
        let complaints = tokio::spawn(collect(stderr));
        Ok(Running { name: self.name, child, group, complaints: Some(complaints) })
    }
}

/// A program at work. Dropped before it ended, it is killed with all that it started.
pub(crate) struct Running {
    name: String,
    child: Child,
    group: Option<Pid>,
    complaints: Option<JoinHandle<Vec<String>>>,
}

impl Running {
    /// Waits for it; fine only if it exited 0. Its warnings are given back.
    pub(crate) async fn finish(mut self) -> Result<Vec<String>> {
        let status = self.child.wait().await.with_context(|| format!("cannot wait for {}", self.name))?;
        self.group = None;
        let lines = match self.complaints.take() {
            Some(task) => task.await.unwrap_or_default(),
            None => Vec::new(),
        };
        if status.success() {
            return Ok(lines);
        }
        let words = if lines.is_empty() { status.to_string() } else { lines.join("; ") };
        Err(fail(classify(&words), format!("{} failed: {words}", self.name)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // Nothing to do where it is gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// The last lines of what a program complains of.
async fn collect(stderr: impl AsyncRead + Unpin) -> Vec<String> {
    let mut reader = BufReader::new(stderr);
    let mut lines = VecDeque::with_capacity(KEPT_LINES);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(KEPT_BYTES).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return lines.into(),
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if text.is_empty() {
            continue;
        }
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(text);
    }
}

/// What kind of failure a program's words mean.
pub(crate) fn classify(words: &str) -> ExitClass {
    const KNOWN: [(&str, ExitClass); 18] = [
        ("password authentication failed", ExitClass::Authentication),
        ("no password supplied", ExitClass::Authentication),
        ("no pg_hba.conf entry", ExitClass::Authentication),
        ("could not translate host name", ExitClass::Unreachable),
        ("Connection refused", ExitClass::Unreachable),
        ("server closed the connection", ExitClass::Transient),
        ("terminating connection", ExitClass::Transient),
        ("lock timeout", ExitClass::Transient),
        ("permission denied", ExitClass::Configuration),
        ("row-level security", ExitClass::Configuration),
        ("server version mismatch", ExitClass::Configuration),
        ("unsupported version", ExitClass::Configuration),
        ("is not available", ExitClass::Configuration),
        ("could not access file", ExitClass::Configuration),
        ("max_locks_per_transaction", ExitClass::Configuration),
        ("invalid locale name", ExitClass::Configuration),
        ("extension control file", ExitClass::Configuration),
        ("No space left on device", ExitClass::Configuration),
    ];
    KNOWN.iter().find(|(part, _)| words.contains(part)).map_or(ExitClass::Transient, |(_, class)| *class)
}

/// The level that a program's line has in the log.
pub(crate) fn level_of(line: &str) -> Level {
    if line.contains("warning:") || line.contains("WARNING:") || line.contains("error:") {
        Level::Warn
    } else {
        Level::Debug
    }
}
