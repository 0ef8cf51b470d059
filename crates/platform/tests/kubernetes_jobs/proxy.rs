//! A TCP proxy in front of the API server whose connections can be closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kube::Config;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A proxy. It ends with the test.
pub(crate) struct Proxy {
    cuts: watch::Sender<u64>,
    closed: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts a proxy, and changes `config` to use it.
    pub(crate) async fn start(config: &mut Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let (host, port) = (
            config.cluster_url.host().expect("the API server's host").to_owned(),
            config.cluster_url.port_u16().unwrap_or(443),
        );
        let own = listener.local_addr().expect("its address");
        config.cluster_url = format!("https://{own}").parse().expect("a URL");
        config.tls_server_name = Some(host.clone());
        let proxy = Self { cuts: watch::Sender::new(0), closed: Arc::default() };
        let (cuts, closed) = (proxy.cuts.clone(), Arc::clone(&proxy.closed));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if closed.load(Ordering::Relaxed) {
                    continue;
                }
                let (target, mut cut) = ((host.clone(), port), cuts.subscribe());
                tokio::spawn(async move {
                    tokio::select! {
                        () = pass(client, &target) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        proxy
    }

    /// Closes all connections.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Closes all connections, and refuses new ones while `closed`.
    pub(crate) fn close(&self, closed: bool) {
        self.closed.store(closed, Ordering::Relaxed);
        self.cut();
    }
}

async fn pass(mut client: TcpStream, target: &(String, u16)) {
    if let Ok(mut server) = TcpStream::connect(target).await {
        // An error closes both connections.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}
