//! Deletes the rows of requests that are no longer needed: expired sessions, and answers that are older than a day.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::{idempotency, session};

/// The interval.
const SWEEP: Duration = Duration::from_secs(300);

/// Works until `stop` is cancelled. A failure does not keep the other rows from being deleted.
pub(crate) async fn run(db: PgPool, stop: CancellationToken) {
    loop {
        let swept = [session::delete_expired(&db).await, idempotency::delete_old(&db).await];
        for error in swept.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "cannot delete expired rows; retrying later");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
    }
}
