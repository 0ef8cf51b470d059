//! Follows one job from wherever the last worker was to its end. It knows no lease but that it must be renewed.

use std::time::Duration;

use futures::StreamExt;
use model::{AgentEvent, ExitClass, StoreId};
use platform::{JobEnd, JobState};
use tokio::time::{Instant, MissedTickBehavior};

use super::gathered::Gathered;
use super::order::{Next, Order};
use super::segments::Segments;
use super::{Followed, LEASE};
use crate::jobs;
use crate::services::Services;
use crate::stores::access;

/// How long a job may not be there yet: the intent is written before it is launched.
const GRACE: Duration = Duration::from_secs(15);
/// How long the last segments may take to appear after the job has ended.
const LAST: Duration = Duration::from_secs(15);
/// How often to look for what is missing.
const LOOK: Duration = Duration::from_secs(1);
/// How often a lease is renewed where nothing is kept.
const RENEW: Duration = Duration::from_secs(8);

/// Follows a job until it has ended or its stream breaks off, which the next claim mends.
pub(super) async fn follow(services: &Services, job: Followed) -> anyhow::Result<()> {
    let segments = Segments::open(services, job.store, job.log_prefix.as_deref()).await;
    let order = Order::after(u64::try_from(job.seq)?, segments);
    let mut follower = Follower { services, job, order, gathered: Gathered::default(), over: None };
    if follower.appears().await? {
        follower.listen().await?;
        follower.finish(LAST).await
    } else {
        // It had its time.
        follower.finish(Duration::ZERO).await
    }
}

struct Follower<'a> {
    services: &'a Services,
    job: Followed,
    order: Order,
    gathered: Gathered,
    /// When the job was seen to be over while its output had to wait.
    over: Option<Instant>,
}

