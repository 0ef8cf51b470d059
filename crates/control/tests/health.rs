//! Health checks of several instances.

#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use model::InstanceId;
use sqlx::PgPool;
use world::World;
use world::flaky::{Faults, FlakyPlatform};

/// Waits until an instance has this health since `since`.
async fn wait_for(db: &PgPool, id: InstanceId, health: &str, since: chrono::DateTime<chrono::Utc>) {
    for _ in 0..600 {
        let found =
            "select exists (select from toygres.instance where id = $1 and health = $2 and health_at > $3)";
        let found = sqlx::query_scalar(found).bind(id.0).bind(health).bind(since);
        if found.fetch_one(db).await.unwrap() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the health of {id} is not {health}")
}

#[sqlx::test(migrations = "../../migrations")]
async fn instance_that_cannot_be_observed_is_unknown_and_the_others_are_checked(db: PgPool) {
    let mut platform = None;
    let around = |local| Arc::clone(platform.insert(Arc::new(FlakyPlatform::new(local, Faults::default()))));
    let world = World::on(&db, around).await;
    let (first, second) = (world.instance("aaa").await, world.instance("bbb").await);
    let now = sqlx::query_scalar("select clock_timestamp()").fetch_one(&db).await.unwrap();
    platform.unwrap().fail_to_observe(first);
    wait_for(&db, first, "unknown", now).await;
    wait_for(&db, second, "ok", now).await;
    world.end().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn slow_probe_does_not_delay_the_observation_of_others(db: PgPool) {
    let mut platform = None;
    let around = |local| Arc::clone(platform.insert(Arc::new(FlakyPlatform::new(local, Faults::default()))));
    let world = World::on(&db, around).await;
    let (slow, other) = (world.instance("aaa").await, world.instance("bbb").await);
    let platform = platform.unwrap();
    platform.hold_jobs();
    let before = platform.launched().len();
    // An instance of unknown size is probed in each round.
    sqlx::query("update toygres.instance set size_bytes = null where id = $1")
        .bind(slow.0)
        .execute(&db)
        .await
        .unwrap();
    while platform.launched().len() == before {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let now = sqlx::query_scalar("select clock_timestamp()").fetch_one(&db).await.unwrap();
    platform.fail_to_observe(other);
    wait_for(&db, other, "unknown", now).await;
    world.end().await;
}
