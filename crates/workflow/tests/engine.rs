//! The engine as a whole, against a real PostgreSQL: one test for each thing that it promises.

#[path = "engine/bench.rs"]
mod bench;

use std::time::Duration;

use bench::{Bench, Order, Other};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use workflow::{CommandError, Lock, Plan, StartError, StartOptions};

type Test = anyhow::Result<()>;

#[sqlx::test(migrations = "../../migrations")]
async fn all_steps_are_there_before_the_first_begins(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let run = bench.start(&Order::default()).await?;
    assert_eq!(bench.steps(run).await?, ["A todo 0", "B todo 0", "C todo 0"]);
    bench.worker("one");
    assert_eq!(bench.end(run).await?, "succeeded");
    assert_eq!(bench.steps(run).await?, ["A done 1", "B done 1", "C done 1"]);
    assert_eq!(bench.diary(), ["A1", "B1", "C1 saw A=1 B=1"]);
    assert_eq!(bench.locks().await?, 0);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_failure_is_tried_again_and_a_panic_is_one(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let order = Order { fails: vec!["A1".into()], panics: vec!["A2".into()], ..Order::default() };
    let run = bench.start(&order).await?;
    bench.worker("one");
    assert_eq!(bench.end(run).await?, "succeeded");
    assert_eq!(bench.steps(run).await?, ["A done 3", "B done 1", "C done 1"]);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_database_that_is_away_takes_no_try(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let order = Order { cut_off: vec!["A1".into()], fatal: vec!["B1".into()], ..Order::default() };
    let run = bench.start(&order).await?;
    bench.worker("one");
    // More often than there are tries of a step, and of an undo.
    let often = async |line: &str| {
        while bench.diary().iter().filter(|written| *written == line).count() < 7 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    often("A1").await;
    assert_eq!(bench.steps(run).await?, ["A running 1", "B todo 0", "C todo 0"]);
    bench.arrived();
    bench.until(run, "B undone 1").await?;
    assert_eq!(bench.end(run).await?, "failed");
    assert_eq!(bench.error(run).await?.as_deref(), Some("B1 was to fail for good"));
    assert_eq!(bench.steps(run).await?, ["A undone 1", "B undone 1", "C skipped 0"]);

    let order = Order { cut_off: vec!["-A1".into()], fatal: vec!["A1".into()], ..Order::default() };
    bench.away();
    bench.forget();
    let run = bench.start(&order).await?;
    often("-A1").await;
    bench.arrived();
    assert_eq!(bench.end(run).await?, "failed");
    assert_eq!(bench.steps(run).await?, ["A undone 1", "B skipped 0", "C skipped 0"]);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn undo_runs_backwards_and_includes_the_failed_step(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let order = Order { fatal: vec!["B1".into()], ..Order::default() };
    let run = bench.start(&order).await?;
    bench.worker("one");
    assert_eq!(bench.end(run).await?, "failed");
    assert_eq!(bench.diary(), ["A1", "B1", "-B1", "-A1"]);
    assert_eq!(bench.steps(run).await?, ["A undone 1", "B undone 1", "C skipped 0"]);
    assert_eq!(bench.error(run).await?.as_deref(), Some("B1 was to fail for good"));
    assert_eq!(bench.locks().await?, 0);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn tries_run_out(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let fails = vec!["A1".into(), "A2".into(), "A3".into()];
    let run = bench.start(&Order { fails, ..Order::default() }).await?;
    bench.worker("one");
    assert_eq!(bench.end(run).await?, "failed");
    assert_eq!(bench.diary(), ["A1", "A2", "A3", "-A3"]);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_wait_holds_no_worker_and_wake_cuts_it_short(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    // Only a wake ends this wait before the test gives up.
    let order = Order { waits: vec![("A".into(), 3_600_000)], ..Order::default() };
    let run = bench.start(&order).await?;
    bench.worker("one");
    bench.until(run, "A waiting 1").await?;
    let held: bool = sqlx::query_scalar("select worker is not null from toygres.run where id = $1")
        .bind(run.0)
        .fetch_one(&bench.db)
        .await?;
    assert!(!held);
    bench.arrived();
    workflow::wake(&bench.db, run).await?;
    assert_eq!(bench.end(run).await?, "succeeded");
    assert_eq!(bench.diary(), ["A1", "A1", "B1", "C1 saw A=1 B=1"]);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deadline_turns_back(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let order = Order { waits: vec![("B".into(), 3_600_000)], ..Order::default() };
    let run = bench.start(&order).await?;
    sqlx::query("update toygres.step set allowed = '50 ms' where run_id = $1 and name = 'B'")
        .bind(run.0)
        .execute(&bench.db)
        .await?;
    bench.worker("one");
    assert_eq!(bench.end(run).await?, "failed");
    assert_eq!(bench.diary(), ["A1", "B1", "-B1", "-A1"]);
    assert_eq!(bench.error(run).await?.as_deref(), Some("The step took longer than it may."));
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_call_that_does_not_answer_is_a_failure(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let run = bench.start(&Order { hangs: vec!["A1".into()], ..Order::default() }).await?;
    bench.worker("one");
    assert_eq!(bench.end(run).await?, "succeeded");
    assert_eq!(bench.steps(run).await?, ["A done 2", "B done 1", "C done 1"]);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn stuck_keeps_its_locks_until_retried(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let order = Order { fatal: vec!["B1".into()], undo_fails: vec!["B".into()], ..Order::default() };
    let run = bench.start(&order).await?;
    bench.worker("one");
    assert_eq!(bench.end(run).await?, "stuck");
    assert_eq!(bench.steps(run).await?, ["A done 1", "B stuck 1", "C skipped 0"]);
    assert_eq!(bench.locks().await?, 1);
    assert!(
        matches!(workflow::cancel(&bench.db, run).await, Err(CommandError::State(state)) if state == "stuck")
    );
    bench.arrived();
    workflow::retry(&bench.db, run).await?;
    assert_eq!(bench.end(run).await?, "failed");
    assert_eq!(bench.steps(run).await?, ["A undone 1", "B undone 1", "C skipped 0"]);
    assert_eq!(bench.locks().await?, 0);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn stuck_is_accepted_and_the_rest_undone(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let order = Order { fatal: vec!["B1".into()], undo_fails: vec!["B".into()], ..Order::default() };
    let run = bench.start(&order).await?;
    assert!(matches!(workflow::accept(&bench.db, run).await, Err(CommandError::State(_))));
    bench.worker("one");
    assert_eq!(bench.end(run).await?, "stuck");
    workflow::accept(&bench.db, run).await?;
    assert_eq!(bench.end(run).await?, "failed");
    assert_eq!(bench.diary().last().map(String::as_str), Some("-A1"));
    assert_eq!(bench.locks().await?, 0);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn cancel_ends_a_call_and_undoes(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let run = bench.start(&Order { blocks: vec!["B".into()], ..Order::default() }).await?;
    bench.worker("one");
    bench.until(run, "B running 1").await?;
    workflow::cancel(&bench.db, run).await?;
    assert_eq!(bench.end(run).await?, "cancelled");
    assert_eq!(bench.steps(run).await?, ["A undone 1", "B undone 1", "C skipped 0"]);
    assert!(matches!(workflow::cancel(&bench.db, run).await, Err(CommandError::State(_))));
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn cancel_before_any_worker_leaves_nothing_begun(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let run = bench.start(&Order::default()).await?;
    workflow::cancel(&bench.db, run).await?;
    bench.worker("one");
    assert_eq!(bench.end(run).await?, "cancelled");
    assert!(bench.diary().is_empty());
    assert_eq!(bench.steps(run).await?, ["A skipped 0", "B skipped 0", "C skipped 0"]);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn cancel_and_completion_race_with_one_winner(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    bench.worker("one");
    for _ in 0..20 {
        let run = bench.start(&Order::default()).await?;
        bench.until(run, "B done 1").await?;
        let cancelled = workflow::cancel(&bench.db, run).await;
        let state = bench.end(run).await?;
        assert_eq!(state, if cancelled.is_ok() { "cancelled" } else { "succeeded" });
    }
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn locks_refuse_by_name_and_share(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let with = |lock: Lock| Order { lock: Some(lock), ..Order::default() };
    let one = bench.start(&with(Lock::shared("image/7"))).await?;
    let two = bench.start(&with(Lock::shared("image/7"))).await?;
    let refused = bench.start(&with(Lock::exclusive("image/7"))).await;
    let Err(StartError::Locked { key, run }) = refused else { anyhow::bail!("not refused") };
    assert_eq!(key, "image/7");
    assert!([one, two].contains(&run));
    bench.start(&with(Lock::exclusive("image/8"))).await?;
    assert!(matches!(bench.start(&with(Lock::shared("image/8"))).await, Err(StartError::Locked { .. })));
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_dead_workers_run_is_taken_over_with_the_same_attempt(
    _: PgPoolOptions,
    db: PgConnectOptions,
) -> Test {
    let bench = Bench::new(db).await?;
    let run = bench.start(&Order { blocks: vec!["B".into()], ..Order::default() }).await?;
    let dead = bench.worker("dead");
    bench.until(run, "B running 1").await?;
    // The row says so a moment before the step is called: the effect is what the heir is to meet.
    while !bench.diary().iter().any(|entry| entry == "B1") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    dead.die();
    bench.arrived();
    bench.worker("heir");
    assert_eq!(bench.end(run).await?, "succeeded");
    assert_eq!(bench.diary(), ["A1", "B1", "B1", "C1 saw A=1 B=1"]);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_late_worker_changes_no_row(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let run = bench.start(&Order { blocks: vec!["A".into()], ..Order::default() }).await?;
    let late = bench.worker("late");
    bench.until(run, "A running 1").await?;
    // Another worker takes it, as it would after a lease that ended.
    sqlx::query("update toygres.run set epoch = epoch + 1, worker = 'other', lease_until = clock_timestamp() + '1 h' where id = $1")
        .bind(run.0)
        .execute(&bench.db)
        .await?;
    let before = bench.rows(run).await?;
    bench.arrived();
    late.stop().await?;
    assert_eq!(bench.rows(run).await?, before);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn unknown_versions_and_other_pools_are_left_alone(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let newer = bench.start(&Order::default()).await?;
    sqlx::query("update toygres.run set version = 2 where id = $1").bind(newer.0).execute(&bench.db).await?;
    let mut tx = bench.db.begin().await?;
    let elsewhere = StartOptions { pool: "elsewhere".into(), ..StartOptions::default() };
    let elsewhere = workflow::start(&mut tx, &Order::default(), elsewhere).await?;
    let other = workflow::start(&mut tx, &Other, StartOptions::default()).await?;
    tx.commit().await?;
    let known = bench.start(&Order::default()).await?;
    bench.worker("one");
    // The known one is the youngest: the others were there to be taken before it.
    assert_eq!(bench.end(known).await?, "succeeded");
    for run in [newer, elsewhere, other] {
        let epoch: i64 = sqlx::query_scalar("select epoch from toygres.run where id = $1")
            .bind(run.0)
            .fetch_one(&bench.db)
            .await?;
        assert_eq!(epoch, 0);
    }
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_worker_that_stops_hands_over_at_once(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let run = bench.start(&Order { blocks: vec!["B".into()], ..Order::default() }).await?;
    let first = bench.worker("first");
    bench.until(run, "B running 1").await?;
    first.stop().await?;
    let (free, claims): (bool, i32) = sqlx::query_as(
        "select worker is null and due_at <= clock_timestamp(), claims from toygres.run where id = $1",
    )
    .bind(run.0)
    .fetch_one(&bench.db)
    .await?;
    assert!(free);
    assert_eq!(claims, 0);
    bench.arrived();
    bench.worker("second");
    assert_eq!(bench.end(run).await?, "succeeded");
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_step_that_kills_its_workers_turns_back(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let run = bench.start(&Order::default()).await?;
    sqlx::query("update toygres.run set claims = 10 where id = $1").bind(run.0).execute(&bench.db).await?;
    bench.worker("one");
    assert_eq!(bench.end(run).await?, "failed");
    assert!(bench.error(run).await?.is_some_and(|error| error.starts_with("10 workers in a row")));
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_database_refuses_impossible_states(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    bench.start(&Order::default()).await?;
    for nonsense in [
        "update toygres.run set state = 'succeeded'",
        "update toygres.run set state = 'failed', finished_at = now(), due_at = null",
        "update toygres.run set worker = 'w'",
        "update toygres.run set state = 'cancelled', finished_at = now(), due_at = null",
        "update toygres.step set state = 'done'",
        "update toygres.step set attempt = attempts + 1, started_at = now()",
        "update toygres.step set name = 'A'",
    ] {
        let result = sqlx::query(sqlx::AssertSqlSafe(nonsense)).execute(&bench.db).await;
        assert!(result.is_err(), "{nonsense}");
    }
    Ok(())
}

/// What the diary says is there in the end: each step whose last line is not an undo.
fn left(diary: &[String]) -> Vec<char> {
    let last = |step: &char| diary.iter().rev().find(|line| line.trim_start_matches('-').starts_with(*step));
    let is_there = |step: &char| last(step).is_some_and(|line| !line.starts_with('-'));
    ['A', 'B', 'C'].into_iter().filter(is_there).collect()
}

async fn meet_all_faults(bench: &Bench, order: Order) -> Test {
    let order = &order;
    workflow::testing::meet_all_faults::<Order, _, _, _, _>(
        &bench.db,
        bench.diary.clone(),
        "default",
        |_| async move {
            bench.forget();
            Ok(bench.start(order).await?)
        },
        |fault, _| async move {
            let expected = if fault.ends() == "succeeded" { vec!['A', 'B', 'C'] } else { Vec::new() };
            anyhow::ensure!(left(&bench.diary()) == expected, "{:?} is left", bench.diary());
            Ok(())
        },
    )
    .await
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_generic_tests_pass(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    meet_all_faults(&bench, Order::default()).await?;
    assert_eq!(bench.locks().await?, 0);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_generic_tests_catch_an_undo_that_forgets(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let bench = Bench::new(db).await?;
    let error = meet_all_faults(&bench, Order { forgets: vec!["A".into()], ..Order::default() }).await;
    let Err(error) = error else { anyhow::bail!("not caught") };
    assert!(format!("{error:#}").starts_with("check after FailAt(0)"), "{error:#}");
    Ok(())
}

#[test]
fn plans_do_not_change_unnoticed() {
    let plan = Plan::of::<Order>();
    assert_eq!((plan.name, plan.version, plan.steps), ("order", 1, vec!["A", "B", "C"]));
}

#[test]
fn pauses_double_up_to_the_longest() {
    let retry = workflow::Retry::times(9);
    let pauses: Vec<u64> = (1..=6).map(|attempt| retry.pause(attempt).as_secs()).collect();
    assert_eq!(pauses, [2, 4, 8, 16, 30, 30]);
    assert_eq!(retry.pause(i32::MAX), Duration::from_secs(30));
}
