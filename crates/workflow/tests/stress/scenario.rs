//! The workflow of the stress test and the process that executes it. The effect of a step is a row of `oracle.effect` with
//! run, step and attempt as its key, as a real step would name a job.

use std::io::Read;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;
use workflow::{Engine, Failure, Retry, Step, StepContext, StepOutcome, Steps, Timing, Workflow};

/// The pool of all runs.
pub(crate) const POOL: &str = "stress";

/// How long a claim is valid without renewal.
pub(crate) const LEASE: Duration = Duration::from_millis(900);

/// The planned outcome of a run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// The run succeeds.
    Succeed,
    /// This step fails permanently.
    Fail { at: i32 },
    /// The run is cancelled when it has reached this step. It succeeds if it ends before the cancellation.
    Cancel { at: i32 },
}

/// A run of four steps. Each has one effect; some wait, some fail before they succeed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scenario {
    /// The planned outcome.
    pub(crate) outcome: Outcome,
    /// The number of failed attempts of each step.
    failures: [i32; 4],
    /// Whether each step waits once in each attempt.
    waits: [bool; 4],
}

impl Scenario {
    /// A random scenario.
    pub(crate) fn random(random: &mut StdRng) -> Self {
        let outcome = match random.random_range(0..10) {
            0 | 1 => Outcome::Fail { at: random.random_range(0..4) },
            2 => Outcome::Cancel { at: random.random_range(0..4) },
            _ => Outcome::Succeed,
        };
        Self {
            outcome,
            failures: std::array::from_fn(|_| {
                i32::from(random.random_ratio(1, 5)) * random.random_range(1..3)
            }),
            waits: std::array::from_fn(|_| random.random_ratio(1, 4)),
        }
    }
}

impl Workflow for Scenario {
    const NAME: &'static str = "stress";
    const VERSION: i32 = 1;
    /// The worker's name.
    type Services = String;
    fn steps() -> Steps<Self> {
        Steps::first::<Effect<0>>().then::<Effect<1>>().then::<Effect<2>>().then::<Effect<3>>()
    }
}

/// The output of a step: which call returned it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Origin {
    worker: String,
    epoch: i64,
    attempt: i32,
}

struct Effect<const AT: usize>;

impl<const AT: usize> Step for Effect<AT> {
    const NAME: &'static str = ["Effect0", "Effect1", "Effect2", "Effect3"][AT];
    const RETRY: Retry = Retry::times(20).pauses(Duration::from_millis(5), Duration::from_millis(50));
    type Workflow = Scenario;
    type Output = Origin;

    async fn run(cx: &StepContext<Scenario>) -> Result<StepOutcome<Origin>, Failure> {
        // `undone` is not reset: a query of a suspended worker may arrive after the undo.
        let times: i32 = sqlx::query_scalar(
            "insert into oracle.effect (run_id, step, attempt) values ($1, $2, $3)
             on conflict (run_id, step, attempt) do update set times = effect.times + 1 returning times",
        )
        .bind(cx.run.0)
        .bind(cx.step)
        .bind(cx.attempt)
        .fetch_one(&cx.db)
        .await?;
        cx.progress(serde_json::json!({ "times": times })).await?;
        let mut tx = cx.fenced().await?;
        sqlx::query("insert into oracle.fenced (run_id, epoch, worker) values ($1, $2, $3)")
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
        if matches!(cx.input.outcome, Outcome::Fail { at } if usize::try_from(at) == Ok(AT)) {
            return Err(Failure::fatal("scripted_fatal", "scripted permanent failure"));
        }
        if cx.input.failures.get(AT).is_some_and(|failures| cx.attempt <= *failures) {
            return Err(Failure::retry("scripted_retry", "scripted transient failure"));
        }
        Ok(StepOutcome::Done(Origin { worker: cx.services.clone(), epoch: cx.epoch, attempt: cx.attempt }))
    }

    async fn undo(cx: &StepContext<Scenario>) -> Result<(), Failure> {
        sqlx::query(
            "insert into oracle.effect (run_id, step, attempt, undone)
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

/// Executes runs until the process is killed, or until its parent process has ended.
pub(crate) async fn work(url: &str, name: &str) -> anyhow::Result<()> {
    let options: PgConnectOptions = url.parse::<PgConnectOptions>()?.application_name(name);
    let db = workflow::pool_options().max_connections(12).connect_with(options).await?;
    let timing = Timing {
        lease: LEASE,
        renew: Duration::from_millis(200),
        abandon: Duration::from_millis(600),
        poll: Duration::from_millis(200),
        pauses: 1.0,
    };
    let engine =
        Engine::new(db, name.to_owned(), name).register::<Scenario>().pool(POOL).at_once(8).timing(timing);
    std::thread::spawn(|| {
        // The parent writes nothing: the read returns when the parent has ended.
        let _ = std::io::stdin().read(&mut [0_u8; 1]);
        std::process::exit(0)
    });
    engine.run(CancellationToken::new()).await
}
