//! The way of a run to its last step.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use workflow::WorkflowShape;

use crate::Test;
use crate::fixture::Fixture;
use crate::script::Script;

#[test]
fn shape_lists_name_version_and_steps() {
    let shape = WorkflowShape::of::<Script>();
    assert_eq!((shape.name, shape.version, shape.steps), ("script", 1, vec!["A", "B", "C"]));
}

#[sqlx::test(migrations = "../../migrations")]
async fn all_steps_are_written_before_the_first_begins(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let run = fixture.start(&Script::default()).await?;
    assert_eq!(fixture.steps(run).await?, ["A todo 0", "B todo 0", "C todo 0"]);
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "succeeded");
    assert_eq!(fixture.steps(run).await?, ["A done 1", "B done 1", "C done 1"]);
    assert_eq!(fixture.recorder.calls(), ["A1", "B1", "C1 with A=1 B=1"]);
    assert_eq!(fixture.locks().await?, 0);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn waiting_step_occupies_no_worker_until_wake(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    // Longer than the test: only a wake-up ends this wait.
    let script = Script { waits: vec![("A".into(), 3_600_000)], ..Script::default() };
    let run = fixture.start(&script).await?;
    fixture.worker("one");
    fixture.until_step(run, "A waiting 1").await?;
    assert!(fixture.run_row(run).await?["worker"].is_null());
    fixture.recorder.open_gate();
    workflow::wake(&fixture.db, run).await?;
    assert_eq!(fixture.end(run).await?, "succeeded");
    assert_eq!(fixture.recorder.calls(), ["A1", "A1", "B1", "C1 with A=1 B=1"]);
    Ok(())
}
