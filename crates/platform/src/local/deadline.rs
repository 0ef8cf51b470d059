//! The time limit of a job: recorded in its directory, enforced by every server that follows the job.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::LocalPlatform;
use crate::Result;

/// How long a job may take to stop after its deadline.
const GRACE: Duration = Duration::from_secs(15);
/// The file that contains the deadline.
const DEADLINE: &str = "deadline";
/// The file that marks a job as stopped because of its deadline.
const EXCEEDED: &str = "overdue";

impl LocalPlatform {
    /// Records in a job's directory that it may run for `limit` from now on.
    pub(super) fn set_deadline(&self, dir: &Path, limit: Duration) -> Result<()> {
        let deadline = uptime()?.as_secs().saturating_add(limit.as_secs());
        self.account.write(&dir.join(DEADLINE), deadline.to_string().as_bytes(), 0o600)
    }

    /// Stops a job whose deadline has passed.
    pub(super) async fn enforce_deadline(&self, name: &str) -> Result<()> {
        let dir = self.job_dir(name)?;
        let deadline = self.account.read_text(&dir.join(DEADLINE));
        let Some(deadline) = deadline.and_then(|text| text.parse::<u64>().ok()) else { return Ok(()) };
        if uptime()?.as_secs() < deadline || deadline_exceeded(&dir) {
            return Ok(());
        }
        self.account.write(&dir.join(EXCEEDED), b"", 0o600)?;
        self.stop_job(name, GRACE).await
    }
}

/// How long this machine has been running. Unlike the time of day, it cannot be set; it outlives the server, and ends with the
/// jobs. See `proc_uptime(5)`.
fn uptime() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").context("read /proc/uptime")?;
    let seconds = text.split_whitespace().next().and_then(|seconds| seconds.parse().ok());
    let uptime = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    uptime.with_context(|| format!("/proc/uptime has no time: {text:?}"))
}

/// Whether a job was stopped because of its deadline.
pub(super) fn deadline_exceeded(dir: &Path) -> bool {
    dir.join(EXCEEDED).exists()
}
