//! The time limit of a job: recorded in its directory, enforced by every server that follows the job.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};

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
        let limit = chrono::Duration::from_std(limit).context("a time limit")?;
        let deadline = Utc::now().checked_add_signed(limit).unwrap_or(DateTime::<Utc>::MAX_UTC);
        self.account.write(&dir.join(DEADLINE), deadline.to_rfc3339().as_bytes(), 0o600)
    }

    /// Stops a job whose deadline has passed.
    pub(super) async fn enforce_deadline(&self, name: &str) -> Result<()> {
        let dir = self.job_dir(name)?;
        let deadline = self.account.read_text(&dir.join(DEADLINE));
        let deadline = deadline.and_then(|text| text.parse::<DateTime<Utc>>().ok());
        if deadline.is_none_or(|deadline| Utc::now() < deadline) || deadline_exceeded(&dir) {
            return Ok(());
        }
        self.account.write(&dir.join(EXCEEDED), b"", 0o600)?;
        self.stop_job(name, GRACE).await
    }
}

/// Whether a job was stopped because of its deadline.
pub(super) fn deadline_exceeded(dir: &Path) -> bool {
    dir.join(EXCEEDED).exists()
}
