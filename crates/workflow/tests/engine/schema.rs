//! Constraints and triggers of the tables.

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Test;
use crate::fixture::Fixture;
use crate::script::{FATAL, RETRY, Script, UNDO};

#[sqlx::test(migrations = "../../migrations")]
async fn constraints_reject_impossible_states(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    fixture.start(&Script::default()).await?;
    for update in [
        "update toygres.run set state = 'succeeded'",
        "update toygres.run set state = 'failed', finished_at = now(), due_at = null",
        "update toygres.run set worker = 'w'",
        "update toygres.run set state = 'cancelled', finished_at = now(), due_at = null",
        "update toygres.run set error_code = ''",
        "update toygres.step set state = 'done'",
        "update toygres.step set attempt = attempts + 1, started_at = now()",
        "update toygres.step set name = 'A'",
        "update toygres.step set first_failure = '\"text\"'",
    ] {
        let result = sqlx::query(update).execute(&fixture.db).await;
        assert!(result.is_err_and(|error| error.into_database_error().is_some()), "{update}");
    }
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn transitions_are_logged_as_events(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let script = Script {
        fails: vec!["A1".into()],
        fatal: vec!["B1".into()],
        undo_fails: vec!["B".into()],
        ..Script::default()
    };
    let run = fixture.start(&script).await?;
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "stuck");
    fixture.recorder.open_gate();
    workflow::retry(&fixture.db, run).await?;
    assert_eq!(fixture.end(run).await?, "failed");
    let sql = "select line from toygres.log_chunk, jsonb_array_elements(lines) line where run_id = $1 order by first";
    let lines: Vec<Value> = sqlx::query_scalar(sql).bind(run.0).fetch_all(&fixture.db).await?;
    let events: Vec<Value> =
        lines.iter().map(|line| json!([line["event"], line["step"], line["code"]])).collect();
    let expected = [
        json!(["step_started", "A", null]),
        json!(["step_will_retry", "A", RETRY]),
        json!(["step_restarted", "A", null]),
        json!(["step_succeeded", "A", null]),
        json!(["step_started", "B", null]),
        json!(["step_failed", "B", FATAL]),
        json!(["run_rolling_back", "", null]),
        json!(["rollback_failed", "B", UNDO]),
        json!(["run_stuck", "", null]),
        json!(["rollback_resumed", "", null]),
        json!(["step_rolled_back", "B", null]),
        json!(["step_rolled_back", "A", null]),
        json!(["run_failed", "", null]),
    ];
    assert_eq!(events, expected);
    Ok(())
}