impl Follower<'_> {
    /// Gives whoever launches a while.
    async fn appears(&self) -> anyhow::Result<bool> {
        let until = Instant::now() + GRACE;
        let mut renew = Instant::now() + RENEW;
        while self.services.platform().observe(&self.job.name).await? == JobState::Missing {
            let now = Instant::now();
            if now >= until {
                return Ok(false);
            }
            if now >= renew {
                self.renew().await?;
                renew = now + RENEW;
                // A worker that died between the intent and the launch left the run to another one, which launches.
                workflow::wake(self.services.db(), workflow::RunId(self.job.run_id)).await?;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(true)
    }

    /// Hears what the job says until there is no more, or until the stream breaks off.
    async fn listen(&mut self) -> anyhow::Result<()> {
        let mut events = self.services.platform().events(&self.job.name, self.order.last()).await?;
        let mut renew = tokio::time::interval(RENEW);
        let mut look = tokio::time::interval(LOOK);
        for interval in [&mut renew, &mut look] {
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            let due = self.gathered.due();
            let keep = async { tokio::time::sleep_until(due.unwrap_or_else(Instant::now)).await };
            tokio::select! {
                event = events.next(), if !self.order.is_full() => match event {
                    Some(event) => self.hear(event?).await?,
                    None => return Ok(()),
                },
                () = keep, if due.is_some() => self.keep().await?,
                _ = look.tick(), if self.order.has_gap() => self.look().await?,
                _ = renew.tick() => self.renew().await?,
            }
        }
    }

    async fn hear(&mut self, event: AgentEvent) -> anyhow::Result<()> {
        if event.seq == 0 {
            self.gathered.say(&mut self.job, event);
            return Ok(());
        }
        self.order.push(event);
        self.advance().await.map(drop)
    }

    /// Looks whether the segments have by now what is missing.
    async fn look(&mut self) -> anyhow::Result<()> {
        // The output waits behind the gap: that the job has ended is not to be heard from it.
        if self.order.is_full() {
            match self.over {
                Some(since) if since.elapsed() > LAST => self.order.give_up(),
                Some(_) => {}
                None => {
                    let state = self.services.platform().observe(&self.job.name).await?;
                    if matches!(state, JobState::Ended(_) | JobState::Missing) {
                        self.order.is_over(None);
                        self.over = Some(Instant::now());
                    }
                }
            }
        }
        self.advance().await.map(drop)
    }

    /// Takes what is there in the order of its numbers; true if something is missing that may yet come.
    async fn advance(&mut self) -> anyhow::Result<bool> {
        loop {
            match self.order.next().await {
                Next::Event(event) => self.gathered.take(&self.job, event),
                Next::Missing(missing) => self.gathered.gap(&self.job, missing),
                Next::Later => return Ok(true),
                Next::Nothing => return Ok(false),
            }
            if self.gathered.is_full() {
                self.keep().await?;
            }
        }
    }

    /// Keeps the last lines, from the segments too, and harvests the end.
    async fn finish(mut self, wait: Duration) -> anyhow::Result<()> {
        let end = match self.services.platform().observe(&self.job.name).await? {
            JobState::Ended(end) => end,
            JobState::Missing => {
                let reason = "The job is gone: it was removed by hand, or its machine was.".to_owned();
                JobEnd { code: None, result: None, reason: Some(reason), fatal: false }
            }
            // The stream broke off: another look comes with the next claim.
            JobState::Running | JobState::Pending(_) => return self.keep().await,
        };
        self.order.is_over(end.result.as_ref().map(|result| result.events));
        let deadline = Instant::now() + wait;
        while self.settle(&end).await? {
            if Instant::now() >= deadline {
                self.order.give_up();
                self.settle(&end).await?;
                break;
            }
            self.renew().await?;
            tokio::time::sleep(LOOK).await;
        }
        self.end(end).await
    }

    /// Takes what is there at the end; true if there is reason to hope for more.
    async fn settle(&mut self, end: &JobEnd) -> anyhow::Result<bool> {
        let later = self.advance().await?;
        self.keep().await?;
        // How it ended may yet be read where the platform does not know it.
        let unknown = end.result.is_none() && end.code.is_none() && self.job.result.is_none();
        Ok(later || (unknown && self.order.has_store()))
    }

    async fn keep(&mut self) -> anyhow::Result<()> {
        self.gathered.keep(self.services, &mut self.job, self.order.last()).await
    }

    async fn renew(&self) -> anyhow::Result<()> {
        let renewed = sqlx::query!(
            "update toygres.job set lease_until = clock_timestamp() + make_interval(secs => $3) where name = $1 and epoch = $2",
            self.job.name,
            self.job.epoch,
            LEASE
        );
        let held = renewed.execute(self.services.db()).await?.rows_affected() == 1;
        anyhow::ensure!(held, "another worker follows the job");
        Ok(())
    }

    /// Writes down how the job ended, wakes its run and takes away what it left: in this order, so that nothing is lost.
    async fn end(self, end: JobEnd) -> anyhow::Result<()> {
        let job = self.job;
        let result = end.result.or(job.result.map(|result| result.0));
        let of_code = end.code.is_some_and(|code| jobs::is_final(ExitClass::of(code)));
        let written = sqlx::query!(
            "update toygres.job set ended_at = clock_timestamp(), result = $3, reason = $4, fatal = $5, worker = null,
                 lease_until = null
             where name = $1 and epoch = $2 and ended_at is null",
            job.name,
            job.epoch,
            result.as_ref().map(serde_json::to_value).transpose()?,
            end.reason,
            end.fatal || (result.is_none() && of_code)
        );
        let held = written.execute(self.services.db()).await?.rows_affected() == 1;
        anyhow::ensure!(held, "another worker follows the job");
        workflow::wake(self.services.db(), workflow::RunId(job.run_id)).await?;
        self.services.platform().remove(&job.name).await?;
        // What it said is in the CMS now; where the store does not answer, a few segments too many stay there.
        if let (Some(store), Some(prefix)) = (job.store, job.log_prefix)
            && prefix.starts_with(jobs::OWN_LOGS)
        {
            let store = access::existing(self.services, StoreId(store)).await?;
            store.delete_image(&prefix).await?;
        }
        Ok(())
    }
}
