//! Jobs as detached processes: a directory each, whose files outlive this process and the job's. The agent itself takes
//! the directory's lock; whoever finds it held knows that the job works. It follows nobody.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use model::agent::{ENV_RESULT, ENV_SECRETS, ENV_TASK};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

use super::process::{Process, end_carriers};
use super::{LocalPlatform, deadline};
use crate::{Error, JobEnd, JobSpec, JobState, Result};

/// How often a job that is waited for is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// How a process ended, written by whoever started it.
#[derive(Serialize, Deserialize)]
struct Exit {
    process: Option<Process>,
    code: Option<i32>,
    signal: Option<i32>,
}

impl LocalPlatform {
    pub(crate) fn job_dir(&self, name: &str) -> Result<PathBuf> {
        let plain = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !plain {
            return Err(Error::Impossible(format!("{name:?} is no name of a job.")));
        }
        Ok(self.data_dir.join("jobs").join(name))
    }

    pub(crate) async fn launch_job(&self, job: &JobSpec) -> Result<()> {
        let dir = self.job_dir(&job.name)?;
        // Two callers at once would both find a job that has not begun.
        let _one = self.shared.launching.lock().await;
        if !dir.exists() {
            self.write_job(job, &dir)?;
        } else if read_task(&dir)? != serde_json::to_value(&job.task).context("write the task")? {
            return Err(Error::Foreign(format!("A job {} is there already, with another task.", job.name)));
        }
        if matches!(self.observe_job(&job.name)?, JobState::Pending(_)) {
            self.spawn(&dir).await?;
        }
        Ok(())
    }

    /// Everything that the job needs appears at once, under its name.
    fn write_job(&self, job: &JobSpec, dir: &Path) -> Result<()> {
        let staging = dir.with_file_name(format!(".{}-{}", job.name, std::process::id()));
        std::fs::remove_dir_all(&staging)
            .or_else(crate::cluster::missing_is_fine)
            .context("clear a job's directory")?;
        self.account.make_dir(&staging, 0o700)?;
        let secrets = staging.join("secrets");
        self.account.make_dir(&secrets, 0o700)?;
        for (name, secret) in &job.secrets {
            self.account.write(&secrets.join(name), secret.reveal().as_bytes(), 0o600)?;
        }
        self.set_deadline(&staging, job.deadline)?;
        let task = serde_json::to_vec_pretty(&job.task).context("write the task")?;
        self.account.write(&staging.join("task.json"), &task, 0o600)?;
        std::fs::rename(&staging, dir).with_context(|| format!("make the job {}", job.name))?;
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
            .stdin(std::process::Stdio::null())
            .stdout(self.append(&dir.join("events.jsonl"))?)
            .stderr(self.append(&dir.join("stderr.log"))?)
            // A group of its own: what the terminal sends us is not for the job, which outlives us.
            .process_group(0);
        let mut child = start(&mut command).await?;
        let process = child.id().and_then(|pid| Process::of(pid.cast_signed()));
        if let Some(process) = process {
            self.shared.children().push(process);
            let text = serde_json::to_vec(&process).context("write the job's process")?;
            self.account.write(&dir.join("process.json"), &text, 0o600)?;
        }
        let (dir, account, shared) = (dir.to_owned(), self.account.clone(), self.shared.clone());
        tokio::spawn(async move {
            use std::os::unix::process::ExitStatusExt;
            if let Ok(status) = child.wait().await {
                if let Some(process) = process {
                    process.end_group();
                }
                end_carriers(&mark(&dir));
                let exit = Exit { process, code: status.code(), signal: status.signal() };
                if let (Ok(text), true) = (serde_json::to_vec(&exit), dir.exists())
                    && let Err(error) = account.write(&dir.join("exit.json"), &text, 0o600)
                {
                    tracing::warn!(%error, "how a job ended could not be written down");
                }
            }
            shared.children().retain(|child| Some(*child) != process);
        });
        Ok(())
    }

    fn append(&self, path: &Path) -> Result<File> {
        let file = File::options()
            .create(true)
            .append(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path);
        let file = file.with_context(|| format!("make {}", path.display()))?;
        self.account.own_file(&file, path)?;
        Ok(file)
    }

