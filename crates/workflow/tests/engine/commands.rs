//! Cancellation, and the locks that a start requires.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use workflow::{CommandError, Lock, StartError};

use crate::Test;
use crate::fixture::Fixture;
use crate::script::Script;

#[sqlx::test(migrations = "../../migrations")]
async fn cancel_ends_the_current_call_and_rolls_back(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let run = fixture.start(&Script { blocks: vec!["B".into()], ..Script::default() }).await?;
    fixture.worker("one");
    fixture.until_step(run, "B running 1").await?;
    workflow::cancel(&fixture.db, run).await?;
    assert_eq!(fixture.end(run).await?, "cancelled");
    assert_eq!(fixture.error_code(run).await?, None);
    assert_eq!(fixture.steps(run).await?, ["A undone 1", "B undone 1", "C skipped 0"]);
    assert!(matches!(workflow::cancel(&fixture.db, run).await, Err(CommandError::State(_))));
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn cancel_before_the_first_claim_calls_no_step(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let run = fixture.start(&Script::default()).await?;
    workflow::cancel(&fixture.db, run).await?;
    fixture.worker("one");
    assert_eq!(fixture.end(run).await?, "cancelled");
    assert!(fixture.recorder.calls().is_empty());
    assert_eq!(fixture.steps(run).await?, ["A skipped 0", "B skipped 0", "C skipped 0"]);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn race_of_cancel_and_completion_has_one_winner(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    fixture.worker("one");
    for _ in 0..20 {
        let run = fixture.start(&Script::default()).await?;
        fixture.until_step(run, "B done 1").await?;
        let cancelled = workflow::cancel(&fixture.db, run).await;
        let state = fixture.end(run).await?;
        assert_eq!(state, if cancelled.is_ok() { "cancelled" } else { "succeeded" });
    }
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn conflicting_lock_rejects_a_start_and_names_the_holder(
    _: PgPoolOptions,
    db: PgConnectOptions,
) -> Test {
    let fixture = Fixture::new(db).await?;
    let with = |lock: Lock| Script { lock: Some(lock), ..Script::default() };
    let one = fixture.start(&with(Lock::shared("image/7"))).await?;
    let two = fixture.start(&with(Lock::shared("image/7"))).await?;
    let rejected = fixture.start(&with(Lock::exclusive("image/7"))).await;
    let Err(StartError::Locked { key, run }) = rejected else { anyhow::bail!("not rejected") };
    assert_eq!(key, "image/7");
    assert!([one, two].contains(&run));
    fixture.start(&with(Lock::exclusive("image/8"))).await?;
    let rejected = fixture.start(&with(Lock::shared("image/8"))).await;
    assert!(matches!(rejected, Err(StartError::Locked { .. })));
    Ok(())
}
