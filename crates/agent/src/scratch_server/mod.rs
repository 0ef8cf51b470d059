//! A temporary PostgreSQL server for a restore: with a data directory and a socket of its own, without TCP. It knows nothing of
//! images.

mod config;
mod orphan;
mod scram_only;

use std::ffi::OsString;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use model::{Database, Failure, FailureCode};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

pub(crate) use config::{Purpose, ScratchConfig};
pub(crate) use orphan::end_orphan;
use scram_only::ScramOnly;

use crate::run_as::RunAs;
use crate::tool_errors;
use crate::tools::{Confinement, Tool};

/// How long a server may take to accept connections.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a server may take to stop immediately.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval at which a starting server is checked.
const INTERVAL: Duration = Duration::from_millis(50);
/// The name of the socket.
const SOCKET: &str = ".s.PGSQL.5432";
/// The number of errors of its log that a failure shows.
const SHOWN_ERRORS: usize = 3;

/// The server. It is stopped immediately when dropped.
pub(crate) struct ScratchServer {
    config: ScratchConfig,
    child: Option<Child>,
}

impl ScratchServer {
    /// A server that is not initialized yet.
    pub(crate) fn new(config: ScratchConfig) -> Self {
        Self { config, child: None }
    }

    /// Creates the data directory with the encoding and the locale of `like`.
    pub(crate) async fn init(&mut self, like: &Database) -> Result<()> {
        let config = &self.config;
        let mut args: Vec<String> = vec![
            format!("--username={}", config.bootstrap),
            format!("--encoding={}", like.encoding),
            format!("--lc-collate={}", like.collate),
            format!("--lc-ctype={}", like.ctype),
        ];
        args.extend(
            ["--lc-messages=C", "--lc-monetary=C", "--lc-numeric=C", "--lc-time=C", "--auth=trust"]
                .map(str::to_owned),
        );
        args.extend(["--data-checksums", "--no-sync", "--no-instructions"].map(str::to_owned));
        if like.locale_provider != "libc" {
            args.push(format!("--locale-provider={}", like.locale_provider));
            if let Some(locale) = &like.locale {
                args.push(format!("--{}-locale={locale}", like.locale_provider));
            }
            if let Some(rules) = &like.icu_rules {
                args.push(format!("--icu-rules={rules}"));
            }
        }
        self.initdb(&args).await
    }

    /// Starts it and waits until it accepts connections.
    pub(crate) async fn start(&mut self, purpose: Purpose) -> Result<()> {
        let hba = self.config.data_dir.join("pg_hba.conf");
        RunAs::replace(self.config.run_as, &hba, self.config.hba(purpose).as_bytes())
            .with_context(|| format!("cannot write {}", hba.display()))?;
        let mut args: Vec<String> = Vec::new();
        for (name, value) in self.config.server_settings(purpose) {
            args.extend(["-c".to_owned(), format!("{name}={value}")]);
        }
        let postgres =
            self.program("postgres", &[]).args(["-D".as_ref(), self.config.data_dir.as_os_str()]).args(&args);
        self.child = Some(postgres.daemon(self.open_log()?)?);
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.config.socket_dir.join(SOCKET).exists() || !self.answers().await {
            self.check_running()?;
            if Instant::now() > deadline {
                return Err(self.failure("the server did not accept connections in time").into());
            }
            tokio::time::sleep(INTERVAL).await;
        }
        Ok(())
    }

    /// Connects as the role that initdb created.
    pub(crate) async fn connect(&self, database: &str) -> Result<Client> {
        let connected = self.connect_as_bootstrap(database).await;
        connected
            .with_context(|| format!("cannot connect to the scratch server; its log: {}", self.last_errors()))
    }

    async fn connect_as_bootstrap(&self, database: &str) -> Result<Client, tokio_postgres::Error> {
        let config = self.client_config(&self.config.bootstrap, database);
        let (client, connection) = config.connect(NoTls).await?;
        // The client reports errors of the connection.
        tokio::spawn(connection);
        Ok(client)
    }

