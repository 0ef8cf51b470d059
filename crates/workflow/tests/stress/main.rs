//! A thousand runs on worker processes that are killed, and suspended for longer than a lease, at random. An independent
//! oracle in SQL checks the result.
//!
//! `TOYGRES_STRESS_SEED` repeats a sequence of faults. `TOYGRES_STRESS_RUNS` sets the number of runs.

mod scenario;
mod workers;

use std::time::Duration;

use anyhow::{Context, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use scenario::{Outcome, Scenario};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use workers::Workers;
use workflow::{RunId, StartOptions};

const WORKERS: usize = 4;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if let [mode, url, name] = args.as_slice()
        && mode == "worker"
    {
        return runtime.block_on(scenario::work(url, name));
    }
    if args.iter().any(|arg| arg == "--list") {
        println!("stress: test");
        return Ok(());
    }
    if args.iter().any(|arg| !arg.starts_with('-') && !"stress".contains(arg.as_str())) {
        return Ok(());
    }
    runtime.block_on(in_own_database())
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> anyhow::Result<T> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| anyhow::anyhow!("{name} is not a number: {text}")),
        Err(_) => Ok(default),
    }
}

/// Runs the test in a new database of the server in `DATABASE_URL`, and drops the database.
async fn in_own_database() -> anyhow::Result<()> {
    let url = std::env::var("DATABASE_URL").ok().context(
        "set DATABASE_URL to a PostgreSQL server on which the user may create databases (see CONTRIBUTING.md)",
    )?;
    let name = format!("stress_{}", std::process::id());
    let admin = PgPoolOptions::new().max_connections(1).connect(&url).await?;
    let sql = format!("create database {name}");
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&admin).await?;
    let (base, rest) = url.rsplit_once('/').context("DATABASE_URL names no database")?;
    let options = rest.split_once('?').map_or(String::new(), |(_, options)| format!("?{options}"));
    let result = stress(&format!("{base}/{name}{options}")).await;
    let sql = format!("drop database {name} with (force)");
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&admin).await?;
    result
}

async fn stress(url: &str) -> anyhow::Result<()> {
    let seed = setting("TOYGRES_STRESS_SEED", rand::random::<u32>().into())?;
    let runs: usize = setting("TOYGRES_STRESS_RUNS", 1000)?;
    println!("stress: {runs} runs, TOYGRES_STRESS_SEED={seed}");
    let options: PgConnectOptions = url.parse::<PgConnectOptions>()?.application_name("main");
    let db = PgPoolOptions::new().max_connections(4).connect_with(options).await?;
    sqlx::migrate!("../../migrations").run(&db).await?;
    sqlx::raw_sql(include_str!("oracle.sql")).execute(&db).await?;
    let mut random = StdRng::seed_from_u64(seed);
    let mut scenarios = Vec::new();
    for _ in 0..runs {
        let scenario = Scenario::random(&mut random);
        let mut tx = db.begin().await?;
        let options = StartOptions { pool: scenario::POOL.into(), ..StartOptions::default() };
        scenarios.push((workflow::start(&mut tx, &scenario, options).await?, scenario));
        tx.commit().await?;
    }
    let mut workers = Workers::start(url, WORKERS).await?;
    let cancelled = tokio::try_join!(cancel(&db, &scenarios), async {
        tokio::time::timeout(Duration::from_secs(480), workers.inject_faults(&db, &mut random))
            .await
            .context("the runs have not ended after 8 minutes")?
    });
    let summary = workers.summary();
    workers.end().await?;
    let (cancelled, ()) = cancelled?;
    println!("stress: {summary}");
    verify(&db, &scenarios, &cancelled).await
}

/// Cancels the runs whose scenario says so. Returns those that were cancelled in time.
async fn cancel(db: &PgPool, scenarios: &[(RunId, Scenario)]) -> anyhow::Result<Vec<RunId>> {
    let mut in_time = Vec::new();
    for (run, scenario) in scenarios {
        let Outcome::Cancel { at } = scenario.outcome else { continue };
        loop {
            let position: i32 = sqlx::query_scalar("select position from toygres.run where id = $1")
                .bind(run.0)
                .fetch_one(db)
                .await?;
            if position >= at {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        match workflow::cancel(db, *run).await {
            Ok(()) => in_time.push(*run),
            Err(workflow::CommandError::State(state)) => ensure!(state == "succeeded", "{run} is {state}"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(in_time)
}

/// Compares the final states with the scenarios, and asks the oracle for violations.
async fn verify(db: &PgPool, scenarios: &[(RunId, Scenario)], cancelled: &[RunId]) -> anyhow::Result<()> {
    let mut violations = Vec::new();
    for (run, scenario) in scenarios {
        let state: String = sqlx::query_scalar("select state from toygres.run where id = $1")
            .bind(run.0)
            .fetch_one(db)
            .await?;
        let expected = match scenario.outcome {
            Outcome::Fail { .. } => "failed",
            Outcome::Cancel { .. } if cancelled.contains(run) => "cancelled",
            Outcome::Succeed | Outcome::Cancel { .. } => "succeeded",
        };
        if state != expected {
            violations.push(format!("run {run} is {state}, not {expected}"));
        }
    }
    let found: Vec<String> =
        sqlx::query_scalar("select violation from oracle.violations()").fetch_all(db).await?;
    violations.extend(found);
    let statistics: Vec<String> =
        sqlx::query_scalar("select statistic from oracle.statistics()").fetch_all(db).await?;
    println!("stress: {}", statistics.join(", "));
    let takeovers: i64 =
        sqlx::query_scalar("select count(*) from oracle.claim where taken_over").fetch_one(db).await?;
    ensure!(takeovers > 0, "no run was taken over: the test covered nothing");
    let count = violations.len();
    violations.truncate(20);
    ensure!(violations.is_empty(), "{count} violations:\n{}", violations.join("\n"));
    println!("stress: ok");
    Ok(())
}
