//! The workflow of the stress test and the worker process that does it. Whatever a step makes is a row of `world.effect`
//! with a name made of run, step and attempt, as a step in earnest would name a job.

use std::io::Read;
use std::time::Duration;

use anyhow::anyhow;
use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio_util::sync::CancellationToken;
use workflow::{StepContext, Engine, Failure, StepOutcome, Retry, Step, Steps, Timing, Workflow};

/// The pool that all runs are in.
pub(crate) const POOL: &str = "stress";

/// How long a claim lasts here.
pub(crate) const LEASE: Duration = Duration::from_millis(900);

/// How a run is to end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Fate {
    /// Well.
    Succeed,
    /// Undone, because this step fails for good.
    Fail { at: i32 },
    /// Undone, because somebody cancels once this step is reached, if in time.
    Cancel { at: i32 },
}

/// A run of four steps: each makes one thing, some wait, some fail a few times first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Story {
    /// How it is to end.
    pub(crate) fate: Fate,
    /// How often each step fails before it does not.
    flaws: [i32; 4],
    /// Whether each step waits once in each try.
    waits: [bool; 4],
}

impl Story {
    /// One of many.
    pub(crate) fn random(random: &mut StdRng) -> Self {
        let fate = match random.random_range(0..10) {
            0 | 1 => Fate::Fail { at: random.random_range(0..4) },
            2 => Fate::Cancel { at: random.random_range(0..4) },
            _ => Fate::Succeed,
        };
        Self {
            fate,
            flaws: std::array::from_fn(|_| i32::from(random.random_ratio(1, 5)) * random.random_range(1..3)),
            waits: std::array::from_fn(|_| random.random_ratio(1, 4)),
        }
    }
}

impl Workflow for Story {
    const NAME: &'static str = "story";
    const VERSION: i32 = 1;
    /// The worker's name.
    type Services = String;
    fn steps() -> Steps<Self> {
        Steps::first::<Make<0>>().then::<Make<1>>().then::<Make<2>>().then::<Make<3>>()
    }
}

/// What an accepted result says about itself.
#[derive(Serialize, Deserialize)]
pub(crate) struct Made {
    worker: String,
    epoch: i64,
    attempt: i32,
}

struct Make<const AT: usize>;

impl<const AT: usize> Step for Make<AT> {
    const NAME: &'static str = ["Make0", "Make1", "Make2", "Make3"][AT];
    const RETRY: Retry = Retry::times(20).pauses(Duration::from_millis(5), Duration::from_millis(50));
    type Workflow = Story;
    type Output = Made;

    async fn run(cx: &StepContext<Story>) -> Result<StepOutcome<Made>, Failure> {
        // A name that was undone stays undone: a query that was on its way when its worker was stopped may come later.
        let times: i32 = sqlx::query_scalar(
            "insert into world.effect (run_id, step, attempt) values ($1, $2, $3)
             on conflict (run_id, step, attempt) do update set times = effect.times + 1 returning times",
        )
        .bind(cx.run.0)
        .bind(cx.step)
        .bind(cx.attempt)
        .fetch_one(&cx.db)
        .await?;
        cx.progress(serde_json::json!({ "times": times })).await?;
        let mut tx = cx.fenced().await?;
        sqlx::query("insert into world.fenced (run_id, epoch, worker) values ($1, $2, $3)")
            .bind(cx.run.0)
            .bind(cx.epoch)
            .bind(&cx.services)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        tokio::time::sleep(Duration::from_millis(10)).await;
        if cx.input.waits.get(AT) == Some(&true) && times == 1 {
            return Ok(StepOutcome::Wait(Duration::from_millis(20)));
        }
        if matches!(cx.input.fate, Fate::Fail { at } if usize::try_from(at) == Ok(AT)) {
            return Err(Failure::fatal(anyhow!("it was to fail")));
        }
        if cx.input.flaws.get(AT).is_some_and(|flaws| cx.attempt <= *flaws) {
            return Err(anyhow!("a flaw").into());
        }
        Ok(StepOutcome::Done(Made { worker: cx.services.clone(), epoch: cx.epoch, attempt: cx.attempt }))
    }

    async fn undo(cx: &StepContext<Story>) -> Result<(), Failure> {
        sqlx::query(
            "insert into world.effect (run_id, step, attempt, undone)
             select $1, $2, n, true from generate_series(1, $3) n
             on conflict (run_id, step, attempt) do update set undone = true",
        )
        .bind(cx.run.0)
        .bind(cx.step)
        .bind(cx.attempt)
        .execute(&cx.db)
        .await?;
        Ok(())
    }
}

/// Works until killed, or until whoever started it is gone.
pub(crate) async fn work(url: &str, name: &str) -> anyhow::Result<()> {
    let options: PgConnectOptions = url.parse::<PgConnectOptions>()?.application_name(name);
    let db = PgPoolOptions::new().max_connections(12).connect_with(options).await?;
    let timing = Timing {
        lease: LEASE,
        renew: Duration::from_millis(200),
        abandon: Duration::from_millis(600),
        poll: Duration::from_millis(200),
        pauses: 1.0,
    };
    let engine =
        Engine::new(db, name.to_owned(), name).register::<Story>().pool(POOL).at_once(8).timing(timing);
    std::thread::spawn(|| {
        // It says nothing: this returns when it is gone.
        let _ = std::io::stdin().read(&mut [0_u8; 1]);
        std::process::exit(0)
    });
    engine.run(CancellationToken::new()).await
}
