//! Runs PostgreSQL's programs: with an argument vector, a cleared environment, and a process group of their own. It does not
//! know what any of them does.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};
use model::{Failure, FailureCode};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::redact::Redactor;
use crate::run_as::RunAs;
use crate::tool_errors;

/// The variables that a program inherits. By the last one the platform finds the programs of a job whose agent was killed.
const INHERITED: [&str; 5] = ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZ", model::agent::ENV_RESULT];
/// How many of the last lines of standard error are kept.
const KEPT_LINES: usize = 12;
/// The longest line that is kept, in bytes.
const KEPT_BYTES: u64 = 2048;
/// Bytes that are read from a program's output at once.
const BUFFER: usize = 64 * 1024;

/// This program, also for a user that cannot enter its directory.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The files that a confined program reaches, beside the programs and libraries of the system.
#[derive(Clone, Debug, Default)]
pub(crate) struct Confinement {
    /// Files and directories to read and execute.
    pub(crate) read: Vec<PathBuf>,
    /// Files and directories to read and write.
    pub(crate) write: Vec<PathBuf>,
}

/// A program to be started.
pub(crate) struct Tool {
    name: String,
    command: Command,
    unspecific: FailureCode,
}

impl Tool {
    /// Prepares the program at `path`, to be run as `run_as` where the agent is root and the program refuses root.
    /// `unspecific` is the code of a failure for which the program's messages name no known cause.
    pub(crate) fn new(path: &Path, run_as: Option<RunAs>, unspecific: FailureCode) -> Self {
        let mut command = Command::new(path);
        command.env_clear().envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("LC_ALL", "C").process_group(0).kill_on_drop(true).current_dir("/");
        if let Some(user) = run_as {
            command.uid(user.uid).gid(user.gid);
        }
        Self { name: name_of(path), command, unspecific }
    }

    /// Like [`Self::new`], for a program that executes what an image contains: it reaches no other files and no network, where
    /// the kernel supports that.
    pub(crate) fn confined(
        path: &Path,
        run_as: Option<RunAs>,
        unspecific: FailureCode,
        within: &Confinement,
    ) -> Self {
        let mut tool = Self::new(Path::new(THIS_PROGRAM), run_as, unspecific);
        tool.name = name_of(path);
        tool.command.args(["confine", "--no-network"]);
        for (option, paths) in [("--read", &within.read), ("--write", &within.write)] {
            for path in paths {
                tool.command.arg(option).arg(path);
            }
        }
        tool.command.arg("--").arg(path);
        tool
    }

    /// Like [`Self::confined`], for a program that `toygres-agent execute` runs in another container. The programs are those of
    /// the major version there.
    pub(crate) fn relayed(socket: &Path, major: i32, name: &str, unspecific: FailureCode) -> Self {
        let mut tool = Self::new(Path::new(THIS_PROGRAM), None, unspecific);
        name.clone_into(&mut tool.name);
        tool.command
            .args(["relay", "--major", &major.to_string(), "--socket"])
            .arg(socket)
            .args(["--", name]);
        tool
    }

    /// Adds arguments.
    pub(crate) fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    /// Sets environment variables.
    pub(crate) fn envs<I, K, V>(mut self, vars: I) -> Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.command.envs(vars);
        self
    }

    /// Starts it with its output in a pipe and without input.
    pub(crate) fn reading(mut self) -> Result<(Running, ChildStdout)> {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut running = self.start()?;
        let stdout = running.child.stdout.take().context("standard output is not a pipe")?;
        Ok((running, stdout))
    }

    /// Starts it with its input from a pipe, and discards its output.
    pub(crate) fn writing(mut self) -> Result<(Running, ChildStdin)> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut running = self.start()?;
        let stdin = running.child.stdin.take().context("standard input is not a pipe")?;
        Ok((running, stdin))
    }

    /// Starts it without input and output.
    pub(crate) fn silent(mut self) -> Result<Running> {
        self.command.stdin(Stdio::null()).stdout(Stdio::null());
        self.start()
    }

    /// Starts it with pipes for its input, its output and its standard error. The caller ends it.
    pub(crate) fn piped(mut self) -> Result<Child> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.spawn().with_context(|| format!("cannot start {}", self.name))
    }

    /// Starts it with its output and standard error in a file. The caller ends it.
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
        let stderr = child.stderr.take().context("standard error is not a pipe")?;
        let messages = tokio::spawn(last_lines(stderr));
        Ok(Running { name: self.name, child, group, messages: Some(messages), unspecific: self.unspecific })
    }
}

