//! A workflow whose steps do as the run's input says and keep a diary, and workers to do it. It knows no expectations.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use workflow::{
    StepContext, Engine, Failure, Lock, StepOutcome, Retry, RunId, StartError, StartOptions, Step, Steps, Workflow,
};

/// What the steps of a run are to do; an entry is a step's name, or a name with the number of a try.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) fails: Vec<String>,
    pub(crate) panics: Vec<String>,
    pub(crate) fatal: Vec<String>,
    pub(crate) hangs: Vec<String>,
    /// The database does not answer the step, or its undo, until the awaited thing has arrived.
    pub(crate) cut_off: Vec<String>,
    /// Milliseconds to wait until the awaited thing has arrived.
    pub(crate) waits: Vec<(String, u64)>,
    /// Holds its worker until the awaited thing has arrived.
    pub(crate) blocks: Vec<String>,
    /// Until the awaited thing has arrived.
    pub(crate) undo_fails: Vec<String>,
    /// Does not undo, and says that it has.
    pub(crate) forgets: Vec<String>,
    #[serde(skip)]
    pub(crate) lock: Option<Lock>,
}

/// What the steps wrote down, and whether the thing that some wait for has arrived.
#[derive(Clone)]
pub(crate) struct Diary {
    lines: Arc<Mutex<Vec<String>>>,
    arrived: Arc<watch::Sender<bool>>,
}

impl Diary {
    fn write(&self, line: String) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn has_arrived(&self) -> bool {
        *self.arrived.borrow()
    }
}

impl Workflow for Order {
    const NAME: &'static str = "order";
    const VERSION: i32 = 1;
    type Services = Diary;
    fn locks(&self) -> Vec<Lock> {
        vec![self.lock.clone().unwrap_or_else(|| Lock::shared("everybody"))]
    }
    fn steps() -> Steps<Self> {
        Steps::first::<A>().then::<B>().then::<C>()
    }
}

/// A workflow that no worker of these tests knows.
#[derive(Serialize, Deserialize)]
pub(crate) struct Other;

impl Workflow for Other {
    const NAME: &'static str = "other";
    const VERSION: i32 = 1;
    type Services = Diary;
    fn steps() -> Steps<Self> {
        Steps::first::<Nothing>()
    }
}

struct Nothing;

impl Step for Nothing {
    const NAME: &'static str = "Nothing";
    type Workflow = Other;
    type Output = ();
    async fn run(_: &StepContext<Other>) -> Result<StepOutcome<()>, Failure> {
        Ok(StepOutcome::Done(()))
    }
}

/// What a step meets whose database is away.
fn reach(cx: &StepContext<Order>, this: &str) -> anyhow::Result<()> {
    if cx.input.cut_off.iter().any(|cut| cut == this) && !cx.services.has_arrived() {
        return Err(anyhow::Error::new(sqlx::Error::PoolTimedOut).context("look for the row"));
    }
    Ok(())
}

async fn obey(cx: &StepContext<Order>, saw: &str) -> Result<StepOutcome<i32>, Failure> {
    let (order, diary) = (&cx.input, &cx.services);
    let this = format!("{}{}", cx.step, cx.attempt);
    diary.write(format!("{this}{saw}"));
    reach(cx, &this)?;
    if order.fails.contains(&this) {
        return Err(anyhow!("{this} was to fail").into());
    }
    assert!(!order.panics.contains(&this), "{this} was to panic");
    if order.fatal.contains(&this) {
        return Err(Failure::fatal(anyhow!("{this} was to fail for good")));
    }
    if order.hangs.contains(&this) {
        std::future::pending::<()>().await;
    }
    if order.blocks.iter().any(|name| name == cx.step) {
        diary.arrived.subscribe().wait_for(|arrived| *arrived).await?;
    }
    if let Some((_, pause)) = order.waits.iter().find(|(name, _)| name == cx.step)
        && !diary.has_arrived()
    {
        return Ok(StepOutcome::Wait(Duration::from_millis(*pause)));
    }
    Ok(StepOutcome::Done(cx.attempt))
}

async fn take_back(cx: &StepContext<Order>) -> Result<(), Failure> {
    if cx.input.undo_fails.iter().any(|name| name == cx.step) && !cx.services.has_arrived() {
        return Err(anyhow!("the undo of {} was to fail", cx.step).into());
    }
    if cx.input.forgets.iter().any(|name| name == cx.step) {
        return Ok(());
    }
    let this = format!("-{}{}", cx.step, cx.attempt);
    cx.services.write(this.clone());
    Ok(reach(cx, &this)?)
}

