//! Claims: takeover, fencing, hand-over and selection of runs.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use workflow::StartOptions;

use crate::Test;
use crate::fixture::Fixture;
use crate::script::{Script, Unregistered};

#[sqlx::test(migrations = "../../migrations")]
async fn run_of_a_crashed_worker_is_taken_over_with_the_same_attempt(
    _: PgPoolOptions,
    db: PgConnectOptions,
) -> Test {
    let fixture = Fixture::new(db).await?;
    let run = fixture.start(&Script { blocks: vec!["B".into()], ..Script::default() }).await?;
    let crashed = fixture.worker("crashed");
    // The row is written before the call: wait for the effect.
    fixture.until_called("B1", 1).await?;
    crashed.crash();
    fixture.recorder.open_gate();
    fixture.worker("successor");
    assert_eq!(fixture.end(run).await?, "succeeded");
    assert_eq!(fixture.recorder.calls(), ["A1", "B1", "B1", "C1 with A=1 B=1"]);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn worker_that_lost_its_claim_changes_no_row(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let run = fixture.start(&Script { blocks: vec!["A".into()], ..Script::default() }).await?;
    let late = fixture.worker("late");
    fixture.until_step(run, "A running 1").await?;
    // Another worker claims the run, as after an expired lease.
    let claim =
        "update toygres.run set epoch = epoch + 1, worker = 'other', lease_until = clock_timestamp() + '1 h'
                 where id = $1";
    fixture.execute(run, claim).await?;
    let before = (fixture.run_row(run).await?, fixture.step_row(run, "A").await?);
    fixture.recorder.open_gate();
    late.stop().await?;
    assert_eq!((fixture.run_row(run).await?, fixture.step_row(run, "A").await?), before);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn runs_of_other_versions_pools_and_workflows_are_not_claimed(
    _: PgPoolOptions,
    db: PgConnectOptions,
) -> Test {
    let fixture = Fixture::new(db).await?;
    let newer = fixture.start(&Script::default()).await?;
    fixture.execute(newer, "update toygres.run set version = 2 where id = $1").await?;
    let mut tx = fixture.db.begin().await?;
    let options = StartOptions { pool: "other".into(), ..StartOptions::default() };
    let other_pool = workflow::start(&mut tx, &Script::default(), options).await?;
    let unregistered = workflow::start(&mut tx, &Unregistered, StartOptions::default()).await?;
    tx.commit().await?;
    let known = fixture.start(&Script::default()).await?;
    fixture.worker("one");
    // The known run is the newest: the others were due before it.
    assert_eq!(fixture.end(known).await?, "succeeded");
    for run in [newer, other_pool, unregistered] {
        assert_eq!(fixture.run_row(run).await?["epoch"], 0);
    }
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn stopped_worker_hands_its_run_over(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let run = fixture.start(&Script { blocks: vec!["B".into()], ..Script::default() }).await?;
    let first = fixture.worker("first");
    fixture.until_step(run, "B running 1").await?;
    first.stop().await?;
    let (is_due, claims): (bool, i32) = sqlx::query_as(
        "select worker is null and due_at <= clock_timestamp(), claims from toygres.run where id = $1",
    )
    .bind(run.0)
    .fetch_one(&fixture.db)
    .await?;
    assert_eq!((is_due, claims), (true, 0));
    fixture.recorder.open_gate();
    fixture.worker("second");
    assert_eq!(fixture.end(run).await?, "succeeded");
    Ok(())
}
