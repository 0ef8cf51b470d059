//! Who is told that a run changed.

use std::time::Duration;

use model::RunId;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::broadcast;

use crate::services::Services;

/// Runs that changed. A hint: whoever is told fetches again, and does so too when told that some were missed.
#[must_use]
pub fn changes(services: &Services) -> broadcast::Receiver<RunId> {
    services.changes()
}

/// Passes on what the database tells, until nobody could ever listen again. After a broken connection everybody is told
/// to look: the nil id.
pub(crate) async fn listen(db: PgPool, changes: broadcast::Sender<RunId>) {
    loop {
        if db.is_closed() {
            return;
        }
        if let Ok(mut listener) = PgListener::connect_with(&db).await
            && listener.listen(workflow::CHANNEL).await.is_ok()
        {
            // Nobody listening is fine.
            let _ = changes.send(RunId(uuid::Uuid::nil()));
            while let Ok(Some(notice)) = listener.try_recv().await {
                if let Ok(run) = notice.payload().parse() {
                    let _ = changes.send(run);
                }
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