macro_rules! step {
    ($name:ident, $cx:ident => $saw:expr) => {
        struct $name;

        impl Step for $name {
            const NAME: &'static str = stringify!($name);
            const RETRY: Retry = Retry::times(3).pauses(Duration::from_millis(10), Duration::from_millis(20));
            const TIMEOUT: Duration = Duration::from_secs(3);
            type Workflow = Order;
            type Output = i32;
            async fn run($cx: &StepContext<Order>) -> Result<StepOutcome<i32>, Failure> {
                let saw: String = $saw;
                obey($cx, &saw).await
            }
            async fn undo(cx: &StepContext<Order>) -> Result<(), Failure> {
                take_back(cx).await
            }
        }
    };
}

step!(A, _cx => String::new());
step!(B, _cx => String::new());
step!(C, cx => format!(" saw A={} B={}", cx.output::<A>()?, cx.output::<B>()?));

/// A worker in this process.
pub(crate) struct Worker {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Worker {
    /// Gone without a word, its leases left to end.
    pub(crate) fn die(self) {
        self.task.abort();
    }

    /// Stops in good order.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await?
    }
}

/// A database with workers on it.
pub(crate) struct Bench {
    pub(crate) db: PgPool,
    pub(crate) diary: Diary,
}

impl Bench {
    pub(crate) async fn new(db: PgConnectOptions) -> anyhow::Result<Self> {
        let db = PgPoolOptions::new().max_connections(10).connect_with(db).await?;
        let diary = Diary { lines: Arc::default(), arrived: Arc::new(watch::Sender::new(false)) };
        Ok(Self { db, diary })
    }

    pub(crate) async fn start(&self, order: &Order) -> Result<RunId, StartError> {
        let mut tx = self.db.begin().await?;
        let run = workflow::start(&mut tx, order, StartOptions::default()).await?;
        tx.commit().await?;
        Ok(run)
    }

    pub(crate) fn worker(&self, name: &str) -> Worker {
        let stop = CancellationToken::new();
        let engine = Engine::new(self.db.clone(), self.diary.clone(), name)
            .register::<Order>()
            .pool("default")
            .timing(workflow::testing::timing());
        Worker { task: tokio::spawn(engine.run(stop.clone())), stop }
    }

    /// What the steps await is there.
    pub(crate) fn arrived(&self) {
        self.diary.arrived.send_replace(true);
    }

    /// It is gone again.
    pub(crate) fn away(&self) {
        self.diary.arrived.send_replace(false);
    }

    pub(crate) fn diary(&self) -> Vec<String> {
        self.diary.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn forget(&self) {
        self.diary.lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) async fn end(&self, run: RunId) -> anyhow::Result<String> {
        tokio::time::timeout(Duration::from_secs(60), workflow::testing::end_of(&self.db, run))
            .await
            .context("the run has not ended")?
    }

    /// Waits until one of the run's steps is as said: name, state, attempt.
    pub(crate) async fn until(&self, run: RunId, line: &str) -> anyhow::Result<()> {
        let seen = async {
            while !self.steps(run).await?.iter().any(|step| step == line) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        tokio::time::timeout(Duration::from_secs(60), seen).await.with_context(|| format!("never {line}"))?
    }

    /// The steps of a run: name, state, attempt.
    pub(crate) async fn steps(&self, run: RunId) -> anyhow::Result<Vec<String>> {
        let sql = "select concat_ws(' ', name, state, attempt) from toygres.step where run_id = $1 order by position";
        Ok(sqlx::query_scalar(sql).bind(run.0).fetch_all(&self.db).await?)
    }

    /// All that the tables hold of a run.
    pub(crate) async fn rows(&self, run: RunId) -> anyhow::Result<Vec<String>> {
        let sql = "select r::text from toygres.run r where id = $1
                   union all select s::text from toygres.step s where run_id = $1";
        Ok(sqlx::query_scalar(sql).bind(run.0).fetch_all(&self.db).await?)
    }

    pub(crate) async fn error(&self, run: RunId) -> anyhow::Result<Option<String>> {
        let sql = "select error from toygres.run where id = $1";
        Ok(sqlx::query_scalar(sql).bind(run.0).fetch_one(&self.db).await?)
    }

    pub(crate) async fn locks(&self) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar("select count(*) from toygres.run_lock").fetch_one(&self.db).await?)
    }
}