/// A running program. If it is dropped before it ended, it is killed with its process group.
pub(crate) struct Running {
    name: String,
    child: Child,
    group: Option<Pid>,
    messages: Option<JoinHandle<Vec<String>>>,
    unspecific: FailureCode,
}

impl Running {
    /// Waits for its end and returns its warnings, redacted.
    ///
    /// # Errors
    /// It did not exit with 0. The failure has its messages.
    pub(crate) async fn finish(mut self, redactor: &Redactor) -> Result<Vec<String>> {
        let status = self.child.wait().await.with_context(|| format!("cannot wait for {}", self.name))?;
        self.group = None;
        let lines = match self.messages.take() {
            Some(task) => task.await.unwrap_or_default(),
            None => Vec::new(),
        };
        let clean: Vec<String> = lines.iter().map(|line| redactor.clean(line)).collect();
        if status.success() {
            return Ok(clean);
        }
        let reported = tool_errors::read(&lines);
        let text = if clean.is_empty() { format!("{}: {status}", self.name) } else { clean.join("; ") };
        let failure = Failure::new(reported.code.unwrap_or(self.unspecific), text);
        let subject = reported.subject.map(|subject| redactor.clean(&subject)).unwrap_or_default();
        Err(failure.on(subject).into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It fails if the process group has ended already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// The name of a program, for messages.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Passes everything that `from` provides to `to`, in parts.
pub(crate) async fn for_each_part(
    from: &mut (impl AsyncRead + Unpin),
    mut to: impl AsyncFnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        to(&buffer[..n]).await?;
    }
}

/// The last lines of a program's standard error.
async fn last_lines(stderr: impl AsyncRead + Unpin) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(script: &str, secrets: &[&str]) -> Result<Vec<String>> {
        let shell = Tool::new(Path::new("/bin/sh"), None, FailureCode::DumpFailed).args(["-c", script]);
        shell.silent().expect("started").finish(&Redactor::new(secrets.iter().copied())).await
    }

    #[tokio::test]
    async fn failure_of_a_program_has_its_messages_and_their_code() {
        let script = "echo 'pg_restore: error: could not execute query: ERROR:  relation \"a\" does not exist' >&2; exit 1";
        let error = run(script, &[]).await.expect_err("exit 1");
        let failure = error.downcast_ref::<Failure>().expect("a failure");
        assert_eq!((failure.code, failure.subject.as_deref()), (FailureCode::StatementInvalid, Some("a")));
        let error = run("exit 3", &[]).await.expect_err("exit 3");
        let failure = error.downcast_ref::<Failure>().expect("a failure");
        assert_eq!((failure.code, failure.detail.as_str()), (FailureCode::DumpFailed, "sh: exit status: 3"));
    }

    #[tokio::test]
    async fn messages_are_redacted() {
        let warnings = run("echo 'warning: password=user canary-77' >&2", &["user", "canary-77"]).await;
        assert_eq!(warnings.expect("exit 0"), ["warning: password=[secret] [secret]"]);
        let error = run("echo 'error: \"canary-77\"' >&2; exit 1", &["canary-77"]).await.expect_err("exit 1");
        assert_eq!(error.to_string(), "error: \"[secret]\"");
    }
}
