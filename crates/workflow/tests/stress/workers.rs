//! Worker processes and the faults that are injected into them. Only processes that this test started are signalled.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use rand::RngExt;
use rand::rngs::StdRng;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::PgPool;
use tokio::process::{Child, Command};

use crate::scenario::LEASE;

struct Worker {
    process: Child,
    /// Until when the process is suspended.
    suspended_until: Option<tokio::time::Instant>,
}

/// All worker processes of one test.
pub(crate) struct Workers {
    url: String,
    all: Vec<Worker>,
    started: usize,
    kills: usize,
    suspensions: usize,
}

impl Workers {
    /// Starts `count` workers.
    pub(crate) async fn start(url: &str, count: usize) -> anyhow::Result<Self> {
        let mut workers = Self { url: url.to_owned(), all: Vec::new(), started: 0, kills: 0, suspensions: 0 };
        for _ in 0..count {
            let worker = workers.spawn()?;
            workers.all.push(worker);
        }
        Ok(workers)
    }

    fn spawn(&mut self) -> anyhow::Result<Worker> {
        self.started += 1;
        let process = Command::new(std::env::current_exe()?)
            .args(["worker", &self.url, &format!("worker-{}", self.started)])
            // A worker ends at the end of its input, so that none survives a killed test.
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Worker { process, suspended_until: None })
    }

    /// Kills random workers and suspends others for longer than a lease, until all runs have ended.
    pub(crate) async fn inject_faults(&mut self, db: &PgPool, random: &mut StdRng) -> anyhow::Result<()> {
        loop {
            let unfinished: i64 =
                sqlx::query_scalar("select count(*) from toygres.run where state in ('running', 'undoing')")
                    .fetch_one(db)
                    .await?;
            let violation: Option<String> =
                sqlx::query_scalar("select violation from oracle.foreign_write limit 1")
                    .fetch_optional(db)
                    .await?;
            ensure!(
                violation.is_none(),
                "a write without a claim was accepted: {}",
                violation.unwrap_or_default()
            );
            if unfinished == 0 && self.all.iter().all(|worker| worker.suspended_until.is_none()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(random.random_range(150..400))).await;
            self.resume_due()?;
            let victim = random.random_range(0..self.all.len());
            if unfinished == 0 || self.all.get(victim).is_none_or(|worker| worker.suspended_until.is_some()) {
                continue;
            }
            if random.random_ratio(1, 2) {
                let mut fresh = self.spawn()?;
                if let Some(worker) = self.all.get_mut(victim) {
                    std::mem::swap(worker, &mut fresh);
                }
                fresh.process.kill().await?;
                self.kills += 1;
            } else if let Some(worker) = self.all.get_mut(victim) {
                signal(&worker.process, Signal::STOP)?;
                let pause = LEASE.mul_f64(1.1 + random.random::<f64>());
                worker.suspended_until = Some(tokio::time::Instant::now() + pause);
                self.suspensions += 1;
            }
        }
    }

    fn resume_due(&mut self) -> anyhow::Result<()> {
        let now = tokio::time::Instant::now();
        for worker in &mut self.all {
            if worker.suspended_until.is_some_and(|until| until <= now) {
                signal(&worker.process, Signal::CONT)?;
                worker.suspended_until = None;
            }
        }
        Ok(())
    }

    /// The number of workers and faults.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} workers, {} killed, {} suspended past their lease",
            self.started, self.kills, self.suspensions
        )
    }

    /// Kills all workers.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        for worker in &mut self.all {
            worker.process.kill().await?;
        }
        Ok(())
    }
}

fn signal(process: &Child, signal: Signal) -> anyhow::Result<()> {
    let id = process.id().context("a worker has ended unexpectedly")?;
    let pid = Pid::from_raw(i32::try_from(id)?).context("no process id")?;
    Ok(kill_process(pid, signal)?)
}
