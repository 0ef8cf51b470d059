//! A private PostgreSQL server for a restore: own data directory, a unix socket in a directory of its own, no TCP. It
//! knows nothing of images.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use model::{Database, ExitClass};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use crate::failure::fail;
use crate::programs::Programs;
use crate::run_as::RunAs;
use crate::tools::{Tool, classify};

/// Settings of the client that outrank those of roles and databases, which the restore is not to be bent by.
const OPTIONS: &str = "-c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed -c statement_timeout=0 \
     -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c role=none -c client_min_messages=warning \
     -c datestyle=ISO -c intervalstyle=postgres -c lc_monetary=C";
/// How long a server may take to answer.
const START_WITHIN: Duration = Duration::from_secs(120);
/// How often a starting or stopping server is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a private server is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be filled quickly: nothing is safe until it is stopped and synced. Whoever can open the socket is let in.
    Load,
    /// To show that clients will get in with their passwords.
    Prove,
}

/// How to make and run one.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) programs: Programs,
    pub(crate) data_dir: PathBuf,
    /// A short, private directory: the socket and the server's log are put there.
    pub(crate) work_dir: PathBuf,
    pub(crate) run_as: Option<RunAs>,
    /// The role that initdb makes.
    pub(crate) bootstrap: String,
    pub(crate) preload: Vec<String>,
    /// Further settings, such as those that an extension needs to be made.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) connections: usize,
}

/// The server; stopped at once when dropped.
pub(crate) struct PrivateServer {
    plan: Plan,
    child: Option<Child>,
}

