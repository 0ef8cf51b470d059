//! A state database of an earlier version is migrated, and everything in it is readable.

#![expect(clippy::unwrap_used, reason = "tests")]

mod world;

use control::images::ImageQuery;
use control::runs::RunQuery;
use model::{FailureCode, ImageStatus, InstanceStatus, LogFilter, LogStretch, RunState, WorkflowName};
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use world::World;

/// The data of a state database with schema version 8: three backups, a failed one, a cancelled one, a restore, a restore of a
/// damaged image, a verification, and the log of each.
const VERSION_8: &str = include_str!("fixtures/version-8.sql");

/// Creates the schema of version 8 with its data, as the program of that version did.
async fn create_version_8(db: &PgPool) {
    let all = sqlx::migrate!("../../migrations");
    let mut migrator =
        Migrator::with_migrations(all.iter().filter(|one| one.version <= 8).cloned().collect());
    migrator.create_schema("toygres");
    migrator.dangerous_set_table_name("toygres._sqlx_migrations");
    migrator.run(db).await.unwrap();
    sqlx::raw_sql(VERSION_8).execute(db).await.unwrap();
    // The key that sealed the secrets is not part of the data.
    sqlx::raw_sql("delete from toygres.secret; delete from toygres.encryption_key")
        .execute(db)
        .await
        .unwrap();
}

#[sqlx::test(migrations = false)]
async fn upgraded_state_database_is_readable(db: PgPool) {
    create_version_8(&db).await;
    control::migrate(&mut db.acquire().await.unwrap()).await.unwrap();
    let world = World::new(&db).await;
    let services = &world.services;

    let runs =
        control::runs::list(services, RunQuery { per_page: 200, ..RunQuery::default() }).await.unwrap().rows;
    assert_eq!(runs.len(), 11);
    for run in &runs {
        let detail = control::runs::get(services, run.id).await.unwrap();
        assert_ne!(detail.run.workflow, WorkflowName::Unknown);
        assert!(detail.step_rows.iter().all(|step| !step.title.is_empty()));
        assert_eq!(run.state == RunState::Failed, detail.run.error.is_some(), "{}", run.title);
        let log = control::runs::log_page(services, run.id, &LogFilter::default(), LogStretch::Last, 1000)
            .await
            .unwrap();
        assert_eq!(i64::try_from(log.lines.len()).unwrap(), detail.log_lines);
        assert!(log.lines.iter().all(|line| !line.message.is_empty()));
    }
    // Failures of earlier versions have no code.
    let failed = runs.iter().find_map(|run| run.error.as_ref()).unwrap();
    assert_eq!(failed.code, FailureCode::Other);

    let of = async |status| {
        let query = ImageQuery { status, ..ImageQuery::default() };
        control::images::list(services, query).await.unwrap().rows
    };
    assert_eq!(of(None).await.len(), 3);
    let failed = of(Some(ImageStatus::Failed)).await;
    assert_eq!(failed.iter().filter(|image| image.was_cancelled()).count(), 1);
    assert_eq!(failed.iter().filter(|image| !image.was_cancelled()).count(), 1);
    for image in of(None).await {
        assert!(control::images::get(services, image.id).await.unwrap().manifest.is_some());
    }
    let instances = control::instances::list(services).await.unwrap();
    assert_eq!(instances.len(), 4);
    assert_eq!(instances.iter().filter(|one| one.status == InstanceStatus::Stopped).count(), 1);
    control::overview::get(services).await.unwrap();
    world.end().await;
}
