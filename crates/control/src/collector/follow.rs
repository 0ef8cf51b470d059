//! Follows one job from its last stored event to its end.

use std::time::Duration;

use futures::StreamExt;
use model::{AgentEvent, EventBody, Failure, FailureCode, StoreId};
use platform::{JobEnd, JobState};
use tokio::time::{Instant, MissedTickBehavior};

use super::lease::{self, FollowedJob};
use super::log_batch::LogBatch;
use super::reorder_buffer::{Next, ReorderBuffer};
use super::segments::Segments;
use crate::jobs;
use crate::services::Services;
use crate::stores::access;

/// How long a job may be missing on the platform: its row is written before it is launched.
const LAUNCH_GRACE: Duration = Duration::from_secs(15);
/// How long to wait for the last segments after the job's end.
const SEGMENT_GRACE: Duration = Duration::from_secs(15);
/// Pause between two searches for missing events.
const POLL: Duration = Duration::from_secs(1);
/// How often the run of a job that is missing on the platform is woken.
const WAKE: Duration = Duration::from_secs(8);

/// Follows a job until its end is recorded, and removes it. If its event stream breaks, the next claim continues.
pub(super) async fn follow(services: &Services, job: FollowedJob) -> anyhow::Result<()> {
    let (name, epoch) = (job.name.clone(), job.epoch);
    let ended = tokio::select! {
        biased;
        ended = follow_to_end(services, job) => ended?,
        lost = lease::keep(services, &name, epoch) => return Err(lost),
    };
    match ended {
        Some(job) => remove(services, &job).await,
        None => Ok(()),
    }
}

/// Returns the job if its end was recorded.
async fn follow_to_end(services: &Services, job: FollowedJob) -> anyhow::Result<Option<FollowedJob>> {
    let first = u32::try_from(job.segment)?;
    let segments = Segments::open(services, job.store, job.log_prefix.as_deref(), first).await;
    let buffer = ReorderBuffer::after(u64::try_from(job.seq)?, segments);
    let mut follower = Follower { services, job, buffer, batch: LogBatch::default(), ended_at: None };
    if follower.wait_for_launch().await? {
        follower.stream_events().await?;
        follower.finish(SEGMENT_GRACE).await
    } else {
        follower.finish(Duration::ZERO).await
    }
}

/// Removes a job whose end is recorded from the platform, and its own log from its store.
async fn remove(services: &Services, job: &FollowedJob) -> anyhow::Result<()> {
    services.platform().remove(&job.name).await?;
    // The log is in the state database now. If the store does not respond, a few segments remain there.
    if let (Some(store), Some(prefix)) = (job.store, &job.log_prefix)
        && prefix.starts_with(jobs::OWN_LOGS)
    {
        let store = access::existing(services, StoreId(store)).await?;
        store.delete_image(prefix).await?;
    }
    Ok(())
}

struct Follower<'a> {
    services: &'a Services,
    job: FollowedJob,
    buffer: ReorderBuffer,
    batch: LogBatch,
    /// When the job was observed to have ended while the event stream was paused.
    ended_at: Option<Instant>,
}

