//! The embedded server: the state database of a Toygres that runs on one machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Failure, FailureCode};

use super::server::{PostgresServer, ProcessState};
use crate::local::account::Account;
use crate::{Installation, Result};

/// The port in the name of the embedded server's socket. The server does not listen on TCP.
pub const EMBEDDED_PORT: u16 = 5432;
/// The superuser of the embedded server.
pub const EMBEDDED_USER: &str = "toygres";
/// How often [`EmbeddedServer::keep_up`] checks the server.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A server that accepts connections over a socket only, in a directory that only its account can enter.
#[derive(Clone, Debug)]
pub struct EmbeddedServer {
    server: PostgresServer,
    socket_dir: PathBuf,
}

impl EmbeddedServer {
    /// Initialises the data directory below `dir` at the first call, and starts the server unless it runs.
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
        account.make_dir(dir, 0o700)?;
        account.make_dir(socket_dir, 0o700)?;
        let mut server = PostgresServer {
            bin_dir: PathBuf::new(),
            data_dir: dir.join("data"),
            log: dir.join("server.log"),
            account,
        };
        server.bin_dir = bin_dir(installations, server.major())?;
        if !server.exists() {
            server.init(EMBEDDED_USER, None).await?;
        }
        let settings = [
            ("listen_addresses", String::new()),
            ("port", EMBEDDED_PORT.to_string()),
            ("unix_socket_directories", socket_dir.display().to_string()),
            ("unix_socket_permissions", "0700".to_owned()),
            ("max_connections", "100".to_owned()),
            ("logging_collector", "off".to_owned()),
        ];
        server.configure(&settings, "local all all trust\n")?;
        server.start().await?;
        Ok(Self { server, socket_dir: socket_dir.to_owned() })
    }

    /// The directory of the server's socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Restarts the server whenever it is down, for example after the system ran out of memory. Never returns.
    pub async fn keep_up(&self) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
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
