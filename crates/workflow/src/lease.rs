//! The lease of a run during a call of a step: renewal, loss and requests for cancellation.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Instant;

use sqlx::PgPool;
use tokio::sync::Notify;

use crate::claim::{self, ClaimedRun, WriteError};
use crate::timing::Timing;

/// Why a call of a step must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// Another worker holds the run, or may hold it.
    Lost,
    /// A cancellation of the run was requested.
    Cancelled,
}

/// Deadline until which the worker's lease is guaranteed, by this machine's monotonic clock.
pub(crate) struct LeaseDeadline(Mutex<Instant>);

impl LeaseDeadline {
    /// The deadline after a claim or renewal just now.
    pub(crate) fn new(timing: Timing) -> Self {
        Self(Mutex::new(Instant::now() + timing.abandon))
    }

    fn until(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn extend(&self, until: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Polls `work` only before the deadline. A process that was suspended can receive a response before its timers
    /// detect the delay; [`renew_until_interrupted`] then ends the call.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = T>) -> T {
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

/// Renews the lease until the call must end. `changed` triggers a renewal at once.
///
/// The new deadline counts from before each request, so that a slow response does not extend it.
pub(crate) async fn renew_until_interrupted(
    db: &PgPool,
    run: &ClaimedRun,
    timing: Timing,
    changed: &Notify,
    deadline: &LeaseDeadline,
) -> Interrupt {
    loop {
        let requested = Instant::now();
        if requested >= deadline.until() {
            return Interrupt::Lost;
        }
        match tokio::time::timeout(timing.renew, claim::renew(db, run, timing.lease)).await {
            Ok(Ok(true)) => return Interrupt::Cancelled,
            Ok(Ok(false)) => deadline.extend(requested + timing.abandon),
            Ok(Err(WriteError::Lost)) => return Interrupt::Lost,
            Ok(Err(WriteError::Database(error))) => {
                tracing::warn!(run.id = %run.id, %error, "lease could not be renewed; retrying");
                tokio::time::sleep(timing.renew / 10).await;
                continue;
            }
            Err(_) => continue,
        }
        tokio::select! {
            () = tokio::time::sleep(timing.renew) => {}
            () = changed.notified() => {}
        }
    }
}