    /// Connects as a role with a password, which is not sent to the server.
    pub(crate) async fn log_in(&self, user: &str, password: &str, database: &str) -> Result<Client> {
        let mut config = self.client_config(user, database);
        config.password(password);
        let stream = UnixStream::connect(self.config.socket_dir.join(SOCKET)).await?;
        let (client, connection) = config.connect_raw(ScramOnly::new(stream), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    fn client_config(&self, user: &str, database: &str) -> Config {
        let mut config = Config::new();
        config
            .host_path(&self.config.socket_dir)
            .port(5432)
            .user(user)
            .dbname(database)
            .application_name("toygres")
            .options(self.config.client_options());
        config
    }

    /// The environment in which programs that use libpq connect as the role that initdb created.
    pub(crate) fn libpq_env(&self) -> Vec<(&'static str, OsString)> {
        self.config.libpq_env()
    }

    /// Stops it in the mode fast: its files contain all data then.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.signal(Signal::INT);
        if let Some(mut child) = self.child.take() {
            let status = child.wait().await.context("cannot wait for the scratch server")?;
            if !status.success() {
                return Err(self.failure(&format!("the server stopped with {status}")).into());
            }
        }
        Ok(())
    }

    /// Stops it in the mode immediate and waits for its end.
    pub(crate) async fn stop_now(&mut self) {
        self.signal(Signal::QUIT);
        if let Some(mut child) = self.child.take()
            && tokio::time::timeout(STOP_TIMEOUT, child.wait()).await.is_err()
        {
            // The server hangs in a system call. Its data is not used.
            let _ = child.kill().await;
        }
    }

    /// Flushes all files of the stopped server to disk.
    pub(crate) async fn sync(&self) -> Result<()> {
        self.initdb(&["--sync-only".to_owned()]).await
    }

    async fn initdb(&self, args: &[String]) -> Result<()> {
        // It chooses the kind of shared memory by trying it out. No content of an image is there yet.
        let initdb = self.program("initdb", &["/dev/shm"]).args(args);
        let initdb = initdb.envs([("PGDATA", self.config.data_dir.clone())]);
        initdb.silent()?.finish(&self.config.redactor).await?;
        Ok(())
    }

    /// A confined program that may also write `more`.
    fn program(&self, name: &str, more: &[&str]) -> Tool {
        let mut within = self.config.confinement();
        within.write.extend(more.iter().map(PathBuf::from));
        let config = &self.config;
        config
            .host
            .program(&config.programs, name, FailureCode::ServerStartFailed, &within)
            .envs([("TMPDIR", config.socket_dir.clone())])
    }

    /// The files that a client's program reaches.
    pub(crate) fn confinement_of_clients(&self) -> Confinement {
        Confinement {
            read: self.config.programs.dirs(),
            // A connection to a socket counts as writing it.
            write: vec![self.config.socket_dir.clone()],
        }
    }

    fn open_log(&self) -> Result<std::fs::File> {
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.config.log)
            .context("cannot open the scratch server's log")
    }

    async fn answers(&self) -> bool {
        match self.connect_as_bootstrap("template1").await {
            Ok(_) => true,
            // A request for a password is an answer too.
            Err(error) => error.code() != Some(&SqlState::CANNOT_CONNECT_NOW) && !is_io(&error),
        }
    }

    fn check_running(&mut self) -> Result<()> {
        let has_ended = match &mut self.child {
            Some(child) => {
                child.try_wait().context("cannot read the status of the scratch server")?.is_some()
            }
            None => true,
        };
        if !has_ended {
            return Ok(());
        }
        self.child = None;
        Err(self.failure("the server did not start").into())
    }

    /// A failure of the server with the last errors of its log, and their code.
    fn failure(&self, what: &str) -> Failure {
        let log = self.log();
        let reported = tool_errors::read(&tool_errors::last_errors(&log, SHOWN_ERRORS));
        let code = reported.code.unwrap_or(FailureCode::ServerStartFailed);
        Failure::new(code, format!("{what}; its log: {}", self.last_errors()))
    }

    fn log(&self) -> String {
        let bytes = std::fs::read(&self.config.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last errors of its log, redacted.
    fn last_errors(&self) -> String {
        self.config.redactor.clean(&tool_errors::last_errors(&self.log(), SHOWN_ERRORS).join("; "))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) =
            self.child.as_ref().and_then(Child::id).and_then(|id| Pid::from_raw(id.cast_signed()))
        {
            // It fails if the server has ended already.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for ScratchServer {
    fn drop(&mut self) {
        self.signal(Signal::QUIT);
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    error.is_closed()
        || std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}
