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

/// Options of a pool that replaces connections which do not respond, both before and after their use.
#[must_use]
pub fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new()
        // Instead of sqlx's own test, which has no time limit.
        .test_before_acquire(false)
        .before_acquire(|connection, _| responds(connection).boxed())
        .after_release(|connection, _| responds(connection).boxed())
}

/// Whether the connection responds.
///
/// # Errors
/// It is broken, or it did not respond in time; the pool then closes it.
async fn responds(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let ping = tokio::time::timeout(PING_LIMIT, connection.ping()).await;
    ping.unwrap_or_else(|_| Err(timed_out())).map(|()| true)
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
