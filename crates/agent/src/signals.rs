//! The signals that stop a job.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::stderr::log_stderr;

/// A token that SIGTERM and SIGINT cancel.
pub(crate) fn cancelled_by_signals() -> CancellationToken {
    let token = CancellationToken::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        match signal(kind) {
            Ok(mut signals) => {
                let token = token.clone();
                tokio::spawn(async move {
                    if signals.recv().await.is_some() {
                        token.cancel();
                    }
                });
            }
            Err(error) => log_stderr(&format!("cannot register a signal handler: {error}")),
        }
    }
    token
}
