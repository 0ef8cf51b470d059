//! Holding a run while a step works: renewing the lease, noticing that it was lost or that somebody cancelled.

use std::time::Instant;

use sqlx::PgPool;
use tokio::sync::Notify;

use crate::engine::Timing;
use crate::record::{self, Held, NotRecorded};

/// Why a step's work is not to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The run is another worker's, or may be by now.
    Lost,
    /// Somebody asked to cancel the run.
    Cancelled,
}

/// Renews the lease until there is a reason to stop. `look` makes it ask at once.
///
/// Time is measured from before each question, so that an answer that took long does not count as young.
pub(crate) async fn hold(db: &PgPool, held: &Held, timing: Timing, look: &Notify) -> Interrupt {
    let mut sure_until = Instant::now() + timing.abandon;
    loop {
        let asked = Instant::now();
        if asked >= sure_until {
            return Interrupt::Lost;
        }
        match tokio::time::timeout(timing.renew, record::renew(db, held, timing.lease)).await {
            Ok(Ok(true)) => return Interrupt::Cancelled,
            Ok(Ok(false)) => sure_until = asked + timing.abandon,
            Ok(Err(NotRecorded::Lost)) => return Interrupt::Lost,
            Ok(Err(NotRecorded::Database(error))) => {
                tracing::warn!(run.id = %held.id, %error, "a lease could not be renewed; trying again");
                tokio::time::sleep(timing.renew / 10).await;
                continue;
            }
            Err(_) => continue,
        }
        tokio::select! {
            () = tokio::time::sleep(timing.renew) => {}
            () = look.notified() => {}
        }
    }
}
