//! The CMS: the one that DATABASE_URL names, or a private PostgreSQL in the data directory.

use std::time::Duration;

use anyhow::Context;
use platform::cluster::{PRIVATE_PORT, PRIVATE_USER, PrivateCluster};
use platform::local::account::Account;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::task::JoinHandle;

use crate::config::State;

/// How to end a session whose client is gone, so that its locks go with it, and no statement may last for ever.
const OPTIONS: [(&str, &str); 9] = [
    ("TimeZone", "UTC"),
    ("statement_timeout", "30s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "60s"),
    // A client whose process is gone, while a statement is at work.
    ("client_connection_check_interval", "1s"),
    // A client whose machine is gone, at any time.
    ("tcp_keepalives_idle", "30s"),
    ("tcp_keepalives_interval", "10s"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "60s"),
];

/// A connected, migrated CMS.
pub(crate) struct Cms {
    pub(crate) db: PgPool,
    private: Option<(PrivateCluster, JoinHandle<()>)>,
}

impl Cms {
    /// Connects, after starting what is to be started, and migrates.
    pub(crate) async fn open(state: &State) -> anyhow::Result<Self> {
        let (options, private) = match &state.database_url {
            Some(url) => (url.parse::<PgConnectOptions>().map_err(|_| unreadable())?, None),
            None => {
                let private = start(state).await?;
                let options = PgConnectOptions::new_without_pgpass()
                    .socket(private.socket_dir())
                    .port(PRIVATE_PORT)
                    .username(PRIVATE_USER)
                    .database("postgres");
                (options, Some(private))
            }
        };
        let options = options.options(OPTIONS).application_name("toygres-server");
        let pool = PgPoolOptions::new().max_connections(24).acquire_timeout(Duration::from_secs(10));
        let db = pool.connect_with(options).await.map_err(explain)?;
        control::migrate(&db).await.map_err(|error| match error {
            control::MigrateError::Newer(_) => anyhow::anyhow!("{error}"),
            other => other.into(),
        })?;
        let kept = |private: PrivateCluster| {
            let kept = private.clone();
            (private, tokio::spawn(async move { kept.keep_up().await }))
        };
        Ok(Self { db, private: private.map(kept) })
    }

    /// Closes the connections and stops what was started.
    pub(crate) async fn close(self) {
        self.db.close().await;
        let Some((private, keeper)) = self.private else { return };
        keeper.abort();
        if let Err(error) = private.stop().await {
            tracing::warn!(%error, "the private PostgreSQL did not stop; the next start adopts it");
        }
    }
}

async fn start(state: &State) -> anyhow::Result<PrivateCluster> {
    let data_dir = state.data_dir()?;
    let account = Account::find(state.run_as.as_deref())?;
    std::fs::create_dir_all(&data_dir)
        .with_context(|| format!("make the data directory {}", data_dir.display()))?;
    let installed = platform::local::find_installations(&state.postgres_bin).await?;
    account.may_enter(&data_dir).await?;
    let dir = data_dir.join("cms");
    let socket_dir = platform::local::socket_dir(&data_dir).join("cms");
    if let Some(parent) = socket_dir.parent() {
        account.make_dir(parent, 0o700)?;
    }
    Ok(PrivateCluster::ensure(&installed, &dir, &socket_dir, account).await?)
}

fn unreadable() -> anyhow::Error {
    // The address may hold a password: it is not repeated.
    anyhow::anyhow!("DATABASE_URL cannot be read. It is postgres://user:password@host:port/database")
}

/// A connection's failure with what to do; never the address, which may hold a password.
fn explain(error: sqlx::Error) -> anyhow::Error {
    let words = match &error {
        sqlx::Error::Io(error) => {
            format!("nothing answers at the address in DATABASE_URL ({error}). Is that PostgreSQL running?")
        }
        sqlx::Error::PoolTimedOut => {
            "the database in DATABASE_URL did not answer within 10 s. Is that PostgreSQL running?".to_owned()
        }
        sqlx::Error::Database(error) => format!("the database in DATABASE_URL refuses: {}", error.message()),
        other => other.to_string(),
    };
    anyhow::anyhow!("connect to the CMS: {words}")
}
