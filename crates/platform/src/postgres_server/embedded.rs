//! The embedded server: the state database of a Toygres that runs on one machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Failure, FailureCode};

use super::password;
use super::server::{PostgresServer, ProcessState};
use crate::files::remove_dir;
use crate::local::account::Account;
use crate::{ExposeSecret, Installation, Result, Secret};

/// The port in the name of the embedded server's socket. The server does not listen on TCP.
pub const EMBEDDED_PORT: u16 = 5432;
/// The superuser of the embedded server.
pub const EMBEDDED_USER: &str = "toygres";
/// How often [`EmbeddedServer::keep_up`] checks the server.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The content of `pg_hba.conf`. The directory of the socket is not enough: instances and jobs may run as the same account.
const HBA: &str = "# Written by Toygres at each start.\nlocal all all scram-sha-256\n";

/// A server that accepts connections over a socket only, in a directory that only its account can enter, with a password.
#[derive(Clone, Debug)]
pub struct EmbeddedServer {
    server: PostgresServer,
    socket_dir: PathBuf,
    password: Secret,
}

impl EmbeddedServer {
    /// Initialises the data directory below `dir` at the first call, and starts the server unless it runs. The password is in a
    /// file beside `dir`, which only the account of this process can read. A server of an earlier version, which required no
    /// password, is stopped and secured; one that another account ran is stopped, and its directory gets the new owner.
    ///
    /// # Errors
    /// [`FailureCode::ProgramsMissing`] if no installation has the major version of the data directory, otherwise as
    /// [`PostgresServer::init`] and [`PostgresServer::start`].
    pub async fn ensure(
        installations: &[Installation],
        dir: &Path,
        socket_dir: &Path,
        account: Account,
    ) -> Result<Self> {
        let mut server = PostgresServer {
            bin_dir: PathBuf::new(),
            data_dir: dir.join("data"),
            log: dir.join("server.log"),
            account: account.earlier_owner(dir).unwrap_or_else(|| account.clone()),
            // Only Toygres can execute statements on it.
            confinement: None,
        };
        server.bin_dir = bin_dir(installations, server.major())?;
        if server.account != account {
            server.stop().await?;
            account.take_over(dir)?;
            // The new account cannot replace the socket that a killed server left.
            remove_dir(socket_dir).await?;
            server.account = account.clone();
        }
        account.make_dir(dir, 0o700)?;
        account.make_dir(socket_dir, 0o700)?;
        let (password, is_new) = password::ensure(&dir.with_extension("password"))?;
        if !server.exists() {
            server.init(EMBEDDED_USER, &password).await?;
        } else if is_new || server.hba().as_deref() != Some(HBA) {
            set_password(&server, &password).await?;
        }
        let settings = [
            ("listen_addresses", String::new()),
            ("port", EMBEDDED_PORT.to_string()),
            ("unix_socket_directories", socket_dir.display().to_string()),
            ("unix_socket_permissions", "0700".to_owned()),
            ("max_connections", "100".to_owned()),
            ("logging_collector", "off".to_owned()),
            ("password_encryption", "scram-sha-256".to_owned()),
        ];
        server.configure(&settings, HBA)?;
        server.start().await?;
        Ok(Self { server, socket_dir: socket_dir.to_owned(), password })
    }

    /// The directory of the server's socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The password of [`EMBEDDED_USER`].
    #[must_use]
    pub fn password(&self) -> &Secret {
        &self.password
    }

    /// Restarts the server whenever it is down, for example after the system ran out of memory, and limits its log. Never returns.
    pub async fn keep_up(&self) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            self.server.limit_log();
            if self.server.process_state() != ProcessState::Down {
                continue;
            }
            tracing::warn!("the PostgreSQL server of the state database is down; restarting it");
            if let Err(error) = self.server.start().await {
                tracing::error!(%error, "the PostgreSQL server of the state database does not start; retrying");
            }
        }
    }

    /// Disconnects all clients and stops the server.
    ///
    /// # Errors
    /// It does not stop.
    pub async fn stop(&self) -> Result<()> {
        self.server.stop().await
    }
}

/// Sets the password of the superuser, without a connection: none is possible if the password is unknown.
async fn set_password(server: &PostgresServer, password: &Secret) -> Result<()> {
    server.stop().await?;
    let statement = format!("alter role {EMBEDDED_USER} password '{}'", password.expose_secret());
    server.execute_stopped("postgres", &statement).await
}

/// The programs for a data directory of this major version; the first installation's for a new one.
fn bin_dir(installations: &[Installation], major: Option<i32>) -> Result<PathBuf> {
    let mut suitable =
        installations.iter().filter(|installed| major.is_none_or(|major| installed.major == major));
    let bin_dir = suitable.find_map(|installed| installed.bin_dir.as_ref());
    Ok(bin_dir.map(PathBuf::from).ok_or_else(|| {
        let (subject, detail) = match major {
            Some(major) => (
                format!("PostgreSQL {major}"),
                "the state database was created by this version, which is not installed on this machine",
            ),
            None => ("PostgreSQL".to_owned(), "no version is installed on this machine"),
        };
        Failure::new(FailureCode::ProgramsMissing, detail).on(subject)
    })?)
}
