//! LISTEN for changed runs. Notifications only reduce latency: polling finds every due run.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The channel on which the database sends the id of each run whose row, or whose step's row, changed.
pub const CHANNEL: &str = "toygres_run";

/// Calls `changed` with the id of each changed run, and with `None` when notifications may have been missed. The
/// listener is replaced after any error, because sqlx does not detect every broken connection.
pub(crate) async fn listen(db: PgPool, stop: CancellationToken, changed: impl Fn(Option<Uuid>) + Send) {
    let work = async {
        loop {
            if let Ok(mut listener) = PgListener::connect_with(&db).await
                && listener.listen(CHANNEL).await.is_ok()
            {
                changed(None);
                while let Ok(Some(notification)) = listener.try_recv().await {
                    changed(notification.payload().parse().ok());
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}
