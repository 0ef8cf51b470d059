//! A run's log while it grows, and its retention.

#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use std::time::Duration;

use model::{LogFilter, LogStretch, RunId};
use sqlx::PgPool;
use world::World;

/// Adds a line as the log collector does.
const APPEND: &str = "with counted as (
        insert into toygres.run_log (run_id, lines) values ($1, 1)
        on conflict (run_id) do update set lines = toygres.run_log.lines + 1 returning lines
    )
    insert into toygres.log_chunk (run_id, first, last, lines)
    select $1, lines, lines, jsonb_build_array(jsonb_build_object('at', now(), 'level', 'info', 'step', 'step', 'message', $2::text))
    from counted";

/// A line in a page with a higher number than the page's newest would be sent twice to a client that continues after it.
#[sqlx::test(migrations = "../../migrations")]
async fn log_page_is_consistent_while_lines_are_added(db: PgPool) {
    let world = World::new(&db).await;
    let run = RunId::new();
    sqlx::query("insert into toygres.run (id, name, version, pool, input, labels) values ($1, 'none', 1, 'none', '{}', '{\"title\": \"none\"}')")
        .bind(run.0)
        .execute(&db)
        .await
        .unwrap();
    let writes = async {
        for n in 0..400 {
            let line = sqlx::query(APPEND).bind(run.0).bind(format!("line {n}"));
            line.execute(&db).await.unwrap();
        }
    };
    let reads = async {
        let searched = LogFilter { search: "line".to_owned(), ..LogFilter::default() };
        for n in 0..400 {
            let filter = if n % 2 == 0 { LogFilter::default() } else { searched.clone() };
            let page =
                control::runs::log_page(&world.services, run, &filter, LogStretch::Last, 500).await.unwrap();
            let last = page.lines.last().map_or(0, |line| line.n);
            assert_eq!((last, page.matches), (page.newest, page.newest));
        }
    };
    tokio::join!(writes, reads);
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn expired_log_lines_are_deleted_by_one_worker_a_day(db: PgPool) {
    let insert = async |days: i32| {
        let line = sqlx::query(
            "insert into toygres.log_chunk (run_id, first, last, at, lines)
             values (gen_random_uuid(), 1, 1, clock_timestamp() - make_interval(days => $1), '[]')",
        );
        line.bind(days).execute(&db).await.unwrap();
    };
    let ages = async || -> Vec<i32> {
        let ages = "select extract(day from clock_timestamp() - at)::int from toygres.log_chunk order by at";
        sqlx::query_scalar(ages).fetch_all(&db).await.unwrap()
    };
    let expired = world::LOG_RETENTION_DAYS + 1;
    let kept = world::LOG_RETENTION_DAYS - 1;
    insert(expired).await;
    insert(kept).await;
    let world = World::new(&db).await;
    for _ in 0..300 {
        if ages().await == [kept] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(ages().await, [kept]);
    let claimed_for_a_day: bool = sqlx::query_scalar(
        "select lease_until > clock_timestamp() + interval '23 hours' from toygres.duty where name = 'log-retention'",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    assert!(claimed_for_a_day);
    world.end().await;
}

/// The search covers what the page shows: the title of the step, not its name in code.
#[sqlx::test(migrations = "../../migrations")]
async fn event_lines_name_their_step(db: PgPool) {
    let world = World::new(&db).await;
    let run = RunId::new();
    for statement in [
        "insert into toygres.run (id, name, version, pool, input, labels) values ($1, 'create-image', 1, 'none', '{}', '{\"title\": \"none\"}')",
        "insert into toygres.step (run_id, position, name, attempts, allowed) values ($1, 0, 'UpdateImageStatus', 5, '1 day')",
        "select toygres.log_event($1, 'info', 'UpdateImageStatus', 'step_started', '{}')",
        "select toygres.log_event($1, 'info', 'UpdateImageStatus', 'step_succeeded', '{}')",
        "select toygres.log_event($1, 'info', '', 'run_succeeded', '{}')",
    ] {
        sqlx::query(statement).bind(run.0).execute(&db).await.unwrap();
    }
    let messages = async |search: &str| -> Vec<String> {
        let filter = LogFilter { search: search.to_owned(), ..LogFilter::default() };
        let page =
            control::runs::log_page(&world.services, run, &filter, LogStretch::Last, 500).await.unwrap();
        assert_eq!(page.matches, i64::try_from(page.lines.len()).unwrap());
        page.lines.into_iter().map(|line| line.message).collect()
    };
    let all = ["Publish image: started", "Publish image: succeeded", "Run succeeded"];
    assert_eq!(messages("").await, all);
    assert_eq!(messages("publish image: started").await, all[..1]);
    assert_eq!(messages("succeeded").await, all[1..]);
    assert!(messages("UpdateImageStatus").await.is_empty());
    world.end().await;
}
