//! How long a job may take: kept in its directory, enforced by whoever follows it. It knows nothing of what a job does.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};

use super::LocalPlatform;
use crate::Result;

/// How long a job that has had its time may take to stop.
const GRACE: Duration = Duration::from_secs(15);
/// Names the file that says until when.
const UNTIL: &str = "deadline";
/// Names the file that says that it was stopped for it.
const PASSED: &str = "overdue";

impl LocalPlatform {
    /// Writes down in a job's directory how long it may take from now on.
    pub(super) fn set_deadline(&self, dir: &Path, may_take: Duration) -> Result<()> {
        let until =
            Utc::now().checked_add_signed(chrono::Duration::from_std(may_take).context("a deadline")?);
        let until = until.unwrap_or(DateTime::<Utc>::MAX_UTC).to_rfc3339();
        self.account.write(&dir.join(UNTIL), until.as_bytes(), 0o600)
    }

    /// Stops a job that has had its time.
    pub(super) async fn stop_if_overdue(&self, name: &str) -> Result<()> {
        let dir = self.job_dir(name)?;
        let until = std::fs::read_to_string(dir.join(UNTIL)).ok();
        let until = until.and_then(|text| text.parse::<DateTime<Utc>>().ok());
        if until.is_none_or(|until| Utc::now() < until) || passed(&dir).is_some() {
            return Ok(());
        }
        self.account.write(&dir.join(PASSED), b"", 0o600)?;
        self.stop_job(name, GRACE).await
    }
}

/// Why a job was stopped, if it was because it had had its time.
pub(super) fn passed(dir: &Path) -> Option<String> {
    dir.join(PASSED).exists().then(|| "The job took longer than it may and was stopped.".to_owned())
}
