//! What is deleted after its retention: runs with their steps and jobs, audit entries, and log lines above the size limit.

#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use std::time::Duration;

use control::runs;
use model::{ImageId, LogFilter, LogStretch, RunId};
use sqlx::PgPool;
use world::World;

/// Inserts a run that ended so many days ago.
async fn ended_run(db: &PgPool, days: i32) -> RunId {
    let run = RunId::new();
    let insert = "insert into toygres.run (id, name, version, pool, input, labels, state, due_at, created_at, finished_at)
                  select $1, 'create-image', 1, 'none', '{}', '{\"title\": \"Back up orders\"}', 'succeeded', null, at, at
                  from (select clock_timestamp() - make_interval(days => $2) as at) t";
    sqlx::query(insert).bind(run.0).bind(days).execute(db).await.unwrap();
    let insert = "insert into toygres.step (run_id, position, name, attempts, allowed) values ($1, 0, 'One', 5, '1 day')";
    sqlx::query(insert).bind(run.0).execute(db).await.unwrap();
    run
}

async fn count(db: &PgPool, table: &str) -> i64 {
    let count = format!("select count(*) from toygres.{table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(db).await.unwrap()
}

/// Waits until a table has so many rows.
async fn wait_for_rows(db: &PgPool, table: &str, rows: i64) {
    for _ in 0..300 {
        if count(db, table).await == rows {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{table} has {} rows, not {rows}", count(db, table).await)
}

#[sqlx::test(migrations = "../../migrations")]
async fn old_runs_are_deleted_unless_an_image_refers_to_them(db: PgPool) {
    let (old, of_image, recent) =
        (ended_run(&db, 401).await, ended_run(&db, 401).await, ended_run(&db, 399).await);
    let insert =
        "insert into toygres.store (id, name, url) values (gen_random_uuid(), 'other', 'file:///nowhere')";
    sqlx::query(insert).execute(&db).await.unwrap();
    let insert = "insert into toygres.image (id, name, instance_name, image_type, status, username, store, run, created_by)
                  select $1, 'image', 'orders', 'stock', 'failed', 'postgres', id, $2, 'test' from toygres.store";
    sqlx::query(insert).bind(ImageId::new().0).bind(of_image.0).execute(&db).await.unwrap();
    let world = World::new(&db).await;
    wait_for_rows(&db, "run", 2).await;
    assert!(runs::get(&world.services, old).await.is_err());
    for run in [of_image, recent] {
        runs::get(&world.services, run).await.unwrap();
    }
    assert_eq!(count(&db, "step").await, 2);
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn audit_entries_are_kept_for_400_days(db: PgPool) {
    for days in [399, 401] {
        let insert = "insert into toygres.audit (at, actor, action, subject, outcome)
                      values (clock_timestamp() - make_interval(days => $1), 'test', 'image.create', 'x', 'ok')";
        sqlx::query(insert).bind(days).execute(&db).await.unwrap();
    }
    for statement in [
        "delete from toygres.audit",
        "delete from toygres.audit where at > clock_timestamp() - interval '400 days'",
        "update toygres.audit set outcome = 'ok'",
        "truncate toygres.audit",
    ] {
        sqlx::query(statement).execute(&db).await.expect_err(statement);
    }
    assert_eq!(count(&db, "audit").await, 2);
    let world = World::new(&db).await;
    wait_for_rows(&db, "audit", 1).await;
    let age: i32 =
        sqlx::query_scalar("select extract(day from clock_timestamp() - at)::int from toygres.audit")
            .fetch_one(&db)
            .await
            .unwrap();
    assert_eq!(age, 399);
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn oldest_log_lines_are_deleted_above_the_size_limit(db: PgPool) {
    // A run that is active, two that ended, and one that was deleted.
    let active = RunId::new();
    let insert = "insert into toygres.run (id, name, version, pool, input, labels)
                  values ($1, 'create-image', 1, 'none', '{}', '{\"title\": \"Back up orders\"}')";
    sqlx::query(insert).bind(active.0).execute(&db).await.unwrap();
    let (older, newer, deleted) = (ended_run(&db, 3).await, ended_run(&db, 2).await, RunId::new());
    // Random text, which the database cannot compress: about 100 kB a run.
    let insert = "insert into toygres.log_chunk (run_id, first, last, lines)
                  select $1, n, n, jsonb_build_array(jsonb_build_object('at', clock_timestamp(), 'level', 'info', 'step', 'One',
                      'message', (select string_agg(md5(random()::text), '') from generate_series(1, 320) where n > 0)))
                  from generate_series(1, 10) n";
    for run in [active, older, newer, deleted] {
        sqlx::query(insert).bind(run.0).execute(&db).await.unwrap();
        sqlx::query(
            "insert into toygres.run_log select $1, 10 where exists (select from toygres.run where id = $1)",
        )
        .bind(run.0)
        .execute(&db)
        .await
        .unwrap();
    }
    // A partition of an earlier week.
    sqlx::query("create table toygres.log_chunk_2020w01 partition of toygres.log_chunk for values from ('2019-12-30') to ('2020-01-06')")
        .execute(&db)
        .await
        .unwrap();
    let of_runs = async || -> Vec<RunId> {
        let runs = sqlx::query_scalar("select distinct run_id from toygres.log_chunk");
        let runs: Vec<uuid::Uuid> = runs.fetch_all(&db).await.unwrap();
        [active, newer, older, deleted].into_iter().filter(|run| runs.contains(&run.0)).collect()
    };
    let limit = async |bytes: i64| {
        sqlx::query("select toygres.limit_logs($1)").bind(bytes).execute(&db).await.unwrap();
    };
    limit(1 << 30).await;
    assert_eq!(of_runs().await, [active, newer, older, deleted]);
    limit(250_000).await;
    assert_eq!(of_runs().await, [active, newer]);
    let old_partition: bool =
        sqlx::query_scalar("select to_regclass('toygres.log_chunk_2020w01') is not null")
            .fetch_one(&db)
            .await
            .unwrap();
    assert!(!old_partition);
    limit(1000).await;
    assert_eq!(of_runs().await, [active], "the lines of active runs are kept");
    // The page of a run without its lines.
    let world = World::new(&db).await;
    let page =
        runs::log_page(&world.services, older, &LogFilter::default(), LogStretch::Last, 500).await.unwrap();
    assert!(page.lines.is_empty());
    world.end().await;
}
