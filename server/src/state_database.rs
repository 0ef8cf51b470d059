//! The state database: the one of DATABASE_URL, or an embedded PostgreSQL server in the data directory.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use platform::ExposeSecret;
use platform::local::account::Account;
use platform::postgres_server::{EMBEDDED_PORT, EMBEDDED_USER, EmbeddedServer};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::task::JoinHandle;

use crate::config::StateOptions;

/// Limits every statement, and ends the session of a client that disappeared, which releases its locks.
const OPTIONS: [(&str, &str); 9] = [
    ("TimeZone", "UTC"),
    ("statement_timeout", "30s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "60s"),
    // The client's process ended during a statement.
    ("client_connection_check_interval", "1s"),
    // The client's machine is unreachable.
    ("tcp_keepalives_idle", "30s"),
    ("tcp_keepalives_interval", "10s"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "60s"),
];
/// The directory of the embedded server, named as by earlier versions.
const DIRECTORY: &str = "cms";
/// The most connections for requests.
const MAX_CONNECTIONS: u32 = 16;
/// The most connections for the worker: runs, leases, the log collector and the health checks.
const MAX_WORKER_CONNECTIONS: u32 = 12;
/// How long to wait for a connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// The state database, connected and migrated.
pub(crate) struct StateDatabase {
    /// The connections for requests and commands.
    pub(crate) db: PgPool,
    /// The connections of the worker, which requests cannot use up.
    pub(crate) worker_db: PgPool,
    embedded: Option<Embedded>,
}

/// The embedded server and the task that restarts it after a crash.
struct Embedded {
    server: EmbeddedServer,
    keeper: JoinHandle<()>,
}

impl StateDatabase {
    /// Whether the data directory has the data of an embedded server.
    pub(crate) fn exists(data_dir: &Path) -> bool {
        data_dir.join(DIRECTORY).is_dir()
    }

    /// Host and port; none if the database has a Unix socket only, as the embedded one.
    ///
    /// # Errors
    /// DATABASE_URL is invalid.
    pub(crate) fn address(state: &StateOptions) -> anyhow::Result<Option<(String, u16)>> {
        let Some(url) = &state.database_url else { return Ok(None) };
        let options = url.parse::<PgConnectOptions>().map_err(|_| invalid_url())?;
        let has_socket = options.get_socket().is_some() || options.get_host().starts_with('/');
        Ok((!has_socket).then(|| (options.get_host().to_owned(), options.get_port())))
    }

    /// Starts the embedded server if DATABASE_URL is not set, connects and migrates.
    ///
    /// # Errors
    /// The server cannot be started, the connection fails, or the schema is newer than this program.
    pub(crate) async fn open(state: &StateOptions) -> anyhow::Result<Self> {
        let (options, server) = match &state.database_url {
            Some(url) => (url.parse::<PgConnectOptions>().map_err(|_| invalid_url())?, None),
            None => {
                let server = start_embedded(state).await?;
                let options = PgConnectOptions::new_without_pgpass()
                    .socket(server.socket_dir())
                    .port(EMBEDDED_PORT)
                    .username(EMBEDDED_USER)
                    .password(server.password().expose_secret())
                    .database("postgres");
                (options, Some(server))
            }
        };
        let options = options.options(OPTIONS).application_name("toygres-server");
        let pool = control::pool_options().max_connections(MAX_CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
        let db = match pool.connect_with(options.clone()).await {
            // The pool retried until its timeout and does not report why; one attempt does.
            Err(sqlx::Error::PoolTimedOut) => return Err(connection_error(cause_of_timeout(&options).await)),
            connected => connected.map_err(connection_error)?,
        };
        migrate(&options).await?;
        let embedded = server.map(|server| {
            let kept = server.clone();
            Embedded { server, keeper: tokio::spawn(async move { kept.keep_up().await }) }
        });
        let worker_pool =
            control::pool_options().max_connections(MAX_WORKER_CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
        Ok(Self { db, worker_db: worker_pool.connect_lazy_with(options), embedded })
    }

    /// Closes the connections and stops the embedded server.
    pub(crate) async fn close(self) {
        self.worker_db.close().await;
        self.db.close().await;
        let Some(Embedded { server, keeper }) = self.embedded else { return };
        keeper.abort();
        if let Err(error) = server.stop().await {
            tracing::warn!(%error, "the embedded PostgreSQL server did not stop; the next start adopts it");
        }
    }
}

/// Migrates over a connection of its own, without the limits for statements and locks: a migration may take longer, and a
/// second server waits for the first.
async fn migrate(options: &PgConnectOptions) -> anyhow::Result<()> {
    let options = options.clone().options([("statement_timeout", "0"), ("lock_timeout", "0")]);
    let mut connection = PgConnection::connect_with(&options).await.map_err(connection_error)?;
    control::migrate(&mut connection).await?;
    Ok(connection.close().await?)
}

async fn start_embedded(state: &StateOptions) -> anyhow::Result<EmbeddedServer> {
    let data_dir = state.data_dir()?;
    let account = Account::of_state_database(state.run_as.as_deref())?;
    std::fs::create_dir_all(&data_dir)
        .with_context(|| format!("create the data directory {}", data_dir.display()))?;
    platform::local::require_own(&data_dir)?;
    let installed = platform::local::find_installations(&state.postgres_bin).await?;
    account.may_enter(&data_dir).await?;
    let dir = data_dir.join(DIRECTORY);
    let socket_dir = platform::local::socket_dir(&data_dir).join(DIRECTORY);
    if let Some(parent) = socket_dir.parent() {
        account.make_parent_dir(parent)?;
    }
    Ok(EmbeddedServer::ensure(&installed, &dir, &socket_dir, account).await?)
}

/// The URL is not repeated, because it can contain a password.
fn invalid_url() -> anyhow::Error {
    anyhow::anyhow!("DATABASE_URL is invalid. Use postgres://user:password@host:port/database")
}

/// The error of one connection attempt, or a timeout if it does not end either.
async fn cause_of_timeout(options: &PgConnectOptions) -> sqlx::Error {
    match tokio::time::timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(options)).await {
        Ok(Err(error)) => error,
        Ok(Ok(_)) | Err(_) => sqlx::Error::PoolTimedOut,
    }
}

/// A connection error with what to do; never with the URL, which can contain a password.
fn connection_error(error: sqlx::Error) -> anyhow::Error {
    let cause = match &error {
        sqlx::Error::Io(error) => {
            format!("{error}. Check that the PostgreSQL server of DATABASE_URL is running")
        }
        sqlx::Error::PoolTimedOut => format!(
            "no connection within {} s. Check that the PostgreSQL server of DATABASE_URL is running",
            ACQUIRE_TIMEOUT.as_secs()
        ),
        sqlx::Error::Database(error) => {
            format!("{}. Check the user, password and database of DATABASE_URL", error.message())
        }
        other => other.to_string(),
    };
    anyhow::anyhow!("cannot connect to the state database: {cause}")
}
