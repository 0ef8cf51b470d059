//! The measurement of logins during a flood of wrong ones: what a login from another network takes, and how much memory the
//! server uses. It prints figures and asserts no time.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use toygres::{NAME, PASSWORD, Toygres};

/// The clients of the flood. Each sends one login after the other.
const CLIENTS: usize = 10_000;
/// The logins of each client.
const ROUNDS: usize = 5;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a login comes from.
#[derive(Clone, Copy)]
struct Source {
    /// The address of the connection.
    address: Ipv4Addr,
    /// The client that a proxy names, if the connection is a proxy's.
    forwarded: Option<Ipv4Addr>,
}

/// Sends a login over a connection of its own and returns the status, or `None` if the server closes the connection.
async fn log_in(port: u16, from: Source, name: &str, password: &str) -> Option<u16> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind(SocketAddr::from((from.address, 0))).ok()?;
    let mut stream = socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.ok()?;
    let body = format!("username={name}&password={password}");
    let forwarded =
        from.forwarded.map(|address| format!("x-forwarded-for: {address}\r\n")).unwrap_or_default();
    let head = format!(
        "POST /login HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{forwarded}content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    // A server that refuses the connection may close it before it was read.
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    String::from_utf8_lossy(&response).split(' ').nth(1)?.parse().ok()
}

/// How many logins had each status.
type Statuses = BTreeMap<Option<u16>, usize>;

/// All clients at the same time; `source` is the source of each one.
async fn flood(port: u16, source: fn(usize) -> Source) -> Statuses {
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS {
        clients.spawn(async move {
            let mut statuses = Vec::new();
            for round in 0..ROUNDS {
                let name = if n % 2 == 0 { NAME.to_owned() } else { format!("user{n}") };
                let password = format!("wrong{round}");
                let login = log_in(port, source(n), &name, &password);
                statuses.push(tokio::time::timeout(PATIENCE, login).await.ok().flatten());
            }
            statuses
        });
    }
    let mut counts = Statuses::new();
    while let Some(statuses) = clients.join_next().await {
        statuses.unwrap().into_iter().for_each(|status| *counts.entry(status).or_default() += 1);
    }
    counts
}

/// Logs in, again and again, until the flood has ended. Returns how long each login took.
fn measure_logins(port: u16, owner: Source, ended: &AtomicBool) -> (Vec<Duration>, Statuses) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut times, mut statuses) = (Vec::new(), Statuses::new());
    while times.is_empty() || !ended.load(Ordering::Relaxed) {
        let start = Instant::now();
        let status = runtime.block_on(log_in(port, owner, NAME, PASSWORD));
        times.push(start.elapsed());
        *statuses.entry(status).or_default() += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    (times, statuses)
}

/// Floods a server, and logs in from another network for as long as the flood lasts.
async fn measure(title: &str, source: fn(usize) -> Source, owner: Source) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let toygres = Toygres::start_with(|server| {
        server.env("TOYGRES_PROXIES", "127.0.0.9").env("RUST_LOG", "warn");
    });
    let (port, idle) = (toygres.port, toygres.peak_memory() >> 20);
    let quiet = Instant::now();
    assert_eq!(log_in(port, owner, NAME, PASSWORD).await, Some(200));
    let quiet = quiet.elapsed();
    let began = Instant::now();
    // In a thread and a runtime of its own: the clients of the flood must not delay the one that is measured.
    let ended = Arc::new(AtomicBool::new(false));
    let measured = std::thread::spawn({
        let ended = Arc::clone(&ended);
        move || measure_logins(port, owner, &ended)
    });
    let counts = flood(port, source).await;
    let took = began.elapsed();
    ended.store(true, Ordering::Relaxed);
    let (mut times, statuses) = measured.join().unwrap();
    times.sort_unstable();
    println!("{title}: {} logins in {took:.1?}; by status {counts:?}", CLIENTS * ROUNDS);
    println!(
        "  from another network: {} logins by status {statuses:?}; median {:.1?}, longest {:.1?}; without the flood {quiet:.1?}",
        times.len(),
        times[times.len() / 2],
        times[times.len() - 1],
    );
    println!("  peak memory: {} MiB, {idle} MiB before", toygres.peak_memory() >> 20);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures: run it alone, with --nocapture"]
async fn one_network() {
    let attacker = |_| Source { address: Ipv4Addr::new(127, 0, 0, 2), forwarded: None };
    let owner = Source { address: Ipv4Addr::new(127, 0, 0, 3), forwarded: None };
    measure("10,000 clients of one network", attacker, owner).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures: run it alone, with --nocapture"]
async fn many_networks_behind_a_proxy() {
    let proxy = Ipv4Addr::new(127, 0, 0, 9);
    let attackers = |n: usize| {
        let [.., high, low] = (n % 40).to_be_bytes();
        Source { address: Ipv4Addr::new(127, 0, 0, 9), forwarded: Some(Ipv4Addr::new(10, 1, high, low)) }
    };
    let owner = Source { address: proxy, forwarded: Some(Ipv4Addr::new(192, 0, 2, 1)) };
    measure("10,000 clients of 40 networks behind a proxy", attackers, owner).await;
}