    pub(crate) fn observe_job(&self, name: &str) -> Result<JobState> {
        let dir = self.job_dir(name)?;
        if !dir.exists() {
            return Ok(JobState::Missing);
        }
        let Some(process) = process_of(&dir)? else {
            // Whoever made the directory died before it started the agent, or is just about to.
            return Ok(JobState::Pending("The job is about to start.".to_owned()));
        };
        if self.is_alive(process) || is_locked(&dir) {
            return Ok(JobState::Running);
        }
        let end = JobEnd { result: read(&dir.join("result.json"))?, code: None, reason: None, fatal: false };
        // A second agent that found the directory taken leaves an exit too; it says nothing about the job.
        let exit = read::<Exit>(&dir.join("exit.json"))?.filter(|exit| exit.process == Some(process));
        if exit.is_none() && end.result.is_none() {
            // It was killed while nobody waited for it: what it had started may be at work still.
            end_carriers(&mark(&dir));
        }
        // The task may be looked at later; the secrets have done their work.
        std::fs::remove_dir_all(dir.join("secrets"))
            .or_else(crate::cluster::missing_is_fine)
            .context("remove the secrets of a job")?;
        Ok(JobState::Ended(JobEnd {
            code: end
                .result
                .as_ref()
                .map(|result| result.class.code())
                .or(exit.as_ref().and_then(|exit| exit.code)),
            reason: deadline::passed(&dir).or_else(|| end.result.is_none().then(|| reason(exit.as_ref()))),
            ..end
        }))
    }

    /// Whether a process runs, or ended so recently that how it ended is not written down yet.
    fn is_alive(&self, process: Process) -> bool {
        process.runs() || self.shared.children().contains(&process)
    }

    pub(crate) async fn stop_job(&self, name: &str, grace: Duration) -> Result<()> {
        let dir = self.job_dir(name)?;
        let Some(process) = self.withdraw(&dir).await? else { return Ok(()) };
        process.signal(Signal::TERM);
        let deadline = tokio::time::Instant::now() + grace;
        while self.is_alive(process) {
            if tokio::time::Instant::now() >= deadline {
                process.kill();
            }
            tokio::time::sleep(LOOK / 5).await;
        }
        end_carriers(&mark(&dir));
        Ok(())
    }

    /// The process to stop; a job that has none yet will not begin any more.
    async fn withdraw(&self, dir: &Path) -> Result<Option<Process>> {
        if let Some(process) = process_of(dir)? {
            return Ok(Some(process));
        }
        let _one = self.shared.launching.lock().await;
        let process = process_of(dir)?;
        if process.is_none() {
            crate::cluster::remove_dir(dir).await?;
        }
        Ok(process)
    }
}

/// Starts the agent. A process that is being forked at this moment may hold the fresh copy open for writing until it
/// becomes what it is to be.
async fn start(command: &mut Command) -> Result<Child> {
    let mut tries = 0;
    loop {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy && tries < 50 => {
                tries += 1;
                tokio::time::sleep(LOOK / 5).await;
            }
            child => return Ok(child.context("start the agent")?),
        }
    }
}

/// What all processes of a job have in their environment.
fn mark(dir: &Path) -> String {
    format!("{ENV_RESULT}={}", dir.join("result.json").display())
}

fn reason(exit: Option<&Exit>) -> String {
    match exit {
        Some(Exit { signal: Some(signal), .. }) => {
            format!("The job's process was killed by signal {signal}.")
        }
        Some(Exit { code: Some(code), .. }) => {
            format!("The job's process ended with code {code} and left no result.")
        }
        _ => "The job's process vanished: it was killed, or the machine was started anew.".to_owned(),
    }
}

/// The job's process: the one that took the directory, by its own word; until then the one that was started.
fn process_of(dir: &Path) -> Result<Option<Process>> {
    let own = std::fs::read_to_string(dir.join("pid")).ok().and_then(|text| {
        let (pid, start) = text.trim().split_once(' ')?;
        Some(Process { pid: pid.parse().ok()?, start: start.parse().ok()? })
    });
    own.map_or_else(|| read(&dir.join("process.json")), |process| Ok(Some(process)))
}

fn read_task(dir: &Path) -> Result<serde_json::Value> {
    Ok(read(&dir.join("task.json"))?.unwrap_or_default())
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read(path) {
        Ok(text) => {
            Ok(Some(serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))?))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(anyhow::Error::new(error).context(format!("read {}", path.display())).into()),
    }
}

/// Whether an agent holds the directory: one that another server started.
fn is_locked(dir: &Path) -> bool {
    let Ok(file) = File::open(dir.join("lock")) else { return false };
    matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock))
}
