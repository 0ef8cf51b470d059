//! One server: initialise, configure, start, observe and stop it.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use model::{Failure, FailureCode};
use tokio::process::Command;
use tokio::time::Instant;

use super::log_file;
use super::program::{run, run_with_input};
use crate::files::missing_is_fine;
use crate::local::account::Account;
use crate::local::confinement::Confinement;
use crate::local::process;
use crate::postgres_log::{error_lines, reports_port_in_use, reports_predecessor};
use crate::{Error, ExposeSecret, Result, Secret};

/// How long a server may take to start or to stop, in seconds.
const START_LIMIT: u64 = 60;
/// How long the processes of a killed server may prevent its successor from starting.
const PREDECESSOR_LIMIT: Duration = Duration::from_secs(15);
/// How many bytes at the end of the log are searched for errors.
const LOG_TAIL: u64 = 64 * 1024;

/// The state of a server's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// No process.
    Down,
    /// A process that does not accept clients: it is starting, recovering or stopping.
    Starting,
    /// A process that accepts clients.
    Up,
}

/// What came of starting a server.
pub(crate) enum Startup {
    /// It accepts clients.
    Up,
    /// Another program listens on its port; the log's errors.
    PortInUse(String),
}

/// A data directory and the programs of its version.
#[derive(Clone, Debug)]
pub struct PostgresServer {
    /// The directory of `initdb`, `postgres` and `pg_ctl`.
    pub bin_dir: PathBuf,
    /// The data directory.
    pub data_dir: PathBuf,
    /// The file of the server's output.
    pub log: PathBuf,
    /// The OS account that runs the server.
    pub account: Account,
    /// What the server reaches; everything that its account reaches if none.
    pub confinement: Option<Confinement>,
}

