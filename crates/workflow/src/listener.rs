//! LISTEN: a hint that some run changed, so that workers are quick. Polling makes them right.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The channel on which the database tells the id of each run whose row, or whose step's row, changed.
pub const CHANNEL: &str = "toygres_run";

/// Calls `changed` with the id of each run that changes, and with none when some may have been missed. A listener that
/// met any error is dropped and made anew: sqlx does not take every broken connection for one.
pub(crate) async fn listen(db: PgPool, stop: CancellationToken, changed: impl Fn(Option<Uuid>) + Send) {
    let work = async {
        loop {
            if let Ok(mut listener) = PgListener::connect_with(&db).await
                && listener.listen(CHANNEL).await.is_ok()
            {
                changed(None);
                while let Ok(Some(notice)) = listener.try_recv().await {
                    changed(notice.payload().parse().ok());
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
