//! Failed attempts: what is retried, what is counted and what is stored.

use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use workflow::code;

use crate::Test;
use crate::fixture::Fixture;
use crate::script::{FATAL, RETRY, Script};

#[sqlx::test(migrations = "../../migrations")]
async fn failures_and_panics_are_retried(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let script = Script { fails: vec!["A1".into()], panics: vec!["A2".into()], ..Script::default() };
    let run = fixture.start(&script).await?;
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "succeeded");
    assert_eq!(fixture.steps(run).await?, ["A done 3", "B done 1", "C done 1"]);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn first_failure_is_kept_when_later_attempts_fail_differently(
    _: PgPoolOptions,
    db: PgConnectOptions,
) -> Test {
    let fixture = Fixture::new(db).await?;
    let script = Script {
        fails: vec!["A1".into()],
        panics: vec!["A2".into()],
        fatal: vec!["A3".into()],
        ..Script::default()
    };
    let run = fixture.start(&script).await?;
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "failed");
    let step = fixture.step_row(run, "A").await?;
    assert_eq!(step["first_failure"], json!({ "code": RETRY, "subject": "A", "detail": "A1 failed" }));
    assert_eq!(step["error_code"], FATAL);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn code_subject_and_detail_are_stored_on_step_and_run(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let run = fixture.start(&Script { fatal: vec!["B1".into()], ..Script::default() }).await?;
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "failed");
    for row in [fixture.run_row(run).await?, fixture.step_row(run, "B").await?] {
        assert_eq!(row["error_code"], FATAL);
        assert_eq!(row["error_subject"], "B");
        assert_eq!(row["error"], "B1 failed");
    }
    assert!(fixture.step_row(run, "A").await?["error_code"].is_null());
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn success_clears_the_error_of_earlier_attempts(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let script = Script { fails: vec!["A1".into()], blocks: vec!["A".into()], ..Script::default() };
    let run = fixture.start(&script).await?;
    fixture.worker("one");
    fixture.until_step(run, "A running 2").await?;
    assert_eq!(fixture.step_row(run, "A").await?["error_code"], RETRY);
    fixture.recorder.open_gate();
    assert_eq!(fixture.end(run).await?, "succeeded");
    let step = fixture.step_row(run, "A").await?;
    assert!(step["error"].is_null() && step["error_code"].is_null() && step["error_subject"].is_null());
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn last_attempt_fails_the_run(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let fails = vec!["A1".into(), "A2".into(), "A3".into()];
    let run = fixture.start(&Script { fails, ..Script::default() }).await?;
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "failed");
    assert_eq!(fixture.error_code(run).await?.as_deref(), Some(RETRY));
    assert_eq!(fixture.recorder.calls(), ["A1", "A2", "A3", "-A3"]);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn outage_counts_no_attempt(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let run = fixture.start(&Script { outages: vec!["A1".into()], ..Script::default() }).await?;
    fixture.worker("one");
    // More calls than the step has attempts.
    fixture.until_called("A1", 7).await?;
    assert_eq!(fixture.steps(run).await?, ["A running 1", "B todo 0", "C todo 0"]);
    assert!(fixture.step_row(run, "A").await?["first_failure"].is_null());
    fixture.recorder.open_gate();
    assert_eq!(fixture.end(run).await?, "succeeded");
    assert_eq!(fixture.steps(run).await?, ["A done 1", "B done 1", "C done 1"]);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn outage_is_bounded_by_the_deadline(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let run = fixture.start(&Script { outages: vec!["A1".into()], ..Script::default() }).await?;
    fixture
        .execute(run, "update toygres.step set allowed = '500 ms' where run_id = $1 and name = 'A'")
        .await?;
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "failed");
    assert_eq!(fixture.error_code(run).await?.as_deref(), Some(code::STEP_DEADLINE));
    assert_eq!(fixture.steps(run).await?, ["A undone 1", "B skipped 0", "C skipped 0"]);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn exceeded_deadline_rolls_back(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let script = Script { waits: vec![("B".into(), 3_600_000)], ..Script::default() };
    let run = fixture.start(&script).await?;
    fixture
        .execute(run, "update toygres.step set allowed = '50 ms' where run_id = $1 and name = 'B'")
        .await?;
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "failed");
    assert_eq!(fixture.recorder.calls(), ["A1", "B1", "-B1", "-A1"]);
    assert_eq!(fixture.error_code(run).await?.as_deref(), Some(code::STEP_DEADLINE));
    assert_eq!(fixture.step_row(run, "B").await?["error_code"], code::STEP_DEADLINE);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn exceeded_timeout_is_a_failed_attempt(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let run = fixture.start(&Script { hangs: vec!["A1".into()], ..Script::default() }).await?;
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "succeeded");
    assert_eq!(fixture.steps(run).await?, ["A done 2", "B done 1", "C done 1"]);
    assert_eq!(fixture.step_row(run, "A").await?["first_failure"]["code"], code::STEP_TIMEOUT);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn repeated_loss_of_workers_fails_the_run(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let run = fixture.start(&Script::default()).await?;
    fixture.execute(run, "update toygres.run set claims = 10 where id = $1").await?;
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "failed");
    assert_eq!(fixture.error_code(run).await?.as_deref(), Some(code::WORKERS_LOST));
    assert!(fixture.recorder.calls().is_empty());
    Ok(())
}
