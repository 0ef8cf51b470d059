//! The guarantees of the engine, against a real PostgreSQL.

mod commands;
mod execution;
mod failures;
mod fault_tests;
mod fixture;
mod network;
mod proxy;
mod rollback;
mod schema;
mod script;
mod workers;

type Test = anyhow::Result<()>;

/// The other tests fail in `sqlx::test` without this variable.
#[test]
fn database_url_is_set() {
    assert!(
        std::env::var_os("DATABASE_URL").is_some(),
        "set DATABASE_URL to a PostgreSQL server on which the user may create databases (see CONTRIBUTING.md)"
    );
}
