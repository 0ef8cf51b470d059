//! A TCP proxy in front of the database that can stop forwarding without closing a connection.

use sqlx::postgres::PgConnectOptions;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) struct Proxy {
    port: u16,
    blocked: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(db: &PgConnectOptions) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (blocked, receiver) = watch::channel(false);
        let server = (db.get_host().to_owned(), db.get_port());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(forward(client, server.clone(), receiver.clone()));
            }
        });
        Ok(Self { port, blocked, task })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
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

async fn forward(mut client: TcpStream, server: (String, u16), mut blocked: watch::Receiver<bool>) {
    if blocked.wait_for(|blocked| !*blocked).await.is_err() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
        _ = blocked.wait_for(|blocked| *blocked) => {}
    }
    std::future::pending::<()>().await;
}
