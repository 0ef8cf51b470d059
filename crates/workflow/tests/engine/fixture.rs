//! A database with runs of [`Script`], and workers that execute them.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workflow::{Engine, RunId, StartError, StartOptions};

use crate::script::{Recorder, Script};

/// The longest time that a test waits for a state.
const PATIENCE: Duration = Duration::from_secs(60);

/// A worker in this process.
pub(crate) struct Worker {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Worker {
    /// Ends without a hand-over, as after a crash. The leases expire.
    pub(crate) fn crash(self) {
        self.task.abort();
    }

    /// Ends with a hand-over.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await?
    }
}

pub(crate) struct Fixture {
    pub(crate) db: PgPool,
    pub(crate) recorder: Recorder,
}

impl Fixture {
    pub(crate) async fn new(db: PgConnectOptions) -> anyhow::Result<Self> {
        let db = workflow::pool_options().max_connections(10).connect_with(db).await?;
        Ok(Self { db, recorder: Recorder::new() })
    }

    pub(crate) async fn start(&self, script: &Script) -> Result<RunId, StartError> {
        let mut tx = self.db.begin().await?;
        let run = workflow::start(&mut tx, script, StartOptions::default()).await?;
        tx.commit().await?;
        Ok(run)
    }

    /// Starts a worker. It has connections of its own, as another process: a crash interrupts no query of the test.
    pub(crate) fn worker(&self, name: &str) -> Worker {
        let db = workflow::pool_options().max_connections(6);
        self.worker_on(db.connect_lazy_with((*self.db.connect_options()).clone()), name)
    }

    /// A worker with a pool of its own.
    pub(crate) fn worker_on(&self, db: PgPool, name: &str) -> Worker {
        let stop = CancellationToken::new();
        let engine = Engine::new(db, self.recorder.clone(), name)
            .register::<Script>()
            .pool("default")
            .timing(workflow::testing::timing());
        Worker { task: tokio::spawn(engine.run(stop.clone())), stop }
    }

    /// Executes a statement with the run as `$1`.
    pub(crate) async fn execute(&self, run: RunId, sql: &'static str) -> anyhow::Result<()> {
        sqlx::query(sql).bind(run.0).execute(&self.db).await?;
        Ok(())
    }

    /// Waits until the run has ended or is stuck. Returns its state.
    pub(crate) async fn end(&self, run: RunId) -> anyhow::Result<String> {
        let end = workflow::testing::end_of(&self.db, run);
        tokio::time::timeout(PATIENCE, end).await.context("the run has not ended")?
    }

    /// Waits until one of the run's steps has this name, state and attempt.
    pub(crate) async fn until_step(&self, run: RunId, expected: &str) -> anyhow::Result<()> {
        let reached = async {
            while !self.steps(run).await?.iter().any(|step| step == expected) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, reached).await.with_context(|| format!("never {expected}"))?
    }

    /// Waits until this call was made so often.
    pub(crate) async fn until_called(&self, call: &str, times: usize) -> anyhow::Result<()> {
        let reached = async {
            while self.recorder.calls().iter().filter(|made| *made == call).count() < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached)
            .await
            .with_context(|| format!("{call} was not called {times} times"))
    }

    /// Name, state and attempt of the steps of a run.
    pub(crate) async fn steps(&self, run: RunId) -> anyhow::Result<Vec<String>> {
        let sql = "select concat_ws(' ', name, state, attempt) from toygres.step where run_id = $1 order by position";
        Ok(sqlx::query_scalar(sql).bind(run.0).fetch_all(&self.db).await?)
    }

    /// All columns of a run.
    pub(crate) async fn run_row(&self, run: RunId) -> anyhow::Result<Value> {
        let sql = "select to_jsonb(r) from toygres.run r where id = $1";
        Ok(sqlx::query_scalar(sql).bind(run.0).fetch_one(&self.db).await?)
    }

    /// All columns of a step.
    pub(crate) async fn step_row(&self, run: RunId, name: &str) -> anyhow::Result<Value> {
        let sql = "select to_jsonb(s) from toygres.step s where run_id = $1 and name = $2";
        Ok(sqlx::query_scalar(sql).bind(run.0).bind(name).fetch_one(&self.db).await?)
    }

    /// The code of the run's failure.
    pub(crate) async fn error_code(&self, run: RunId) -> anyhow::Result<Option<String>> {
        let sql = "select error_code from toygres.run where id = $1";
        Ok(sqlx::query_scalar(sql).bind(run.0).fetch_one(&self.db).await?)
    }

    /// The number of locks that all runs hold.
    pub(crate) async fn locks(&self) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar("select count(*) from toygres.run_lock").fetch_one(&self.db).await?)
    }
}
