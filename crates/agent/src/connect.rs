//! Connections to servers, and what it means when there is none: in a sentence that names cause and fix. It asks a server
//! nothing.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::Result;
use model::{Connection, ExitClass, TlsMode};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use crate::failure::{class_of_sql, fail};
use crate::tls;

/// How long one address may take to answer.
const WITHIN: Duration = Duration::from_secs(30);
/// A dead peer is noticed after about two minutes.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Connects to a database of a server.
pub(crate) async fn connect(to: &Connection, password: Option<&str>, database: &str) -> Result<Client> {
    let mut config = Config::new();
    config
        .port(to.port)
        .user(&to.username)
        .dbname(database)
        .application_name("toygres")
        .connect_timeout(WITHIN)
        .tcp_user_timeout(KEEPALIVE)
        .keepalives_idle(KEEPALIVE);
    if let Some(password) = password {
        config.password(password);
    }
    let explained = |error: tokio_postgres::Error| explain(&error, to, database);
    if to.host.starts_with('/') {
        // A socket needs no TLS, and none is offered there.
        config.host_path(&to.host).ssl_mode(SslMode::Disable);
        let (client, connection) = config.connect(NoTls).await.map_err(explained)?;
        tokio::spawn(connection);
        return Ok(client);
    }
    config.host(&to.host).ssl_mode(match to.tls {
        TlsMode::Disable => SslMode::Disable,
        TlsMode::Prefer => SslMode::Prefer,
        TlsMode::Require | TlsMode::VerifyFull => SslMode::Require,
    });
    let (client, connection) = config.connect(tls::connector(to.tls)?).await.map_err(explained)?;
    tokio::spawn(connection);
    Ok(client)
}

/// Says what an error of connecting means.
fn explain(error: &tokio_postgres::Error, to: &Connection, database: &str) -> anyhow::Error {
    let place = place(to);
    if let Some(refusal) = error.as_db_error() {
        return refused(refusal, to, database, &place);
    }
    let words = words(error);
    if let Some(io) = io_cause(error) {
        return unreachable(io, &words, to, &place);
    }
    let lower = words.to_lowercase();
    let (class, fix) = if lower.contains("password missing") {
        (ExitClass::Authentication, "the server asks for a password and none was given: enter one")
    } else if lower.contains("does not support tls") {
        (ExitClass::Configuration, "switch TLS on at the server, or choose the TLS mode prefer or disable")
    } else if lower.contains("certificate") {
        (
            ExitClass::Configuration,
            "the certificate must be valid for this host name and signed by an authority that this system trusts; or choose the TLS mode require, which checks neither",
        )
    } else if lower.contains("timed out") || lower.contains("timeout") {
        (ExitClass::Unreachable, "is a firewall in between, or the address wrong?")
    } else {
        (ExitClass::Transient, "is it a PostgreSQL server?")
    };
    fail(class, format!("cannot connect to {place}: {words}; {fix}"))
}

fn refused(
    refusal: &tokio_postgres::error::DbError,
    to: &Connection,
    database: &str,
    place: &str,
) -> anyhow::Error {
    let (words, user) = (refusal.message(), &to.username);
    let (class, fix) = match refusal.code() {
        code if *code == SqlState::INVALID_PASSWORD => (
            ExitClass::Authentication,
            format!("the password of user {user:?} is wrong (or the user does not exist): correct it"),
        ),
        code if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => (
            ExitClass::Authentication,
            format!(
                "the server does not let user {user:?} in from here: look at its pg_hba.conf, the user and the TLS mode"
            ),
        ),
        code if *code == SqlState::INVALID_CATALOG_NAME => (
            ExitClass::Configuration,
            format!("database {database:?} does not exist there: name one that does"),
        ),
        code if *code == SqlState::CANNOT_CONNECT_NOW => (
            ExitClass::Unreachable,
            "it is starting, stopping or recovering: try again in a moment".to_owned(),
        ),
        code if *code == SqlState::TOO_MANY_CONNECTIONS => (
            ExitClass::Transient,
            "all its connections are taken: raise max_connections, or end some".to_owned(),
        ),
        code => (class_of_sql(code), "the server refused the connection".to_owned()),
    };
    fail(class, format!("cannot connect to {place}: {words}; {fix}"))
}

fn unreachable(error: &std::io::Error, words: &str, to: &Connection, place: &str) -> anyhow::Error {
    let fix = match error.kind() {
        ErrorKind::ConnectionRefused => "no server listens there: is it running, and is the port right?",
        ErrorKind::NotFound if to.host.starts_with('/') => {
            "there is no such socket: is the server running, and are directory and port right?"
        }
        ErrorKind::PermissionDenied => {
            let words =
                format!("cannot connect to {place}: {words}; this user may not open it: run as one who may");
            return fail(ExitClass::Configuration, words);
        }
        ErrorKind::TimedOut => "it does not answer: is a firewall in between, or the address wrong?",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "no way leads there from here: look at the network"
        }
        ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => {
            "it closed the connection: is it starting or stopping, or no PostgreSQL server?"
        }
        _ if words.contains("lookup address") => {
            "its name does not resolve: is it spelt right, and in the DNS already?"
        }
        _ => "it could not be reached",
    };
    fail(ExitClass::Unreachable, format!("cannot connect to {place}: {words}; {fix}"))
}

/// Where a server is, in words.
pub(crate) fn place(to: &Connection) -> String {
    if to.host.starts_with('/') {
        format!("{}/.s.PGSQL.{}", to.host, to.port)
    } else {
        format!("{}:{}", to.host, to.port)
    }
}

/// The innermost words: those around it say only that connecting failed.
fn words(error: &tokio_postgres::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn io_cause(error: &tokio_postgres::Error) -> Option<&std::io::Error> {
    let mut cause = std::error::Error::source(error);
    let mut found = None;
    while let Some(error) = cause {
        // TLS wraps its own errors in one of input and output: those are no news of the network.
        if error.is::<rustls::Error>() {
            return None;
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            if io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some() {
                return None;
            }
            found = Some(io);
        }
        cause = error.source();
    }
    found
}