impl Follower<'_> {
    /// Waits until the job exists on the platform; false after [`LAUNCH_GRACE`].
    async fn wait_for_launch(&self) -> anyhow::Result<bool> {
        let deadline = Instant::now() + LAUNCH_GRACE;
        let mut wake_at = Instant::now() + WAKE;
        while self.services.platform().observe(&self.job.name).await? == JobState::Missing {
            let now = Instant::now();
            if now >= deadline {
                return Ok(false);
            }
            if now >= wake_at {
                wake_at = now + WAKE;
                // If a worker died between writing the row and launching, the worker that took over the run launches.
                workflow::wake(self.services.db(), workflow::RunId(self.job.run_id)).await?;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(true)
    }

    /// Receives events until the job's stream ends or breaks.
    async fn stream_events(&mut self) -> anyhow::Result<()> {
        let mut events = self.services.platform().events(&self.job.name, self.buffer.position().seq).await?;
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.batch.due();
            let flush = async { tokio::time::sleep_until(due.unwrap_or_else(Instant::now)).await };
            tokio::select! {
                event = events.next(), if !self.buffer.is_full() => match event {
                    Some(event) => self.receive(event?).await?,
                    None => return Ok(()),
                },
                () = flush, if due.is_some() => self.flush().await?,
                _ = poll.tick(), if self.buffer.has_gap() => self.fill_gap().await?,
            }
        }
    }

    async fn receive(&mut self, event: AgentEvent) -> anyhow::Result<()> {
        if event.seq == 0 {
            match event.body {
                EventBody::Waiting(failure) => self.batch.set_waiting(&mut self.job, event.at, failure),
                EventBody::Log { level, message } => {
                    self.batch.push_unnumbered(&mut self.job, event.at, level, message);
                }
                EventBody::Progress(_) | EventBody::Result(_) => {}
            }
            return Ok(());
        }
        self.batch.clear_waiting(&mut self.job);
        self.buffer.push(event);
        self.drain().await.map(drop)
    }

    /// Looks for missing events in the segments.
    async fn fill_gap(&mut self) -> anyhow::Result<()> {
        // While the buffer is full, no event is received, so the end of the job must be observed.
        if self.buffer.is_full() {
            match self.ended_at {
                Some(ended_at) if ended_at.elapsed() > SEGMENT_GRACE => self.buffer.give_up(),
                Some(_) => {}
                None => {
                    let state = self.services.platform().observe(&self.job.name).await?;
                    if matches!(state, JobState::Ended(_) | JobState::Missing) {
                        self.buffer.set_ended(None);
                        self.ended_at = Some(Instant::now());
                    }
                }
            }
        }
        self.drain().await.map(drop)
    }

    /// Moves events into the batch in the order of their numbers; true if missing events may still arrive.
    async fn drain(&mut self) -> anyhow::Result<bool> {
        loop {
            match self.buffer.next().await {
                Next::Event(event) => self.batch.push(&self.job, event),
                Next::Missing(count) => self.batch.push_gap(&self.job, count),
                Next::Later => return Ok(true),
                Next::Nothing => return Ok(false),
            }
            if self.batch.is_full() {
                self.flush().await?;
            }
        }
    }

    /// Stores the last lines, also those of the segments, and records the end. Returns the job if it has ended.
    async fn finish(mut self, grace: Duration) -> anyhow::Result<Option<FollowedJob>> {
        self.flush().await?;
        let end = match self.services.platform().observe(&self.job.name).await? {
            JobState::Ended(end) => end,
            JobState::Missing => {
                let failure =
                    Failure::new(FailureCode::JobDeleted, "the job no longer exists on the platform");
                JobEnd { code: None, result: None, failure: Some(failure.on(&self.job.name)) }
            }
            // The stream broke: the next claim continues.
            JobState::Running | JobState::Pending(_) => return Ok(None),
        };
        let result = end.result.as_ref().or(self.job.result.as_deref());
        self.buffer.set_ended(result.map(|result| result.events));
        let deadline = Instant::now() + grace;
        while self.drain_and_flush(&end).await? {
            if Instant::now() >= deadline {
                self.buffer.give_up();
                self.drain_and_flush(&end).await?;
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        self.record_end(end).await.map(Some)
    }

    /// Stores the events that have arrived; true if more may arrive.
    async fn drain_and_flush(&mut self, end: &JobEnd) -> anyhow::Result<bool> {
        let later = self.drain().await?;
        self.flush().await?;
        // The segments may contain the result that the platform does not know.
        let unknown = end.result.is_none() && end.code.is_none() && self.job.result.is_none();
        Ok(later || (unknown && self.buffer.has_segments()))
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        self.batch.flush(self.services, &mut self.job, self.buffer.position()).await
    }

    /// Records how the job ended and wakes its run.
    async fn record_end(self, end: JobEnd) -> anyhow::Result<FollowedJob> {
        let job = self.job;
        let result = end.result.as_ref().or(job.result.as_deref());
        let failure = end.failure.as_ref();
        let recorded = sqlx::query!(
            "update toygres.job set ended_at = clock_timestamp(), result = $3, reason = $4, error_code = $5,
                 error_subject = $6, fatal = $7, waiting = null, worker = null, lease_until = null
             where name = $1 and epoch = $2 and ended_at is null",
            job.name,
            job.epoch,
            result.map(serde_json::to_value).transpose()?,
            failure.map(|failure| &*failure.detail),
            failure.map(|failure| failure.code.as_str()),
            failure.and_then(|failure| failure.subject.as_deref()),
            failure.is_some_and(|failure| failure.code.is_permanent())
        );
        lease::ensure_held(recorded.execute(self.services.db()).await?)?;
        workflow::wake(self.services.db(), workflow::RunId(job.run_id)).await?;
        Ok(job)
    }
}
