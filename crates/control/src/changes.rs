//! Notifications of changed runs: received from the database and passed on to the listeners of this process.

use std::time::Duration;

use model::RunId;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::services::Services;

/// Pause before the connection for notifications is opened again.
const RECONNECT: Duration = Duration::from_secs(1);

/// Passes the notifications of the state database on to [`Services::changes`] until `stop` is cancelled. After a broken
/// connection it sends the nil id, which means that any run may have changed.
pub async fn listen(services: Services, stop: CancellationToken) {
    let listening = async {
        loop {
            // The error is not logged: every query of this process reports the same outage.
            let _ = receive(services.db(), services.change_sender()).await;
            tokio::time::sleep(RECONNECT).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = listening => {}
    }
}

/// Passes notifications on until the connection breaks. Sending fails only if there is no listener, which is no error.
async fn receive(db: &PgPool, changes: &broadcast::Sender<RunId>) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(db).await?;
    listener.listen(workflow::CHANNEL).await?;
    let _ = changes.send(RunId(Uuid::nil()));
    while let Some(notification) = listener.try_recv().await? {
        if let Ok(run) = notification.payload().parse() {
            let _ = changes.send(run);
        }
    }
    Ok(())
}
