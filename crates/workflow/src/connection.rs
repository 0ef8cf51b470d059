//! Limits for a database that does not respond. A network that drops packets reports no error: without a limit, a query
//! waits until TCP gives up, which takes about 15 minutes.

use std::io;
use std::time::Duration;

use futures::FutureExt;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection};

/// How long a query may take, with waiting for a connection and for locks.
const QUERY_LIMIT: Duration = Duration::from_secs(20);
/// How long a connection may take to respond before it is replaced.
pub(crate) const PING_LIMIT: Duration = Duration::from_secs(3);

/// Options of a pool that replaces connections which do not respond, and that returns none inside of a transaction. Every
/// pool of the state database uses them: a claim in a transaction that is never committed would not be exclusive.
#[must_use]
pub fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new()
        // Instead of sqlx's own test, which has no time limit.
        .test_before_acquire(false)
        .before_acquire(|connection, _| in_time(connection.ping()).boxed())
        .after_release(|connection, _| in_time(end_transaction(connection)).boxed())
}

/// Ends a transaction that sqlx does not know of: a call of `begin` that is cancelled between the request and its response
/// leaves one, until sqlx is newer than 0.9.0 (<https://github.com/transact-rs/sqlx/issues/4385>). Outside of a transaction
/// the two statements do nothing and, unlike `rollback` alone, warn of nothing.
async fn end_transaction(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql("begin; rollback").execute(connection).await.map(drop)
}

/// Whether the connection responds.
///
/// # Errors
/// It is broken, or it did not respond in time; the pool then closes it.
async fn in_time(request: impl Future<Output = sqlx::Result<()>>) -> sqlx::Result<bool> {
    let response = tokio::time::timeout(PING_LIMIT, request).await;
    response.unwrap_or_else(|_| Err(timed_out())).map(|()| true)
}

/// Executes a query or a short transaction within a time limit.
///
/// # Errors
/// Those of the query, or an I/O error of kind `TimedOut`. A write that timed out may have taken effect.
pub async fn limited<T, E: From<sqlx::Error>>(query: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    tokio::time::timeout(QUERY_LIMIT, query).await.unwrap_or_else(|_| Err(timed_out().into()))
}

/// The error of a database that does not respond.
pub(crate) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database did not respond in time"))
}
