//! Connections to PostgreSQL servers.

use std::net::IpAddr;
use std::time::Duration;

use model::{Connection, ExitClass, Failure, FailureCode, Level, TlsMode};
use tokio::time::Instant;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};

use crate::connect_error;
use crate::job::Job;
use crate::session::{self, Access};
use crate::tls;

/// The time limit for one address.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The pause between attempts to reach a server.
const INTERVAL: Duration = Duration::from_secs(2);
/// The interval of keepalives; a peer that stopped responding is noticed after about two minutes.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Connects to a database of a server with the job's password, to read. No setting of the database or of the role applies to the
/// session.
///
/// # Errors
/// A failure on the server's address, with the code of the cause.
pub(crate) async fn connect(job: &Job, to: &Connection, database: &str) -> Result<Client, Failure> {
    let mut config = Config::new();
    config
        .port(to.port)
        .user(&to.username)
        .dbname(database)
        .application_name("toygres")
        .options(session::options(Access::Read))
        .connect_timeout(TIMEOUT)
        .tcp_user_timeout(KEEPALIVE)
        .keepalives_idle(KEEPALIVE);
    if let Some(password) = job.password() {
        config.password(password);
    }
    let failure = |error: tokio_postgres::Error| {
        let failure = connect_error::failure(&error, is_socket(to));
        Failure { detail: job.redactor().clean(&failure.detail), ..failure }.on(address(to))
    };
    let addresses = addresses(job, to).await?;
    if is_socket(to) {
        // PostgreSQL does not use TLS on sockets.
        config.host_path(&to.host).ssl_mode(SslMode::Disable);
        let (client, connection) = config.connect(NoTls).await.map_err(failure)?;
        tokio::spawn(connection);
        session::secure(&client, Access::Read).await.map_err(failure)?;
        return Ok(client);
    }
    for ip in addresses {
        config.host(&to.host).hostaddr(ip);
    }
    config.ssl_mode(match to.tls {
        TlsMode::Disable => SslMode::Disable,
        TlsMode::Prefer => SslMode::Prefer,
        TlsMode::Require | TlsMode::VerifyFull => SslMode::Require,
    });
    let (client, connection) = config.connect(tls::connector(to.tls)?).await.map_err(failure)?;
    tokio::spawn(connection);
    session::secure(&client, Access::Read).await.map_err(failure)?;
    Ok(client)
}

