//! LISTEN for changed runs. Notifications only reduce latency: polling finds every due run.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::connection::{PING_LIMIT, limited, pool_options, timed_out};

/// The channel on which the database sends the id of each run whose row, or whose step's row, changed.
const CHANNEL: &str = "toygres_run";
/// Pause before the connection is opened again.
const RECONNECT: Duration = Duration::from_secs(1);
/// How long a silent connection is trusted before it is tested.
const SILENCE: Duration = Duration::from_secs(20);

/// Calls `changed` with the id of each changed run, and with `None` when notifications may have been missed, until `stop` is
/// cancelled. A connection that breaks or does not respond is replaced.
pub async fn listen(db: PgPool, stop: CancellationToken, changed: impl Fn(Option<Uuid>) + Send) {
    let listening = async {
        loop {
            // The error is not logged: every query of this process reports the same outage.
            let _ = receive(&db, &changed).await;
            tokio::time::sleep(RECONNECT).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = listening => {}
    }
}

/// Passes notifications on until the connection breaks or does not respond. The connection is not one of the shared pool,
/// which would wait for its return.
async fn receive(db: &PgPool, changed: &(impl Fn(Option<Uuid>) + Send)) -> sqlx::Result<()> {
    let own = pool_options().max_connections(1).connect_lazy_with((*db.connect_options()).clone());
    let mut listener = limited(PgListener::connect_with(&own)).await?;
    limited(listener.listen(CHANNEL)).await?;
    changed(None);
    loop {
        match tokio::time::timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => changed(notification.payload().parse().ok()),
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let ping = tokio::time::timeout(PING_LIMIT, sqlx::query("select 1").execute(&mut listener));
                ping.await.unwrap_or_else(|_| Err(timed_out()))?;
            }
        }
    }
}
