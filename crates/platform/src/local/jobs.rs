//! Jobs as detached processes. Each has a directory, whose files outlive this process and the job's. The agent holds a lock
//! on the directory while it runs, which every server can observe.

use std::fs::TryLockError;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use model::agent::{ENV_RESULT, ENV_SECRETS, ENV_TASK};
use model::{AgentResult, Failure, FailureCode};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::process::Child;
use tokio::time::Instant;

use super::LocalPlatform;
use super::agent_program;
use super::deadline::deadline_exceeded;
use super::process::{Process, kill_with_variable};
use crate::files::{missing_is_fine, remove_dir};
use crate::job::code_without_result;
use crate::{ExposeSecret, JobEnd, JobSpec, JobState, Result};

/// How often a job is observed while its end is awaited.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How a process ended, as recorded by the server that started it.
#[derive(Serialize, Deserialize)]
struct Exit {
    process: Option<Process>,
    code: Option<i32>,
    signal: Option<i32>,
}

impl LocalPlatform {
    pub(super) fn job_dir(&self, name: &str) -> Result<PathBuf> {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || !name.bytes().all(is_plain) {
            let detail = "not the name of a job: it has lowercase letters, digits and hyphens";
            return Err(Failure::new(FailureCode::PlatformUnsupported, detail).on(name).into());
        }
        Ok(self.data_dir.join("jobs").join(name))
    }

    pub(super) async fn launch_job(&self, job: &JobSpec) -> Result<()> {
        let dir = self.job_dir(&job.name)?;
        // Two concurrent calls would both find a job that has not started.
        let _guard = self.shared.launching.lock().await;
        if dir.exists() {
            let task: Option<serde_json::Value> = self.account.read_json(&dir.join("task.json"))?;
            if task != Some(serde_json::to_value(&job.task).context("serialize the task")?) {
                let detail = "a job of this name exists and has another task";
                return Err(Failure::new(FailureCode::NotOwned, detail).on(&*job.name).into());
            }
        } else {
            self.write_job(job, &dir)?;
        }
        if matches!(self.observe_job(&job.name)?, JobState::Pending(_)) {
            self.spawn(&dir).await?;
        }
        Ok(())
    }

    /// Creates the directory of a job with its complete input, atomically.
    fn write_job(&self, job: &JobSpec, dir: &Path) -> Result<()> {
        let staging = dir.with_file_name(format!(".{}-{}", job.name, std::process::id()));
        std::fs::remove_dir_all(&staging).or_else(missing_is_fine).context("clear a job's directory")?;
        self.account.make_dir(&staging, 0o700)?;
        let secrets = staging.join("secrets");
        self.account.make_dir_below(&secrets)?;
        for (name, secret) in &job.secrets {
            self.account.write(&secrets.join(name), secret.expose_secret().as_bytes(), 0o600)?;
        }
        self.set_deadline(&staging, job.deadline)?;
        let task = serde_json::to_vec_pretty(&job.task).context("serialize the task")?;
        self.account.write(&staging.join("task.json"), &task, 0o600)?;
        std::fs::rename(&staging, dir).with_context(|| format!("create the job {}", job.name))?;
        Ok(())
    }

    async fn spawn(&self, dir: &Path) -> Result<()> {
        let mut command = self.account.command(&self.agent_program);
        command
            .args(["run".as_ref(), "--job-dir".as_ref(), dir.as_os_str()])
            .env(ENV_TASK, dir.join("task.json"))
            .env(ENV_SECRETS, dir.join("secrets"))
            .env(ENV_RESULT, dir.join("result.json"))
            .env("HOME", dir)
            .stdin(Stdio::null())
            .stdout(self.account.append(&dir.join("events.jsonl"))?)
            .stderr(self.account.append(&dir.join("stderr.log"))?)
            // The job outlives this process: the terminal's signals must not reach it.
            .process_group(0);
        let child = agent_program::spawn(&mut command).await?;
        let process = child.id().and_then(|pid| Process::of(pid.cast_signed()));
        if let Some(process) = process {
            self.shared.children().push(process);
            let text = serde_json::to_vec(&process).context("serialize the job's process")?;
            self.account.write(&dir.join("process.json"), &text, 0o600)?;
        }
        tokio::spawn(self.clone().record_exit(child, process, dir.to_owned()));
        Ok(())
    }

    /// Waits for a job's process and records how it ended.
    async fn record_exit(self, mut child: Child, process: Option<Process>, dir: PathBuf) {
        if let Ok(status) = child.wait().await {
            if let Some(process) = process {
                process.kill_group();
            }
            self.kill_programs(&dir);
            let exit = Exit { process, code: status.code(), signal: status.signal() };
            if let (Ok(text), true) = (serde_json::to_vec(&exit), dir.exists())
                && let Err(error) = self.account.write(&dir.join("exit.json"), &text, 0o600)
            {
                tracing::warn!(%error, "the end of a job could not be recorded");
            }
        }
        self.shared.children().retain(|child| Some(*child) != process);
    }