impl PrivateServer {
    /// One that is still to be made.
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, child: None }
    }

    /// Makes the data directory, with the encoding and locale of `like`.
    pub(crate) async fn init(&mut self, like: &Database) -> Result<()> {
        let plan = &self.plan;
        let mut args: Vec<String> = vec![
            format!("--username={}", plan.bootstrap),
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
        let initdb = Tool::new(&plan.programs.path("initdb"), plan.run_as)
            .args(&args)
            .envs([("PGDATA", plan.data_dir.clone().into())]);
        initdb.silent()?.finish().await?;
        Ok(())
    }

    /// Starts it and waits until it answers.
    pub(crate) async fn start(&mut self, purpose: Purpose) -> Result<()> {
        self.write_hba(purpose)?;
        let log = self.open_log()?;
        let mut args: Vec<String> = Vec::new();
        for (name, value) in self.settings(purpose) {
            args.extend(["-c".to_owned(), format!("{name}={value}")]);
        }
        let postgres = Tool::new(&self.plan.programs.path("postgres"), self.plan.run_as)
            .args(["-D".as_ref(), self.plan.data_dir.as_os_str()])
            .args(&args);
        self.child = Some(postgres.daemon(log)?);
        let deadline = Instant::now() + START_WITHIN;
        while !self.plan.work_dir.join(".s.PGSQL.5432").exists() || !self.answers().await {
            self.still_runs()?;
            if Instant::now() > deadline {
                return Err(fail(
                    ExitClass::Transient,
                    format!("the private server did not start: {}", self.last_words()),
                ));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Connects as the role that initdb made.
    pub(crate) async fn connect(&self, database: &str) -> Result<Client> {
        self.connect_as(&self.plan.bootstrap, None, database).await.map_err(|error| self.explain(error))
    }

    /// Connects as anybody.
    pub(crate) async fn connect_as(
        &self,
        user: &str,
        password: Option<&str>,
        database: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config
            .host_path(&self.plan.work_dir)
            .port(5432)
            .user(user)
            .dbname(database)
            .application_name("toygres")
            .options(self.options());
        if let Some(password) = password {
            config.password(password);
        }
        let (client, connection) = config.connect(NoTls).await?;
        // Whoever uses the client hears of the connection's end.
        tokio::spawn(connection);
        Ok(client)
    }

    /// What libpq's programs need to connect as the role that initdb made.
    pub(crate) fn libpq_env(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("PGHOST", self.plan.work_dir.clone().into()),
            ("PGPORT", "5432".into()),
            ("PGUSER", self.plan.bootstrap.clone().into()),
            ("PGPASSFILE", self.plan.work_dir.join("none").into()),
            ("PGAPPNAME", "toygres".into()),
            ("PGOPTIONS", self.options().into()),
        ]
    }

    /// Stops it in good order: all that it holds is in its files then.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.signal(Signal::INT);
        if let Some(mut child) = self.child.take() {
            let status = child.wait().await.context("cannot wait for the private server")?;
            if !status.success() {
                return Err(fail(
                    ExitClass::Transient,
                    format!("the private server stopped with {status}: {}", self.last_words()),
                ));
            }
        }
        Ok(())
    }

    /// Stops it at once, whatever it is doing, and waits until it is gone.
    pub(crate) async fn stop_now(&mut self) {
        self.signal(Signal::QUIT);
        if let Some(mut child) = self.child.take()
            && tokio::time::timeout(Duration::from_secs(10), child.wait()).await.is_err()
        {
            // A server that hangs in a system call: nothing of it will be used.
            let _ = child.kill().await;
        }
    }

    /// Brings every file of the stopped server to the disk.
    pub(crate) async fn sync(&self) -> Result<()> {
        let initdb = Tool::new(&self.plan.programs.path("initdb"), self.plan.run_as);
        initdb
            .args(["--sync-only"])
            .envs([("PGDATA", self.plan.data_dir.clone().into())])
            .silent()?
            .finish()
            .await?;
        Ok(())
    }

    fn settings(&self, purpose: Purpose) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = [
            ("listen_addresses", ""),
            ("port", "5432"),
            ("unix_socket_permissions", "0700"),
            ("logging_collector", "off"),
            ("log_destination", "stderr"),
            ("lc_messages", "C"),
            // A statement that fails may hold a verifier.
            ("log_min_error_statement", "panic"),
            ("autovacuum", "off"),
            ("max_wal_senders", "0"),
            ("fsync", if purpose == Purpose::Load { "off" } else { "on" }),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let mut set = |name: &str, value: String| all.push((name.to_owned(), value));
        set("unix_socket_directories", self.plan.work_dir.display().to_string());
        set("max_connections", (self.plan.connections + 20).to_string());
        // So that what was loaded under `minimal` is not refused on the way back.
        set("wal_level", "minimal".to_owned());
        if purpose == Purpose::Load {
            for (name, value) in [
                ("full_page_writes", "off"),
                ("synchronous_commit", "off"),
                ("max_wal_size", "4GB"),
                ("checkpoint_timeout", "1h"),
                ("maintenance_work_mem", "256MB"),
                ("max_locks_per_transaction", "1024"),
                ("jit", "off"),
            ] {
                set(name, value.to_owned());
            }
        }
        if !self.plan.preload.is_empty() {
            set("shared_preload_libraries", self.plan.preload.join(","));
            // Nothing that a library brings along is to run in there: no scheduler, no jobs of the source's.
            set("max_worker_processes", "0".to_owned());
        }
        all.extend(self.plan.settings.iter().cloned());
        all
    }

    fn write_hba(&self, purpose: Purpose) -> Result<()> {
        let method = if purpose == Purpose::Load { "trust" } else { "scram-sha-256" };
        let text = format!(
            "local all all {method}\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n"
        );
        let path = self.plan.data_dir.join("pg_hba.conf");
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn log_path(&self) -> PathBuf {
        self.plan.work_dir.join("server.log")
    }

    fn open_log(&self) -> Result<std::fs::File> {
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .context("cannot open the private server's log")
    }

    fn options(&self) -> String {
        let more = if self.plan.programs.major >= 17 {
            " -c event_triggers=off -c transaction_timeout=0"
        } else {
            ""
        };
        format!("{OPTIONS}{more}")
    }

    async fn answers(&self) -> bool {
        match self.connect_as(&self.plan.bootstrap, None, "template1").await {
            Ok(_) => true,
            // Asking for a password is an answer too.
            Err(error) => error.code() != Some(&SqlState::CANNOT_CONNECT_NOW) && !is_io(&error),
        }
    }

    fn still_runs(&mut self) -> Result<()> {
        let ended = match &mut self.child {
            Some(child) => child.try_wait().context("cannot look at the private server")?.is_some(),
            None => true,
        };
        if !ended {
            return Ok(());
        }
        self.child = None;
        let words = self.last_words();
        Err(fail(classify(&words), format!("the private server did not start: {words}")))
    }

    fn explain(&self, error: tokio_postgres::Error) -> anyhow::Error {
        fail(
            ExitClass::Transient,
            format!("cannot connect to the private server: {error}; {}", self.last_words()),
        )
    }

    /// What it logged last, for an error.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read(self.log_path())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        let mut lines: Vec<&str> = text
            .lines()
            .rev()
            .filter(|l| l.contains("FATAL:") || l.contains("ERROR:") || l.contains("PANIC:"))
            .take(3)
            .collect();
        lines.reverse();
        lines.join("; ")
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) =
            self.child.as_ref().and_then(Child::id).and_then(|id| Pid::from_raw(id.cast_signed()))
        {
            // Nothing to do where it is gone already.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        self.signal(Signal::QUIT);
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    error.is_closed()
        || std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

/// Ends a server that an agent left behind when it was killed, if `data_dir` has one.
pub(crate) async fn end_orphan(data_dir: &Path) -> Result<()> {
    let Ok(text) = tokio::fs::read_to_string(data_dir.join("postmaster.pid")).await else { return Ok(()) };
    let Some(pid) = text.lines().next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw)
    else {
        return Ok(());
    };
    let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut signal = Signal::QUIT;
    while is_server_of(&process, data_dir).await {
        if Instant::now() > deadline {
            signal = Signal::KILL;
        }
        kill_process(pid, signal).context("cannot end the server of an earlier attempt")?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Whether the process is there, and not some other that got its number since.
async fn is_server_of(process: &Path, data_dir: &Path) -> bool {
    let Ok(command_line) = tokio::fs::read(process.join("cmdline")).await else { return false };
    command_line.split(|byte| *byte == 0).any(|argument| argument == data_dir.as_os_str().as_encoded_bytes())
}
