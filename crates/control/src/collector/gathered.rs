//! Lines and progress of a job that are not kept yet, and how they are kept: with the number of their last event, in one
//! transaction. It knows no platform and no store.

use std::collections::BTreeMap;
use std::time::Duration;

use model::agent::{AgentResult, EventBody};
use model::{AgentEvent, Level, RunId};
use sha2::{Digest as _, Sha256};
use sqlx::types::Json;
use tokio::time::Instant;

use super::{Followed, LEASE};
use crate::logs::{self, Line};
use crate::services::Services;

/// How long lines are gathered before they are kept.
const GATHER: Duration = Duration::from_millis(250);
/// A chunk has at most so many bytes of text.
const CHUNK: usize = 48 * 1024;
/// How many different words without a number are kept of one job.
const SAID: usize = 500;

/// Lines and progress that are not kept yet.
#[derive(Default)]
pub(super) struct Gathered {
    lines: Vec<Line>,
    bytes: usize,
    progress: Option<model::run::Progress>,
    result: Option<AgentResult>,
    since: Option<Instant>,
    /// How often words without a number came since this worker follows the job.
    heard: BTreeMap<String, u32>,
}

impl Gathered {
    /// Takes an event with a number.
    pub(super) fn take(&mut self, job: &Followed, event: AgentEvent) {
        match event.body {
            EventBody::Log { level, message } => self.line(job, event.at, level, message),
            EventBody::Progress(progress) => self.progress = Some(progress),
            EventBody::Result(result) => self.result = Some(result),
        }
        self.since.get_or_insert_with(Instant::now);
    }

    /// Takes words without a number. Whoever follows a job hears all of them from the beginning: those that were kept
    /// before are passed over.
    pub(super) fn say(&mut self, job: &mut Followed, event: AgentEvent) {
        let EventBody::Log { mut level, mut message } = event.body else { return };
        let mut key = digest(&message);
        if !job.said.contains_key(&key) && job.said.len() >= SAID {
            (level, message) =
                (Level::Warn, "The job said more outside of its log, which is left out.".to_owned());
            key = "more".to_owned();
        }
        let heard = self.heard.entry(key.clone()).or_default();
        *heard += 1;
        let said = job.said.0.entry(key.clone()).or_default();
        if *heard > *said && (key != "more" || *said == 0) {
            *said = *heard;
            self.line(job, event.at, level, message);
        }
    }

    /// Says that events are missing.
    pub(super) fn gap(&mut self, job: &Followed, missing: u64) {
        let words = format!(
            "{missing} lines of the job are missing here: neither its output nor the store has them."
        );
        self.line(job, chrono::Utc::now(), Level::Warn, words);
    }

    fn line(&mut self, job: &Followed, at: chrono::DateTime<chrono::Utc>, level: Level, message: String) {
        // What PostgreSQL's text cannot hold is shown for what it is.
        let message = message.replace('\0', "\u{2400}");
        self.bytes += message.len() + 100;
        self.lines.push(Line { at, level, step: job.step.clone(), message });
        self.since.get_or_insert_with(Instant::now);
    }

    /// When to keep what is here, if anything is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + GATHER)
    }

    /// Whether it is enough for a chunk.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= CHUNK
    }

    /// Keeps it, and that events up to number `seq` are, if the job is still this worker's.
    pub(super) async fn keep(
        &mut self,
        services: &Services,
        job: &mut Followed,
        seq: u64,
    ) -> anyhow::Result<()> {
        let seq = i64::try_from(seq)?;
        if self.since.is_none() && seq == job.seq {
            return Ok(());
        }
        if let Some(result) = self.result.take() {
            job.result = Some(Json(result));
        }
        let mut tx = services.db().begin().await?;
        let held = sqlx::query!(
            "update toygres.job set seq = $3, result = $4, said = $5, lease_until = clock_timestamp() + make_interval(secs => $6)
             where name = $1 and epoch = $2",
            job.name,
            job.epoch,
            seq,
            job.result.as_ref().map(serde_json::to_value).transpose()?,
            serde_json::to_value(&job.said)?,
            LEASE
        );
        anyhow::ensure!(held.execute(&mut *tx).await?.rows_affected() == 1, "another worker follows the job");
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
        *self = Self { heard: std::mem::take(&mut self.heard), ..Self::default() };
        Ok(())
    }
}

/// Names words shortly.
fn digest(words: &str) -> String {
    hex::encode(&Sha256::digest(words)[..8])
}
