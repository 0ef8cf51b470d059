//! Worker processes, and what befalls them. It ends only processes that it started.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use rand::RngExt;
use rand::rngs::StdRng;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::PgPool;
use tokio::process::{Child, Command};

use crate::story::LEASE;

struct Worker {
    process: Child,
    /// Stopped until then.
    stopped: Option<tokio::time::Instant>,
}

/// All worker processes of one test.
pub(crate) struct Workers {
    url: String,
    all: Vec<Worker>,
    started: usize,
    kills: usize,
    stops: usize,
}

impl Workers {
    /// Starts so many.
    pub(crate) async fn start(url: &str, count: usize) -> anyhow::Result<Self> {
        let mut workers = Self { url: url.to_owned(), all: Vec::new(), started: 0, kills: 0, stops: 0 };
        for _ in 0..count {
            let worker = workers.one()?;
            workers.all.push(worker);
        }
        Ok(workers)
    }

    fn one(&mut self) -> anyhow::Result<Worker> {
        self.started += 1;
        let process = Command::new(std::env::current_exe()?)
            .args(["worker", &self.url, &format!("worker-{}", self.started)])
            // A worker ends with its input, so that none outlives a test that was killed.
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Worker { process, stopped: None })
    }

    /// Kills some, stops some for longer than a lease, until all runs have ended.
    pub(crate) async fn torment(&mut self, db: &PgPool, random: &mut StdRng) -> anyhow::Result<()> {
        loop {
            let left: i64 =
                sqlx::query_scalar("select count(*) from toygres.run where state in ('running', 'undoing')")
                    .fetch_one(db)
                    .await?;
            let foreign: Option<String> =
                sqlx::query_scalar("select what from world.foreign_write limit 1").fetch_optional(db).await?;
            ensure!(
                foreign.is_none(),
                "a write was accepted that must not be: {}",
                foreign.unwrap_or_default()
            );
            if left == 0 && self.all.iter().all(|worker| worker.stopped.is_none()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(random.random_range(150..400))).await;
            self.wake_who_slept_enough()?;
            let unlucky = random.random_range(0..self.all.len());
            if left == 0 || self.all.get(unlucky).is_none_or(|worker| worker.stopped.is_some()) {
                continue;
            }
            if random.random_ratio(1, 2) {
                let mut fresh = self.one()?;
                if let Some(worker) = self.all.get_mut(unlucky) {
                    std::mem::swap(worker, &mut fresh);
                }
                fresh.process.kill().await?;
                self.kills += 1;
            } else if let Some(worker) = self.all.get_mut(unlucky) {
                signal(&worker.process, Signal::STOP)?;
                let pause = LEASE.mul_f64(1.1 + random.random::<f64>());
                worker.stopped = Some(tokio::time::Instant::now() + pause);
                self.stops += 1;
            }
        }
    }

    fn wake_who_slept_enough(&mut self) -> anyhow::Result<()> {
        let now = tokio::time::Instant::now();
        for worker in &mut self.all {
            if worker.stopped.is_some_and(|until| until <= now) {
                signal(&worker.process, Signal::CONT)?;
                worker.stopped = None;
            }
        }
        Ok(())
    }

    /// What befell them, in words.
    pub(crate) fn told(&self) -> String {
        format!("{} workers, {} killed, {} stopped past their lease", self.started, self.kills, self.stops)
    }

    /// Ends them all.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        for worker in &mut self.all {
            worker.process.kill().await?;
        }
        Ok(())
    }
}

fn signal(process: &Child, signal: Signal) -> anyhow::Result<()> {
    let id = process.id().context("a worker has ended by itself")?;
    let pid = Pid::from_raw(i32::try_from(id)?).context("no process id")?;
    Ok(kill_process(pid, signal)?)
}
