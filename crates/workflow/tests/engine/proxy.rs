//! A TCP proxy in front of the database that can stop forwarding without closing a connection, and lose one reply.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) struct Proxy {
    port: u16,
    blocked: watch::Sender<bool>,
    /// How many requests precede the one whose reply is lost; negative if none will be.
    requests: Arc<AtomicI64>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(db: &PgConnectOptions) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (blocked, receiver) = watch::channel(false);
        let server = (db.get_host().to_owned(), db.get_port());
        let requests = Arc::new(AtomicI64::new(-1));
        let counted = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(forward(client, server.clone(), receiver.clone(), Arc::clone(&counted)));
            }
        });
        Ok(Self { port, blocked, requests, task })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Loses the reply to the request after the next `number` ones: the database executes it, and the connection ends.
    pub(crate) fn lose_reply_after(&self, number: i64) {
        self.requests.store(number, Ordering::SeqCst);
    }

    /// Whether a reply was lost since the last call of [`Proxy::lose_reply_after`].
    pub(crate) fn has_lost_reply(&self) -> bool {
        self.requests.load(Ordering::SeqCst) < 0
    }

    /// Forwards nothing from now on, in neither direction.
    pub(crate) fn block(&self) {
        self.blocked.send_replace(true);
    }

    /// Forwards new connections again. Those that were open stay open and silent, as after a router lost its state.
    pub(crate) fn unblock(&self) {
        self.blocked.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(
    mut client: TcpStream,
    server: (String, u16),
    mut blocked: watch::Receiver<bool>,
    requests: Arc<AtomicI64>,
) {
    if blocked.wait_for(|blocked| !*blocked).await.is_err() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = exchange(&mut client, &mut server, &requests) => return,
        _ = blocked.wait_for(|blocked| *blocked) => {}
    }
    std::future::pending::<()>().await;
}

/// Forwards in both directions until a side closes its end or a reply is lost.
async fn exchange(
    client: &mut TcpStream,
    server: &mut TcpStream,
    requests: &AtomicI64,
) -> std::io::Result<()> {
    let (mut request, mut reply) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let read = read?;
                // A negative number stays negative.
                let loses = read > 0
                    && requests.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n >= 0).then(|| n - 1)) == Ok(0);
                server.write_all(&request[..read]).await?;
                if loses {
                    // The reply shows that the request was executed.
                    server.readable().await?;
                }
                if loses || read == 0 {
                    return Ok(());
                }
            }
            read = server.read(&mut reply) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                client.write_all(&reply[..read]).await?;
            }
        }
    }
}
