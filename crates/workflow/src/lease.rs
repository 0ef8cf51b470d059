//! Holding a run while a step works: renewing the lease, noticing that it was lost or that somebody cancelled.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Instant;

use sqlx::PgPool;
use tokio::sync::Notify;

use crate::claim;
use crate::engine::Timing;
use crate::transitions::{ClaimedRun, WriteError};

/// Why a step's work is not to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// The run is another worker's, or may be by now.
    Lost,
    /// Somebody asked to cancel the run.
    Cancelled,
}

/// Until when a worker may be sure that it holds a run.
pub(crate) struct LeaseDeadline(Mutex<Instant>);

impl LeaseDeadline {
    /// From now, with a claim that is young.
    pub(crate) fn new(timing: Timing) -> Self {
        Self(Mutex::new(Instant::now() + timing.abandon))
    }

    fn until(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn extend(&self, until: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Works only while it is deadline: a process that was stopped for a while may find an answer in its socket before its
    /// timers notice how late it is. [`hold`] ends the work then.
    pub(crate) async fn work<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if Instant::now() >= self.until() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            work.as_mut().poll(cx)
        })
        .await
    }
}

/// Renews the lease until there is a reason to stop. `look` makes it ask at once.
///
/// Time is measured from before each question, so that an answer that took long does not count as young.
pub(crate) async fn hold(db: &PgPool, held: &ClaimedRun, timing: Timing, look: &Notify, deadline: &LeaseDeadline) -> Interrupt {
    loop {
        let asked = Instant::now();
        if asked >= deadline.until() {
            return Interrupt::Lost;
        }
        match tokio::time::timeout(timing.renew, claim::renew(db, held, timing.lease)).await {
            Ok(Ok(true)) => return Interrupt::Cancelled,
            Ok(Ok(false)) => deadline.extend(asked + timing.abandon),
            Ok(Err(WriteError::Lost)) => return Interrupt::Lost,
            Ok(Err(WriteError::Database(error))) => {
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
