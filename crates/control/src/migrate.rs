//! Migrations: at start, one server at a time, never backwards.

use sqlx::PgPool;

/// Why the CMS could not be brought to this program's schema.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A newer program was here.
    #[error(
        "The CMS was migrated by a newer Toygres (migration {0} is unknown to this one). Start that version, or restore the CMS from before."
    )]
    Newer(i64),
    /// The database did not take a migration.
    #[error("migrate the CMS")]
    Failed(#[from] sqlx::migrate::MigrateError),
    /// The database did not answer.
    #[error("connect to the CMS")]
    Database(#[from] sqlx::Error),
}

/// Applies what is missing. Two servers that start at once take turns: sqlx holds an advisory lock.
///
/// # Errors
/// The schema is newer than this program, or the database refuses.
pub async fn migrate(db: &PgPool) -> Result<(), MigrateError> {
    let mut migrator = sqlx::migrate!("../../migrations");
    // Named with its schema: a role called toygres would look for it in its own schema once that is there.
    migrator.create_schema("toygres");
    migrator.dangerous_set_table_name("toygres._sqlx_migrations");
    match migrator.run(db).await {
        Err(sqlx::migrate::MigrateError::VersionMissing(version)) => Err(MigrateError::Newer(version)),
        other => Ok(other?),
    }
}