/// Connects as [`connect`] does. While the server is not reachable or not ready, and `may_appear` agrees, it retries for `patience`;
/// any other failure, such as a wrong password, ends it at once.
///
/// # Errors
/// The last failure.
pub(crate) async fn connect_within(
    job: &Job,
    to: &Connection,
    database: &str,
    patience: Duration,
    may_appear: bool,
) -> Result<Client, Failure> {
    let deadline = Instant::now() + patience;
    let mut logged = None;
    loop {
        let failure = match connect(job, to, database).await {
            Ok(client) => return Ok(client),
            Err(failure) => failure,
        };
        let passes = may_appear && ExitClass::from(failure.code) == ExitClass::Unreachable;
        if !passes || Instant::now() + INTERVAL > deadline {
            return Err(failure);
        }
        if logged.as_ref() != Some(&failure) {
            job.log(Level::Info, format!("not reachable, retrying: {failure}"));
            logged = Some(failure);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// The addresses of the host that the job may connect to; none for a socket. Connections are made to these addresses, so that
/// another answer of DNS cannot lead elsewhere.
///
/// # Errors
/// The name does not resolve, or the task allows none of its addresses.
pub(crate) async fn addresses(job: &Job, to: &Connection) -> Result<Vec<IpAddr>, Failure> {
    match job.network() {
        None if is_socket(to) => Ok(Vec::new()),
        None => resolve(to).await,
        Some(_) if is_socket(to) => {
            Err(Failure::new(FailureCode::AddressNotAllowed, "the host is a Unix socket").on(address(to)))
        }
        Some(policy) => policy.select(&to.host, Some(to.port), resolve(to).await?),
    }
}

/// The addresses of the host.
async fn resolve(to: &Connection) -> Result<Vec<IpAddr>, Failure> {
    if let Ok(ip) = to.host.parse() {
        return Ok(vec![ip]);
    }
    let unresolved = |reason: String| Failure::new(FailureCode::HostNotResolved, reason).on(to.host.clone());
    let found = tokio::net::lookup_host((to.host.as_str(), to.port)).await;
    let found = found.map_err(|error| unresolved(format!("the host name does not resolve: {error}")))?;
    let addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    if addresses.is_empty() {
        return Err(unresolved("the host name does not resolve: it has no address".to_owned()));
    }
    Ok(addresses)
}

fn is_socket(to: &Connection) -> bool {
    to.host.starts_with('/')
}

/// Whether DNS resolves the host; addresses and sockets need no DNS.
pub(crate) fn has_host_name(to: &Connection) -> bool {
    !is_socket(to) && to.host.parse::<IpAddr>().is_err()
}

/// The address of a server: host and port, or the path of its socket.
pub(crate) fn address(to: &Connection) -> String {
    if is_socket(to) {
        format!("{}/.s.PGSQL.{}", to.host, to.port)
    } else {
        format!("{}:{}", to.host, to.port)
    }
}

#[cfg(test)]
mod tests {
    use model::NetworkPolicy;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    use super::*;
    use crate::events::{Events, OutputMode};
    use crate::secret::Secrets;
    use crate::segments::Segments;

    fn target(host: &str, port: u16, tls: TlsMode) -> Connection {
        Connection { host: host.into(), port, username: "u".into(), database: "d".into(), tls }
    }

    fn job(password: Option<&str>, network: Option<NetworkPolicy>) -> Job {
        let events = Events::new(OutputMode::Text, Segments::none());
        let secrets = Secrets { password: password.map(Into::into), ..Secrets::default() };
        Job::new(events, Uuid::nil(), secrets, network, None, CancellationToken::new())
    }

    /// The failure to connect, without a password unless given.
    async fn failure(to: Connection, password: Option<&str>) -> Failure {
        connect(&job(password, None), &to, "d").await.map(drop).expect_err("no connection")
    }

    /// A server that answers the first message of each connection and closes it.
    async fn server(answer: &'static [u8]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut buffer = [0; 4096];
                let _ = socket.read(&mut buffer).await;
                let _ = socket.write_all(answer).await;
            }
        });
        port
    }

    /// An ErrorResponse with these fields.
    fn error_response(fields: &[(char, &str)]) -> &'static [u8] {
        let mut body = String::new();
        for (name, value) in [&[('S', "FATAL")], fields].concat() {
            body += &format!("{name}{value}\0");
        }
        body.push('\0');
        let length = u32::try_from(body.len() + 4).expect("short");
        [b"E", &length.to_be_bytes()[..], body.as_bytes()].concat().leak()
    }

    #[tokio::test]
    async fn refusals_of_the_server_have_the_code_of_their_sqlstate() {
        for (state, routine, code) in [
            ("28P01", "auth_failed", FailureCode::PasswordRejected),
            ("28000", "ClientAuthentication", FailureCode::ConnectionNotAdmitted),
            ("28000", "InitializeSessionUserId", FailureCode::LoginDenied),
            ("3D000", "InitPostgres", FailureCode::DatabaseMissing),
            ("53300", "InitProcess", FailureCode::TooManyConnections),
            ("57P03", "ProcessStartupPacket", FailureCode::ServerNotReady),
            ("57P01", "ProcessInterrupts", FailureCode::ConnectionLost),
            ("XX000", "x", FailureCode::Other),
        ] {
            let port =
                server(error_response(&[('C', state), ('M', "refused: s3cret-pw"), ('R', routine)])).await;
            let failure = failure(target("127.0.0.1", port, TlsMode::Disable), Some("s3cret-pw")).await;
            assert_eq!(failure.code, code, "{state}");
            assert_eq!(failure.subject, Some(format!("127.0.0.1:{port}")));
            assert_eq!(failure.detail, "refused: [secret]");
        }
    }

    #[tokio::test]
    async fn denied_addresses_are_not_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let job = job(None, Some(NetworkPolicy::default()));
        for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "::ffff:127.0.0.1", "0.0.0.0", "/tmp"]
        {
            let to = target(host, port, TlsMode::Disable);
            let failure = connect(&job, &to, "d").await.map(drop).expect_err(host);
            assert_eq!(failure.code, FailureCode::AddressNotAllowed, "{failure:?}");
        }
        // The first connection is this one.
        let own = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        let (_, first) = listener.accept().await.expect("accepted");
        assert_eq!(first, own.local_addr().expect("an address"), "a denied address was connected to");
    }

    #[tokio::test]
    async fn allowed_network_is_connected_to() {
        let port = server(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let allowed = vec!["127.0.0.0/8".parse().expect("a network")];
        let job = job(None, Some(NetworkPolicy { allowed, own: Vec::new() }));
        for host in ["127.0.0.1", "localhost", "::ffff:127.0.0.1"] {
            let to = target(host, port, TlsMode::Disable);
            let failure = connect(&job, &to, "d").await.map(drop).expect_err(host);
            assert_eq!(failure.code, FailureCode::NotPostgres, "{failure:?}");
        }
    }

    #[tokio::test]
    async fn failures_without_an_answer_of_postgresql_have_codes() {
        let http = server(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let closes = server(b"").await;
        let without_tls = server(b"N").await;
        let asks_for_password = server(b"R\0\0\0\x08\0\0\0\x03").await;
        let asks_for_kerberos = server(b"R\0\0\0\x08\0\0\0\x07").await;
        let is_closed =
            TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("a port").port();
        for (host, port, tls, code) in [
            ("127.0.0.1", http, TlsMode::Disable, FailureCode::NotPostgres),
            ("127.0.0.1", closes, TlsMode::Disable, FailureCode::ConnectionLost),
            ("127.0.0.1", without_tls, TlsMode::Require, FailureCode::TlsUnsupported),
            ("localhost", asks_for_password, TlsMode::Disable, FailureCode::PasswordMissing),
            ("127.0.0.1", asks_for_kerberos, TlsMode::Disable, FailureCode::ConnectionNotAdmitted),
            ("127.0.0.1", is_closed, TlsMode::Prefer, FailureCode::ConnectionRefused),
            ("/nonexistent", 5432, TlsMode::Prefer, FailureCode::ConnectionRefused),
            ("nowhere.invalid", 5432, TlsMode::Prefer, FailureCode::HostNotResolved),
        ] {
            let failure = failure(target(host, port, tls), None).await;
            assert_eq!(failure.code, code, "{failure:?}");
        }
    }
}
