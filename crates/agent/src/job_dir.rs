//! The directory of a job on the local platform. The process that holds its lock is the job.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A job directory that this process has locked.
pub(crate) struct JobDir {
    path: PathBuf,
    /// The lock is released when the file is closed.
    _lock: File,
}

/// The result of a claim.
pub(crate) enum Claim {
    /// This process is the job.
    Held(JobDir),
    /// Another process is or was the job, with the reason.
    Taken(String),
}

impl JobDir {
    /// Claims the directory, unless another process has or had it.
    pub(crate) fn claim(path: &Path) -> Result<Claim> {
        let lock_path = path.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let file = file.with_context(|| format!("cannot open {}", lock_path.display()))?;
        match lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Ok(Claim::Taken(format!("another agent works in {}", path.display())));
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", lock_path.display()));
            }
        }
        let dir = Self { path: path.to_owned(), _lock: file };
        if dir.pid_file().exists() {
            // One attempt is one job: it is not executed twice.
            return Ok(Claim::Taken(format!("the job in {} has ended already", path.display())));
        }
        dir.write_pid()?;
        Ok(Claim::Held(dir))
    }

    fn pid_file(&self) -> PathBuf {
        self.path.join("pid")
    }

    /// Writes the process id and the start time in clock ticks since boot, which identify this process uniquely.
    fn write_pid(&self) -> Result<()> {
        let started = start_time("/proc/self/stat").context("cannot read /proc/self/stat")?;
        let new = self.path.join("pid.new");
        let mut file = File::create(&new).with_context(|| format!("cannot write {}", new.display()))?;
        writeln!(file, "{} {started}", std::process::id())?;
        file.sync_all()?;
        std::fs::rename(&new, self.pid_file()).context("cannot write the job's process id")
    }
}

/// Locks the file. A process that checks the lock holds it for an instant, so that it is tried for a second.
fn lock(file: &File) -> Result<(), TryLockError> {
    let mut attempts = 20;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if attempts > 0 => attempts -= 1,
            other => return other,
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Field 22 of a stat file. The program's name before it may contain spaces and parentheses.
fn start_time(stat: &str) -> Option<u64> {
    let text = std::fs::read_to_string(stat).ok()?;
    let (_, after) = text.rsplit_once(") ")?;
    after.split(' ').nth(19)?.parse().ok()
}