impl PostgresServer {
    /// Whether the data directory is initialised.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.account.open(&self.data_dir.join("PG_VERSION")).is_ok()
    }

    /// The major version of the data directory; none if it is not initialised.
    #[must_use]
    pub fn major(&self) -> Option<i32> {
        self.account.read_text(&self.data_dir.join("PG_VERSION"))?.trim().parse().ok()
    }

    /// Initialises the data directory. Every connection requires the password.
    ///
    /// The directory is created under another name and renamed when it is complete.
    ///
    /// # Errors
    /// [`FailureCode::ServerStartFailed`] with the output of initdb, or an error of the operating system.
    pub async fn init(&self, superuser: &str, password: &Secret) -> Result<()> {
        let staging = self.data_dir.with_extension("new");
        self.account.remove_dir(&staging)?;
        let mut initdb = self.program("initdb");
        initdb.args(["--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-instructions"]);
        initdb.arg(format!("--username={superuser}")).arg("-D").arg(&staging);
        let password_file = staging.with_extension("password");
        self.account.write(&password_file, password.expose_secret().as_bytes(), 0o600)?;
        initdb.arg("--auth=scram-sha-256").arg(format!("--pwfile={}", password_file.display()));
        let initialised = run(initdb, "initdb").await;
        // Before the result is checked: the password must not stay on disk.
        let remove = || std::fs::remove_file(&password_file).or_else(missing_is_fine);
        self.account.perform(remove).context("remove the password file")?;
        initialised.map_err(|error| self.start_failed(format!("{error:#}")))?;
        let rename = || std::fs::rename(&staging, &self.data_dir);
        self.account.perform(rename).context("rename the new data directory")?;
        Ok(())
    }

    /// The content of `pg_hba.conf`; none if it cannot be read.
    pub(super) fn hba(&self) -> Option<String> {
        self.account.read_text(&self.data_dir.join("pg_hba.conf"))
    }

    /// Writes `toygres.conf` and `pg_hba.conf`, and includes the former at the end of `postgresql.conf`.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn configure(&self, settings: &[(&str, String)], hba: &str) -> Result<()> {
        let mut text = String::from("# Written by Toygres at each start.\n");
        for (name, value) in settings {
            text.push_str(&format!("{name} = '{}'\n", value.replace('\\', "\\\\").replace('\'', "''")));
        }
        self.account.write(&self.data_dir.join("toygres.conf"), text.as_bytes(), 0o600)?;
        self.account.write(&self.data_dir.join("pg_hba.conf"), hba.as_bytes(), 0o600)?;
        let main = self.data_dir.join("postgresql.conf");
        let mut text = self.account.read_text(&main).unwrap_or_default();
        let include = "include 'toygres.conf'";
        if !text.lines().any(|line| line.trim() == include) {
            text.push_str(&format!("\n{include}\n"));
            self.account.write(&main, text.as_bytes(), 0o600)?;
        }
        Ok(())
    }

    /// Starts the server and waits until it accepts clients. A running server reloads its configuration.
    ///
    /// # Errors
    /// [`FailureCode::ServerStartFailed`] with the errors of the server's log.
    pub async fn start(&self) -> Result<()> {
        match self.try_start().await? {
            Startup::Up => Ok(()),
            Startup::PortInUse(errors) => Err(self.start_failed(errors)),
        }
    }

    /// Like [`Self::start`], but reports a port that another program uses as a result.
    pub(crate) async fn try_start(&self) -> Result<Startup> {
        if self.process_state() != ProcessState::Down {
            run(self.pg_ctl(["reload"]), "pg_ctl reload").await?;
            self.wait_until_up().await?;
            return Ok(Startup::Up);
        }
        let deadline = Instant::now() + PREDECESSOR_LIMIT;
        loop {
            let log_end = self.log_length();
            let started = run(self.start_command()?, "pg_ctl start").await;
            if started.is_ok() || self.process_state() == ProcessState::Up {
                return Ok(Startup::Up);
            }
            let log = self.log_since(log_end);
            if reports_port_in_use(&log) {
                return Ok(Startup::PortInUse(self.errors_of(&log)));
            }
            let retry = reports_predecessor(&log) && self.process_state() == ProcessState::Down;
            if !retry || Instant::now() >= deadline {
                return Err(self.start_failed(self.errors_of(&log)));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits for a server that another process started.
    async fn wait_until_up(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(START_LIMIT);
        while self.process_state() == ProcessState::Starting && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        match self.process_state() {
            ProcessState::Up => Ok(()),
            _ => Err(self.start_failed(self.last_errors())),
        }
    }

    /// Disconnects all clients and stops the server: a fast shutdown, and an immediate one if that takes too long.
    ///
    /// # Errors
    /// It does not stop.
    pub async fn stop(&self) -> Result<()> {
        if self.process_state() == ProcessState::Down {
            return Ok(());
        }
        let stop = |mode| self.pg_ctl(["stop", "-w", "-t", &START_LIMIT.to_string(), "-m", mode]);
        if run(stop("fast"), "pg_ctl stop").await.is_err() && self.process_state() != ProcessState::Down {
            run(stop("immediate"), "pg_ctl stop").await?;
        }
        Ok(())
    }

    /// The state of the server's process, by `postmaster.pid`.
    #[must_use]
    pub fn process_state(&self) -> ProcessState {
        let Some(text) = self.account.read_text(&self.data_dir.join("postmaster.pid")) else {
            return ProcessState::Down;
        };
        let mut lines = text.lines();
        let pid = lines.next().and_then(|line| line.trim().parse().ok());
        // After a reboot or a crash, another process may have the number.
        if !pid.is_some_and(|pid| process::serves(pid, &self.data_dir)) {
            return ProcessState::Down;
        }
        match lines.nth(6).map(str::trim) {
            Some("ready" | "standby") => ProcessState::Up,
            _ => ProcessState::Starting,
        }
    }

    /// Keeps the server's log below its limit of 16 MiB; the end of a log that was too large stays in `server.log.1`. To be called
    /// every few seconds while the server runs.
    pub(crate) fn limit_log(&self) {
        if let Err(error) = log_file::limit(&self.account, &self.log) {
            tracing::warn!(%error, log = %self.log.display(), "the log of a server cannot be limited");
        }
    }

    /// The last errors of the server's log, or a reference to the log if it has none.
    #[must_use]
    pub fn last_errors(&self) -> String {
        self.errors_of(&self.log_since(self.log_length().saturating_sub(LOG_TAIL)))
    }

    fn errors_of(&self, log: &str) -> String {
        error_lines(log).unwrap_or_else(|| format!("no error in {}", self.log.display()))
    }

    fn log_length(&self) -> u64 {
        self.account.open(&self.log).and_then(|log| log.metadata()).map_or(0, |log| log.len())
    }

    /// The log from this offset on; empty if it cannot be read.
    fn log_since(&self, offset: u64) -> String {
        let mut bytes = Vec::new();
        let _ = self.account.open(&self.log).and_then(|mut log| {
            log.seek(SeekFrom::Start(offset))?;
            log.take(LOG_TAIL).read_to_end(&mut bytes)
        });
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn start_failed(&self, errors: String) -> Error {
        let data_dir = self.data_dir.display().to_string();
        Failure::new(FailureCode::ServerStartFailed, errors).on(data_dir).into()
    }

    /// The program that starts the server, which inherits what it is restricted to.
    fn start_command(&self) -> Result<Command> {
        // What a restriction names must exist.
        self.account.append(&self.log)?;
        let program = self.bin_dir.join("pg_ctl");
        let mut start = match &self.confinement {
            Some(confinement) => {
                self.account.make_dir_below(&confinement.tmp)?;
                confinement.command(&self.account, &program)
            }
            None => self.account.command(&program),
        };
        start.arg("-s").arg("-D").arg(&self.data_dir).args(["start", "-w", "-t", &START_LIMIT.to_string()]);
        start.arg("-l").arg(&self.log);
        Ok(start)
    }

    /// Executes a statement while the server is stopped.
    ///
    /// # Errors
    /// [`FailureCode::ServerStartFailed`] with the output of PostgreSQL.
    pub(crate) async fn execute_stopped(&self, database: &str, statement: &str) -> Result<()> {
        let mut postgres = self.program("postgres");
        postgres.arg("--single").arg("-D").arg(&self.data_dir);
        // The output must not contain the statement, which can contain a password.
        for setting in
            ["exit_on_error=on", "log_min_error_statement=panic", "password_encryption=scram-sha-256"]
        {
            postgres.args(["-c", setting]);
        }
        postgres.arg(database);
        let executed = run_with_input(postgres, "postgres --single", &format!("{statement}\n")).await;
        executed.map_err(|error| self.start_failed(format!("{error:#}")))
    }

    fn pg_ctl<const N: usize>(&self, args: [&str; N]) -> Command {
        let mut pg_ctl = self.program("pg_ctl");
        pg_ctl.arg("-s").arg("-D").arg(&self.data_dir).args(args);
        pg_ctl
    }

    fn program(&self, name: &str) -> Command {
        self.account.command(&self.bin_dir.join(name))
    }
}
