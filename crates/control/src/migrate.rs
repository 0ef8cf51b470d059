//! Schema migrations of the state database: applied at start, by one server at a time, forward only.

use sqlx::PgConnection;

/// Why the state database could not be migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A newer version of Toygres migrated the database.
    #[error(
        "The state database was migrated by a newer version of Toygres: migration {0} is unknown to this version. Start the newer version, or restore a backup of the state database."
    )]
    Newer(i64),
    /// A migration failed.
    #[error("cannot migrate the state database")]
    Failed(#[from] sqlx::migrate::MigrateError),
}

/// Applies the pending migrations. Servers that start at the same time take turns: sqlx holds an advisory lock.
///
/// # Errors
/// The schema is newer than this program, or a migration fails.
pub async fn migrate(db: &mut PgConnection) -> Result<(), MigrateError> {
    let mut migrator = sqlx::migrate!("../../migrations");
    // Qualified, because a role named toygres would find another table through its search_path once its schema exists.
    migrator.create_schema("toygres");
    migrator.dangerous_set_table_name("toygres._sqlx_migrations");
    match migrator.run_direct(None, db, false).await {
        Err(sqlx::migrate::MigrateError::VersionMissing(version)) => Err(MigrateError::Newer(version)),
        other => Ok(other?),
    }
}
