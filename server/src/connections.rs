//! Accepts connections and serves them, with a limit of their number and of the time that a request head may take. The
//! limits of `axum::serve` cannot be set.

use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use control::users::network;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;
use tower::Layer;

use crate::shares::{Share, Shares};

/// The most connections of clients, if the process may open four times as many files.
const MAX_CONNECTIONS: usize = 2048;
/// The most connections of proxies, if the process may open four times as many files.
const MAX_PROXIED: usize = 8192;
/// How long a request head may take, and how long a connection may be idle between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// The pause after a connection could not be accepted, for example because too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How many connections wait in the kernel to be accepted. Linux reduces it to `net.core.somaxconn`.
const BACKLOG: u32 = 65_535;
/// The answer to a connection that is beyond the limit.
const REFUSAL: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
/// How many connections wait for their refusal.
const MAX_REFUSED: usize = 1024;
/// How many connections are accepted between two looks at the stop.
const BATCH: usize = 256;
/// How long it takes at most until the stop is seen, in nanoseconds.
const STOP_INTERVAL: i64 = 200_000_000;
/// The bytes that a connection buffers at most.
const BUFFER: usize = 64 * 1024;

/// Listens on an address, with the longest queue of connections that the system allows.
///
/// # Errors
/// The address is in use, or does not belong to this machine.
pub(crate) fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As `TcpListener::bind` does: a server can be started again at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop` is cancelled and the requests in progress have ended. Connections beyond the share of their network are
/// refused; those of `proxies` are limited together only.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    proxies: Arc<Vec<IpNet>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut accepted = accept_all(listener, proxies, stop.clone())?;
    let connections = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(BUFFER);
    loop {
        let Accepted { stream, peer, share } = tokio::select! {
            () = stop.cancelled() => break,
            next = accepted.recv() => match next {
                Some(next) => next,
                None => break,
            },
        };
        // Responses are small; without it they wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        let Ok(stream) = stream else { continue };
        let service = Extension(ConnectInfo(peer)).layer(router.clone());
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let connection = connections.watch(connection);
        tokio::spawn(hold(share, async {
            // A client that disconnects or sends no HTTP is no defect.
            let _ = connection.await;
        }));
    }
    drop(accepted);
    connections.shutdown().await;
    Ok(())
}

/// A connection with its place among all connections.
struct Accepted {
    stream: StdStream,
    peer: SocketAddr,
    share: Share,
}

/// Accepts connections in a thread of its own, until `stop` is cancelled: they must not wait for the requests that are being
/// processed. The kernel drops connections that its queue does not hold, from whichever network they come, and clients try again
/// only after seconds.
fn accept_all(
    listener: TcpListener,
    proxies: Arc<Vec<IpNet>>,
    stop: CancellationToken,
) -> anyhow::Result<UnboundedReceiver<Accepted>> {
    let listener = listener.into_std().context("prepare the listener")?;
    let places = Places::new(proxies)?;
    // Its length is limited by the places.
    let (sender, accepted) = mpsc::unbounded_channel();
    let accept = move || {
        while !stop.is_cancelled() {
            let mut ready = [PollFd::new(&listener, PollFlags::IN)];
            let wait = Timespec { tv_sec: 0, tv_nsec: STOP_INTERVAL };
            if poll(&mut ready, Some(&wait)).is_ok_and(|ready| ready > 0) {
                accept_waiting(&listener, &places, &sender);
            }
        }
    };
    std::thread::Builder::new().name("accept".to_owned()).spawn(accept)?;
    Ok(accepted)
}

/// Accepts the connections that wait.
fn accept_waiting(listener: &StdListener, places: &Places, accepted: &UnboundedSender<Accepted>) {
    for _ in 0..BATCH {
        match listener.accept() {
            Ok((stream, peer)) => places.admit(stream, peer, accepted),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; retrying");
                std::thread::sleep(ACCEPT_PAUSE);
                return;
            }
        }
    }
}

/// The places for connections: those of clients, which networks share, and those of proxies, which limit their clients
/// themselves.
struct Places {
    direct: Shares,
    proxied: Shares,
    proxies: Arc<Vec<IpNet>>,
    refused: SyncSender<StdStream>,
}

impl Places {
    fn new(proxies: Arc<Vec<IpNet>>) -> std::io::Result<Self> {
        // Half of the files are left to jobs, the state database and files.
        let places = max_files() / 2;
        let (direct, proxied) = if proxies.is_empty() { (places, 0) } else { (places / 2, places / 2) };
        let shares = |places: usize, most: usize| Shares::new(places.min(most));
        let (direct, proxied) = (shares(direct, MAX_CONNECTIONS), shares(proxied, MAX_PROXIED));
        Ok(Self { direct, proxied, proxies, refused: refuse_all()? })
    }

    /// Passes a connection on, or refuses it if there is no place for it.
    fn admit(&self, stream: StdStream, peer: SocketAddr, accepted: &UnboundedSender<Accepted>) {
        let address = peer.ip().to_canonical();
        let is_proxy = self.proxies.iter().any(|proxies| proxies.contains(&address));
        let share = match is_proxy {
            true => self.proxied.take(None),
            false => self.direct.take(Some(network(address))),
        };
        match share {
            // The receiver is closed when the server stops.
            Some(share) => drop(accepted.send(Accepted { stream, peer, share })),
            // If too many are being refused, the connection ends without an answer.
            None => drop(self.refused.try_send(stream)),
        }
    }
}

/// Refuses connections in a thread of its own, because an answer takes longer than accepting the next connection.
fn refuse_all() -> std::io::Result<SyncSender<StdStream>> {
    let (sender, refused) = sync_channel::<StdStream>(MAX_REFUSED);
    let refuse = move || {
        for mut stream in refused {
            // Best effort: a client that has not sent its request yet may only see the end of the connection.
            let _ = stream.set_nonblocking(true).and_then(|()| stream.write(REFUSAL));
        }
    };
    std::thread::Builder::new().name("refuse".to_owned()).spawn(refuse)?;
    Ok(sender)
}

/// Keeps the share until the connection has ended.
async fn hold(share: Share, connection: impl Future<Output = ()>) {
    connection.await;
    drop(share);
}

/// Raises the limit of open files as far as allowed, and returns it.
fn max_files() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files).unwrap_or(usize::MAX)
}
