//! Log lines, progress and the result of a job that are not stored yet. They are stored in one transaction with the number
//! of their last event.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use model::agent::{AgentResult, EventBody};
use model::{AgentEvent, Failure, Level, RunId};
use sha2::{Digest as _, Sha256};
use sqlx::types::Json;
use tokio::time::Instant;

use super::lease::{self, FollowedJob};
use super::reorder_buffer::Position;
use crate::logs::{self, Line};
use crate::services::Services;

/// How long lines are collected before they are stored.
const FLUSH_AFTER: Duration = Duration::from_millis(250);
/// The largest batch, in bytes of text.
const MAX_BYTES: usize = 48 * 1024;
/// The most distinct unnumbered lines that are stored of one job.
const MAX_UNNUMBERED: usize = 500;
/// The key under which the line that replaces all further unnumbered lines is counted.
const OVERFLOW: &str = "more";

/// Events that are not stored yet.
#[derive(Default)]
pub(super) struct LogBatch {
    lines: Vec<Line>,
    bytes: usize,
    progress: Option<model::run::Progress>,
    result: Option<AgentResult>,
    /// When the oldest unstored event was added.
    since: Option<Instant>,
    /// How often each unnumbered line was received since this worker follows the job, by digest.
    received: BTreeMap<String, u32>,
}

impl LogBatch {
    /// Adds a numbered event.
    pub(super) fn push(&mut self, job: &FollowedJob, event: AgentEvent) {
        match event.body {
            EventBody::Log { level, message } => self.push_line(job, event.at, level, &message),
            EventBody::Progress(progress) => self.progress = Some(progress),
            EventBody::Result(result) => self.result = Some(result),
            EventBody::Waiting(_) => {}
        }
        self.mark_changed();
    }

    /// Adds an unnumbered line. Each follower receives all of them from the first, so lines that are already stored are
    /// skipped.
    pub(super) fn push_unnumbered(
        &mut self,
        job: &mut FollowedJob,
        at: DateTime<Utc>,
        mut level: Level,
        mut message: String,
    ) {
        let mut key = digest(&message);
        if !job.unnumbered.contains_key(&key) && job.unnumbered.len() >= MAX_UNNUMBERED {
            level = Level::Warn;
            message = "Further unnumbered lines of the job are not stored.".to_owned();
            key = OVERFLOW.to_owned();
        }
        let received = self.received.entry(key.clone()).or_default();
        *received += 1;
        let stored = job.unnumbered.0.entry(key.clone()).or_default();
        if *received > *stored && (key != OVERFLOW || *stored == 0) {
            *stored = *received;
            self.push_line(job, at, level, &message);
        }
    }

    /// Records what the job waits for before it starts, and logs it as a warning.
    pub(super) fn set_waiting(&mut self, job: &mut FollowedJob, at: DateTime<Utc>, failure: Failure) {
        self.push_unnumbered(job, at, Level::Warn, failure.to_string());
        job.waiting = Some(Json(failure));
        self.mark_changed();
    }

    /// Records that the job has started.
    pub(super) fn clear_waiting(&mut self, job: &mut FollowedJob) {
        if job.waiting.take().is_some() {
            self.mark_changed();
        }
    }

    /// Adds a line that says how many events are missing.
    pub(super) fn push_gap(&mut self, job: &FollowedJob, missing: u64) {
        let message = format!(
            "{missing} lines of the job are missing: neither its output nor its log segments contain them."
        );
        self.push_line(job, Utc::now(), Level::Warn, &message);
    }

    fn push_line(&mut self, job: &FollowedJob, at: DateTime<Utc>, level: Level, message: &str) {
        let line = Line::at(at, level, &job.step, message);
        self.bytes += line.message.len() + 100;
        self.lines.push(line);
        self.mark_changed();
    }

    fn mark_changed(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// When the batch must be stored; `None` if it is empty.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + FLUSH_AFTER)
    }

    /// Whether the batch must be stored before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX_BYTES
    }

    /// Stores the batch and the position after it, and extends the lease.
    ///
    /// # Errors
    /// Another worker holds the lease, or the state database is unavailable.
    pub(super) async fn flush(
        &mut self,
        services: &Services,
        job: &mut FollowedJob,
        position: Position,
    ) -> anyhow::Result<()> {
        let seq = i64::try_from(position.seq)?;
        if self.since.is_none() && seq == job.seq {
            return Ok(());
        }
        if let Some(result) = self.result.take() {
            job.result = Some(Json(result));
        }
        let mut tx = services.db().begin().await?;
        let updated = sqlx::query!(
            "update toygres.job set seq = $3, result = $4, said = $5, waiting = $6,
                 lease_until = clock_timestamp() + make_interval(secs => $7), segment = $8
             where name = $1 and epoch = $2",
            job.name,
            job.epoch,
            seq,
            job.result.as_ref().map(serde_json::to_value).transpose()?,
            serde_json::to_value(&job.unnumbered)?,
            job.waiting.as_ref().map(|failure| waiting_json(failure)),
            lease::SECONDS,
            i32::try_from(position.segment)?
        );
        lease::ensure_held(updated.execute(&mut *tx).await?)?;
        logs::append(&mut tx, RunId(job.run_id), &self.lines).await?;
        if let Some(progress) = &self.progress {
            sqlx::query!(
                "update toygres.step set progress = $3 where run_id = $1 and position = $2 and state in ('running', 'waiting')",
                job.run_id,
                job.position,
                serde_json::to_value(progress)?
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        job.seq = seq;
        *self = Self { received: std::mem::take(&mut self.received), ..Self::default() };
        Ok(())
    }
}

/// The column `waiting`: the explanation is not stored, it is derived from the code.
fn waiting_json(failure: &Failure) -> serde_json::Value {
    serde_json::json!({ "code": failure.code, "subject": failure.subject, "detail": failure.detail })
}

/// A short key for a line.
fn digest(line: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(line)[..8])
}
