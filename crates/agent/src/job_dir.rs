//! The job's own directory on the local platform: whoever holds its lock is the job. It knows no task.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A job directory that this process has to itself.
pub(crate) struct JobDir {
    path: PathBuf,
    /// Held open: the lock goes with the process.
    _lock: File,
}

/// What came of asking for it.
pub(crate) enum Taken {
    /// It is ours.
    Ours(JobDir),
    /// Another process works there, or did: the words say which.
    Another(String),
}

impl JobDir {
    /// Takes the directory, if nobody has and nobody had it.
    pub(crate) fn take(path: &Path) -> Result<Taken> {
        let lock = path.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&lock);
        let file = file.with_context(|| format!("cannot open {}", lock.display()))?;
        match lock_soon(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Ok(Taken::Another(format!("another agent is at work in {}", path.display())));
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", lock.display()));
            }
        }
        let dir = Self { path: path.to_owned(), _lock: file };
        if dir.pid_file().exists() {
            // One attempt is one job: what it began is not begun again under the same name.
            return Ok(Taken::Another(format!("the job in {} ended already", path.display())));
        }
        dir.write_pid()?;
        Ok(Taken::Ours(dir))
    }

    fn pid_file(&self) -> PathBuf {
        self.path.join("pid")
    }

    /// Writes process id and start time (in clock ticks since boot), which together name this process for ever.
    fn write_pid(&self) -> Result<()> {
        let started = start_time("/proc/self/stat").context("cannot read /proc/self/stat")?;
        let new = self.path.join("pid.new");
        let mut file = File::create(&new).with_context(|| format!("cannot write {}", new.display()))?;
        writeln!(file, "{} {started}", std::process::id())?;
        file.sync_all()?;
        std::fs::rename(&new, self.pid_file()).context("cannot write the job's pid")
    }
}

/// Whoever looks whether the lock is held holds it for an instant: that is not yet another agent.
fn lock_soon(file: &File) -> Result<(), TryLockError> {
    let mut tries = 20;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if tries > 0 => tries -= 1,
            other => return other,
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Field 22 of a stat file; the program's name before it may hold anything, spaces and parentheses too.
fn start_time(stat: &str) -> Option<u64> {
    let text = std::fs::read_to_string(stat).ok()?;
    let (_, after) = text.rsplit_once(") ")?;
    after.split(' ').nth(19)?.parse().ok()
}