    /// Kills what the agent of a job has started.
    fn kill_programs(&self, dir: &Path) {
        kill_with_variable(&marker(dir), |process| self.account.runs(process));
    }

    pub(super) fn observe_job(&self, name: &str) -> Result<JobState> {
        let dir = self.job_dir(name)?;
        if !dir.exists() {
            return Ok(JobState::Missing);
        }
        let Some(process) = self.process_of(&dir)? else {
            // The server that created the directory has not started the agent yet, or ended before it did.
            return Ok(JobState::Pending(None));
        };
        if self.may_run(process) || self.is_locked(&dir) {
            return Ok(JobState::Running);
        }
        let result: Option<AgentResult> = self.account.read_json(&dir.join("result.json"))?;
        // An agent that finds the directory locked ends at once. Its exit says nothing about the job.
        let exit = self.account.read_json::<Exit>(&dir.join("exit.json"))?;
        let exit = exit.filter(|exit| exit.process == Some(process));
        if exit.is_none() && result.is_none() {
            // It was killed while no server waited for it: the programs that it started may still run.
            self.kill_programs(&dir);
        }
        self.account.remove_dir(&dir.join("secrets"))?;
        let code = match &result {
            Some(result) => Some(result.class().code()),
            None => exit.as_ref().and_then(|exit| exit.code),
        };
        let failure = match (deadline_exceeded(&dir), &result) {
            (true, _) => {
                Some(Failure::new(FailureCode::JobDeadline, "stopped because its time limit was exceeded"))
            }
            (false, None) => Some(without_result(exit.as_ref())),
            (false, Some(_)) => None,
        };
        Ok(JobState::Ended(JobEnd { code, result, failure: failure.map(|failure| failure.on(name)) }))
    }

    /// Whether a process runs, or ended so recently that its end is not recorded yet.
    fn may_run(&self, process: Process) -> bool {
        process.runs() || self.shared.children().contains(&process)
    }

    pub(super) async fn stop_job(&self, name: &str, grace: Duration) -> Result<()> {
        let dir = self.job_dir(name)?;
        let Some(process) = self.process_or_withdraw(&dir).await? else { return Ok(()) };
        process.signal(Signal::TERM);
        let deadline = Instant::now() + grace;
        while self.may_run(process) {
            if Instant::now() >= deadline {
                process.kill();
            }
            tokio::time::sleep(POLL_INTERVAL / 5).await;
        }
        self.kill_programs(&dir);
        Ok(())
    }

    /// The process of a job. A job that has none is deleted, so that it never starts.
    async fn process_or_withdraw(&self, dir: &Path) -> Result<Option<Process>> {
        if let Some(process) = self.process_of(dir)? {
            return Ok(Some(process));
        }
        let _guard = self.shared.launching.lock().await;
        let process = self.process_of(dir)?;
        if process.is_none() {
            remove_dir(dir).await?;
        }
        Ok(process)
    }

    /// The job's process: the agent that locked the directory, by its own record; until then the one that was started.
    ///
    /// The account can write both records. A process of another account is not the job's, and root must not end it.
    fn process_of(&self, dir: &Path) -> Result<Option<Process>> {
        let recorded = self.account.read_text(&dir.join("pid")).and_then(|text| {
            let (pid, start) = text.trim().split_once(' ')?;
            Some(Process { pid: pid.parse().ok()?, start: start.parse().ok()? })
        });
        // The record of a process that ended is needed: it identifies the end of the job.
        let may_be_ours = |process: &Process| !process.runs() || self.account.runs(*process);
        match recorded.filter(may_be_ours) {
            Some(process) => Ok(Some(process)),
            None => Ok(self.account.read_json(&dir.join("process.json"))?.filter(may_be_ours)),
        }
    }

    /// Whether an agent holds the lock of the directory, also one that another server started.
    fn is_locked(&self, dir: &Path) -> bool {
        let Ok(file) = self.account.open(&dir.join("lock")) else { return false };
        matches!(file.try_lock(), Err(TryLockError::WouldBlock))
    }
}

/// The environment variable that all processes of a job inherit.
fn marker(dir: &Path) -> String {
    format!("{ENV_RESULT}={}", dir.join("result.json").display())
}

fn without_result(exit: Option<&Exit>) -> Failure {
    match exit {
        Some(Exit { signal: Some(signal), .. }) => {
            Failure::new(FailureCode::JobKilled, format!("killed by signal {signal}"))
        }
        Some(Exit { code: Some(code), .. }) => Failure::new(
            code_without_result(*code),
            format!("ended with exit code {code} and without a result"),
        ),
        _ => Failure::new(FailureCode::JobKilled, "the process disappeared"),
    }
}
