//! The fault tests of [`workflow::testing`] pass for a correct workflow and fail for an incorrect one.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Test;
use crate::fixture::Fixture;
use crate::script::Script;

/// The steps whose effect remains: those whose last call is not an undo.
fn effects(calls: &[String]) -> Vec<char> {
    let last = |step: &char| calls.iter().rev().find(|call| call.trim_start_matches('-').starts_with(*step));
    let remains = |step: &char| last(step).is_some_and(|call| !call.starts_with('-'));
    ['A', 'B', 'C'].into_iter().filter(remains).collect()
}

async fn meet_all_faults(fixture: &Fixture, script: Script) -> Test {
    let script = &script;
    workflow::testing::meet_all_faults::<Script, _, _, _, _>(
        &fixture.db,
        fixture.recorder.clone(),
        "default",
        |_| async move {
            fixture.recorder.clear();
            Ok(fixture.start(script).await?)
        },
        |fault, _| async move {
            let expected = if fault.ends() == "succeeded" { vec!['A', 'B', 'C'] } else { Vec::new() };
            let calls = fixture.recorder.calls();
            anyhow::ensure!(effects(&calls) == expected, "calls: {calls:?}");
            Ok(())
        },
    )
    .await
}

#[sqlx::test(migrations = "../../migrations")]
async fn fault_tests_pass_for_a_correct_workflow(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    meet_all_faults(&fixture, Script::default()).await?;
    assert_eq!(fixture.locks().await?, 0);
    Ok(())
}

#[sqlx::test(migrations = "../../migrations")]
async fn fault_tests_detect_an_undo_without_effect(_: PgPoolOptions, db: PgConnectOptions) -> Test {
    let fixture = Fixture::new(db).await?;
    let result =
        meet_all_faults(&fixture, Script { undo_skips: vec!["A".into()], ..Script::default() }).await;
    let Err(error) = result else { anyhow::bail!("not detected") };
    assert!(format!("{error:#}").starts_with("check after FailAt(0)"), "{error:#}");
    Ok(())
}
