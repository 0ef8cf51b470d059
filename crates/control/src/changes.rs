//! Notifications of changed runs: received from the database and passed on to the listeners of this process.

use model::RunId;
use tokio_util::sync::CancellationToken;

use crate::services::Services;

/// Passes the notifications of the state database on to [`Services::changes`] until `stop` is cancelled. After a broken
/// connection it sends the nil id, which means that any run may have changed.
pub async fn listen(services: Services, stop: CancellationToken) {
    let changed = |run: Option<uuid::Uuid>| services.send_change(RunId(run.unwrap_or_default()));
    workflow::listen(services.db().clone(), stop, changed).await;
}
