//! A thousand runs on worker processes that are killed, and stopped for longer than a lease and woken, at random. It
//! knows only what the database and the world of its steps hold afterwards.
//!
//! `TOYGRES_STRESS_SEED` repeats a choice of faults, `TOYGRES_STRESS_RUNS` says how many runs.

#[path = "stress/story.rs"]
mod story;
#[path = "stress/workers.rs"]
mod workers;

use std::time::Duration;

use anyhow::{Context, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use story::{Fate, Story};
use workers::Workers;
use workflow::{RunId, StartOptions};

const WORKERS: usize = 4;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if let [mode, url, name] = args.as_slice()
        && mode == "worker"
    {
        return runtime.block_on(story::work(url, name));
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

fn setting<T: std::str::FromStr>(name: &str, otherwise: T) -> anyhow::Result<T> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| anyhow::anyhow!("{name} is no number: {text}")),
        Err(_) => Ok(otherwise),
    }
}

/// The address from the environment, or from the `.env` that sqlx reads too.
fn database_url() -> anyhow::Result<String> {
    if let Ok(url) = std::env::var("DATABASE_URL") {
        return Ok(url);
    }
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.env"))?;
    let line = file.lines().find_map(|line| line.strip_prefix("DATABASE_URL="));
    line.map(str::to_owned).context("DATABASE_URL is not set")
}

async fn in_own_database() -> anyhow::Result<()> {
    let url = database_url()?;
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
    sqlx::raw_sql(include_str!("stress/oracle.sql")).execute(&db).await?;
    let mut random = StdRng::seed_from_u64(seed);
    let mut stories = Vec::new();
    for _ in 0..runs {
        let story = Story::random(&mut random);
        let mut tx = db.begin().await?;
        let options = StartOptions { pool: story::POOL.into(), ..StartOptions::default() };
        stories.push((workflow::start(&mut tx, &story, options).await?, story));
        tx.commit().await?;
    }
    let mut workers = Workers::start(url, WORKERS).await?;
    let cancelled = tokio::try_join!(cancel(&db, &stories), async {
        tokio::time::timeout(Duration::from_secs(480), workers.torment(&db, &mut random))
            .await
            .context("the runs have not ended after 8 minutes")?
    });
    let told = workers.told();
    workers.end().await?;
    let (cancelled, ()) = cancelled?;
    println!("stress: {told}");
    judge(&db, &stories, &cancelled).await
}

/// Cancels whose fate it is, while they run; says who was in time.
async fn cancel(db: &PgPool, stories: &[(RunId, Story)]) -> anyhow::Result<Vec<RunId>> {
    let mut in_time = Vec::new();
    for (run, story) in stories {
        let Fate::Cancel { at } = story.fate else { continue };
        // As soon as it has come so far, whatever happens to it now.
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

async fn judge(db: &PgPool, stories: &[(RunId, Story)], cancelled: &[RunId]) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for (run, story) in stories {
        let state: String = sqlx::query_scalar("select state from toygres.run where id = $1")
            .bind(run.0)
            .fetch_one(db)
            .await?;
        let right = match story.fate {
            Fate::Fail { .. } => "failed",
            Fate::Cancel { .. } if cancelled.contains(run) => "cancelled",
            Fate::Succeed | Fate::Cancel { .. } => "succeeded",
        };
        if state != right {
            wrong.push(format!("run {run} is {state} and not {right}"));
        }
    }
    let found: Vec<String> = sqlx::query_scalar("select what from world.wrong()").fetch_all(db).await?;
    wrong.extend(found);
    let seen: Vec<String> = sqlx::query_scalar("select what from world.seen()").fetch_all(db).await?;
    println!("stress: {}", seen.join(", "));
    let takeovers: i64 =
        sqlx::query_scalar("select count(*) from world.claim where taken_over").fetch_one(db).await?;
    ensure!(takeovers > 0, "no run was ever taken over: this has tested nothing");
    let count = wrong.len();
    wrong.truncate(20);
    ensure!(wrong.is_empty(), "{count} things are wrong:\n{}", wrong.join("\n"));
    println!("stress: ok");
    Ok(())
}
