//! The way of a run back to its first step.

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use workflow::{CommandError, code};

use crate::Test;
use crate::fixture::Fixture;
use crate::script::{FATAL, Script, UNDO};

#[sqlx::test(migrations = "../../migrations")]
async fn rollback_runs_backwards_and_includes_the_failed_step(
    _: PgPoolOptions,
    db: PgConnectOptions,
) -> Test {
    let fixture = Fixture::new(db).await?;
    let run = fixture.start(&Script { fatal: vec!["B1".into()], ..Script::default() }).await?;
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "failed");
    assert_eq!(fixture.recorder.calls(), ["A1", "B1", "-B1", "-A1"]);
    assert_eq!(fixture.steps(run).await?, ["A undone 1", "B undone 1", "C skipped 0"]);
    assert_eq!(fixture.locks().await?, 0);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn outage_counts_no_attempt_of_an_undo(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let script = Script { outages: vec!["-A1".into()], fatal: vec!["A1".into()], ..Script::default() };
    let run = fixture.start(&script).await?;
    fixture.worker("one");
    // More calls than an undo has attempts.
    fixture.until_called("-A1", 7).await?;
    assert_eq!(fixture.step_row(run, "A").await?["undo_attempt"], 0);
    fixture.recorder.open_gate();
    assert_eq!(fixture.end(run).await?, "failed");
    assert_eq!(fixture.steps(run).await?, ["A undone 1", "B skipped 0", "C skipped 0"]);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn failed_rollback_keeps_error_attempt_and_times_of_the_step(
    _: PgPoolOptions,
    db: PgConnectOptions,
) -> Test {
    let fixture = Fixture::new(db).await?;
    let script = Script { fatal: vec!["B1".into()], undo_fails: vec!["B".into()], ..Script::default() };
    let run = fixture.start(&script).await?;
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "stuck");
    let stuck = fixture.step_row(run, "B").await?;
    assert_eq!((&stuck["error_code"], &stuck["error"]), (&json!(FATAL), &json!("B1 failed")));
    assert_eq!(stuck["undo_failure"], json!({ "code": UNDO, "subject": "B", "detail": "undo of B failed" }));
    assert!(stuck["undo_finished_at"].is_null());
    assert_eq!(fixture.error_code(run).await?.as_deref(), Some(FATAL));
    let ordered: bool = sqlx::query_scalar(
        "select started_at <= finished_at and finished_at <= undo_started_at
         from toygres.step where run_id = $1 and name = 'B'",
    )
    .bind(run.0)
    .fetch_one(&fixture.db)
    .await?;
    assert!(ordered, "{stuck}");

    fixture.recorder.open_gate();
    workflow::retry(&fixture.db, run).await?;
    assert_eq!(fixture.end(run).await?, "failed");
    let undone = fixture.step_row(run, "B").await?;
    for column in
        ["attempt", "error", "error_code", "error_subject", "started_at", "finished_at", "undo_started_at"]
    {
        assert_eq!(undone[column], stuck[column], "{column}");
    }
    assert!(undone["undo_finished_at"].is_string());
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn stuck_run_keeps_its_locks_until_retried(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let script = Script { fatal: vec!["B1".into()], undo_fails: vec!["B".into()], ..Script::default() };
    let run = fixture.start(&script).await?;
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "stuck");
    assert_eq!(fixture.steps(run).await?, ["A done 1", "B stuck 1", "C skipped 0"]);
    assert_eq!(fixture.locks().await?, 1);
    let cancelled = workflow::cancel(&fixture.db, run).await;
    assert!(matches!(cancelled, Err(CommandError::State(state)) if state == "stuck"));
    fixture.recorder.open_gate();
    workflow::retry(&fixture.db, run).await?;
    assert_eq!(fixture.end(run).await?, "failed");
    assert_eq!(fixture.steps(run).await?, ["A undone 1", "B undone 1", "C skipped 0"]);
    assert_eq!(fixture.locks().await?, 0);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn accepted_run_undoes_the_steps_before(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let script = Script { fatal: vec!["B1".into()], undo_fails: vec!["B".into()], ..Script::default() };
    let run = fixture.start(&script).await?;
    assert!(matches!(workflow::accept(&fixture.db, run).await, Err(CommandError::State(_))));
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "stuck");
    workflow::accept(&fixture.db, run).await?;
    assert_eq!(fixture.end(run).await?, "failed");
    assert_eq!(fixture.recorder.calls(), ["A1", "B1", "-A1"]);
    assert_eq!(fixture.locks().await?, 0);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn cancelled_run_with_a_failed_rollback_ends_cancelled(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let script = Script { blocks: vec!["B".into()], undo_fails: vec!["B".into()], ..Script::default() };
    let run = fixture.start(&script).await?;
    fixture.worker("one");
    fixture.until_step(run, "B running 1").await?;
    workflow::cancel(&fixture.db, run).await?;
    assert_eq!(fixture.end(run).await?, "stuck");
    assert_eq!(fixture.error_code(run).await?, None);
    workflow::accept(&fixture.db, run).await?;
    assert_eq!(fixture.end(run).await?, "cancelled");
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn repeated_loss_of_workers_in_an_undo_is_stuck(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let script = Script { outages: vec!["-A1".into()], fatal: vec!["A1".into()], ..Script::default() };
    let run = fixture.start(&script).await?;
    let worker = fixture.worker("one");
    fixture.until_called("-A1", 1).await?;
    worker.stop().await?;
    fixture.execute(run, "update toygres.run set claims = 10 where id = $1").await?;
    fixture.worker("two");
    assert_eq!(fixture.end(run).await?, "stuck");
    assert_eq!(fixture.step_row(run, "A").await?["undo_failure"]["code"], code::WORKERS_LOST);
    assert_eq!(fixture.error_code(run).await?.as_deref(), Some(FATAL));
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn run_with_an_unknown_step_is_stuck_and_can_be_accepted(
    _: PgPoolOptions,
    db: PgConnectOptions,
) -> Test {
    let fixture = Fixture::new(db).await?;
    let run = fixture.start(&Script::default()).await?;
    let sql =
        "insert into toygres.step (run_id, position, name, attempts, allowed) values ($1, 3, 'D', 1, '1 h')";
    fixture.execute(run, sql).await?;
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "stuck");
    assert_eq!(fixture.steps(run).await?, ["A done 1", "B done 1", "C done 1", "D stuck 0"]);
    assert_eq!(fixture.error_code(run).await?.as_deref(), Some(code::WORKFLOW_UNKNOWN));
    assert_eq!(fixture.step_row(run, "D").await?["undo_failure"]["code"], code::WORKFLOW_UNKNOWN);
    workflow::accept(&fixture.db, run).await?;
    assert_eq!(fixture.end(run).await?, "failed");
    assert_eq!(fixture.steps(run).await?, ["A undone 1", "B undone 1", "C undone 1", "D undone 0"]);
    Ok(())
}
