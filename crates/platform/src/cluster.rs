//! A PostgreSQL cluster on this machine: a data directory and the server on it. It knows neither instances nor the CMS,
//! which are both made of one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;

use crate::local::account::Account;
use crate::local::process;
use crate::{Error, Result, Secret};

/// How long a server may take to start or to stop in good order, in seconds.
const PATIENCE: &str = "60";

/// How long the processes of a killed server may linger.
const AFTERMATH: Duration = Duration::from_secs(15);
/// What a server says that finds them.
const LINGERING: [&str; 2] = ["\"postmaster.pid\" already exists", "pre-existing shared memory block"];
/// As much of the log is looked at for an error's words.
const LAST_WORDS: u64 = 64 * 1024;

/// How a cluster's server is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// No process.
    Down,
    /// A process that does not take clients yet, or not any more.
    Starting,
    /// It takes clients.
    Up,
}

/// A data directory and the programs of its version.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Where `initdb`, `postgres` and `pg_ctl` are.
    pub bin_dir: PathBuf,
    /// The data directory.
    pub data_dir: PathBuf,
    /// Where the server's output goes.
    pub log: PathBuf,
    /// Whom it runs as.
    pub account: Account,
}

impl Cluster {
    /// Whether the data directory holds a cluster.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.data_dir.join("PG_VERSION").exists()
    }

    /// The major version that the data directory was made by.
    #[must_use]
    pub fn major(&self) -> Option<i32> {
        std::fs::read_to_string(self.data_dir.join("PG_VERSION")).ok()?.trim().parse().ok()
    }

    /// Makes the data directory: beside its place first, so that a half-made one is never taken for a whole one. Without
    /// a password only the socket lets anybody in.
    ///
    /// # Errors
    /// initdb failed; its words are in the error.
    pub async fn init(&self, superuser: &str, password: Option<&Secret>) -> Result<()> {
        let staging = self.data_dir.with_extension("new");
        remove_dir(&staging).await?;
        let mut initdb = self.program("initdb");
        initdb.args(["--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-instructions"]);
        initdb.arg(format!("--username={superuser}")).arg("-D").arg(&staging);
        let file = staging.with_extension("password");
        if let Some(password) = password {
            self.account.write(&file, password.reveal().as_bytes(), 0o600)?;
            initdb.arg("--auth=scram-sha-256").arg(format!("--pwfile={}", file.display()));
        } else {
            initdb.args(["--auth-local=trust", "--auth-host=reject"]);
        }
        let made = run(initdb, "initdb").await;
        // Whatever happened, the password does not stay.
        std::fs::remove_file(&file).or_else(missing_is_fine).context("remove the password's file")?;
        made?;
        tokio::fs::rename(&staging, &self.data_dir)
            .await
            .context("put the new data directory in its place")?;
        Ok(())
    }

    /// Writes `toygres.conf` and has `postgresql.conf` include it last.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn configure(&self, settings: &[(&str, String)], hba: &str) -> Result<()> {
        let mut text = String::from("# Written by Toygres at each start.\n");
        for (name, value) in settings {
            text.push_str(&format!("{name} = '{}'\n", value.replace('\\', "\\\\").replace('\'', "''")));
        }
        self.account.write(&self.data_dir.join("toygres.conf"), text.as_bytes(), 0o600)?;
        self.account.write(&self.data_dir.join("pg_hba.conf"), hba.as_bytes(), 0o600)?;
        let main = self.data_dir.join("postgresql.conf");
        let mut text = std::fs::read_to_string(&main).unwrap_or_default();
        if !text.lines().any(|line| line.trim() == "include 'toygres.conf'") {
            text.push_str("\ninclude 'toygres.conf'\n");
            self.account.write(&main, text.as_bytes(), 0o600)?;
        }
        Ok(())
    }

    /// Starts the server and waits until it takes clients; one that runs already is told to read its files again.
    ///
    /// # Errors
    /// It does not start; the last words of its log are in the error.
    pub async fn start(&self) -> Result<()> {
        if self.life() != Life::Down {
            run(self.ctl(["reload"]), "pg_ctl reload").await?;
            return self.wait_until_up().await;
        }
        let deadline = tokio::time::Instant::now() + AFTERMATH;
        loop {
            let before = std::fs::metadata(&self.log).map_or(0, |log| log.len());
            let mut start = self.ctl(["start", "-w", "-t", PATIENCE, "-l"]);
            start.arg(&self.log);
            if run(start, "pg_ctl start").await.is_ok() || self.life() == Life::Up {
                return Ok(());
            }
            let words = self.words_since(before);
            let lingers = LINGERING.iter().any(|sign| words.contains(sign)) && self.life() == Life::Down;
            if !lingers || tokio::time::Instant::now() >= deadline {
                return Err(Error::Transient(anyhow::anyhow!("PostgreSQL did not start: {words}")));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits for a server that somebody else started.
    async fn wait_until_up(&self) -> Result<()> {
        let up = async {
            while self.life() == Life::Starting {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(60), up).await {
            Ok(()) if self.life() == Life::Up => Ok(()),
            _ => Err(Error::Transient(anyhow::anyhow!("PostgreSQL did not start: {}", self.last_words()))),
        }
    }

    /// Stops the server: clients are disconnected in good order, and at once if that takes too long.
    ///
    /// # Errors
    /// It does not stop.
    pub async fn stop(&self) -> Result<()> {
        if self.life() == Life::Down {
            return Ok(());
        }
        if run(self.ctl(["stop", "-w", "-t", PATIENCE, "-m", "fast"]), "pg_ctl stop").await.is_err()
            && self.life() != Life::Down
        {
            run(self.ctl(["stop", "-w", "-t", PATIENCE, "-m", "immediate"]), "pg_ctl stop").await?;
        }
        Ok(())
    }

    /// How the server is, by its own file and the process that this names.
    #[must_use]
    pub fn life(&self) -> Life {
        let Ok(text) = std::fs::read_to_string(self.data_dir.join("postmaster.pid")) else {
            return Life::Down;
        };
        let mut lines = text.lines();
        let Some(pid) = lines.next().and_then(|line| line.trim().parse().ok()) else { return Life::Down };
        // The number may be another process' by now: after a reboot, or long after a crash.
        if !process::serves(pid, &self.data_dir) {
            return Life::Down;
        }
        match lines.nth(6).map(str::trim) {
            Some("ready" | "standby") => Life::Up,
            _ => Life::Starting,
        }
    }

    /// What the server logged last, for an error.
    #[must_use]
    pub fn last_words(&self) -> String {
        let length = std::fs::metadata(&self.log).map_or(0, |log| log.len());
        self.words_since(length.saturating_sub(LAST_WORDS))
    }

    /// What it complained of after this offset of its log.
    fn words_since(&self, offset: u64) -> String {
        use std::io::{Read, Seek, SeekFrom};
        let mut bytes = Vec::new();
        // A log that cannot be read has no words; its name is the answer then.
        let _ = std::fs::File::open(&self.log).and_then(|mut log| {
            log.seek(SeekFrom::Start(offset))?;
            log.take(LAST_WORDS).read_to_end(&mut bytes)
        });
        let text = String::from_utf8_lossy(&bytes);
        let grave =
            |line: &&str| ["FATAL:", "PANIC:", "ERROR:", "HINT:"].iter().any(|word| line.contains(word));
        let lines: Vec<&str> = text.lines().filter(grave).collect();
        match lines.len() {
            0 => format!("see {}", self.log.display()),
            n => lines[n.saturating_sub(3)..].join(" "),
        }
    }

    fn ctl<const N: usize>(&self, args: [&str; N]) -> Command {
        let mut ctl = self.program("pg_ctl");
        ctl.arg("-s").arg("-D").arg(&self.data_dir).args(args);
        ctl
    }

    fn program(&self, name: &str) -> Command {
        self.account.command(&self.bin_dir.join(name))
    }
}

/// Waits at most three minutes for a program; its complaints are the error.
async fn run(mut command: Command, what: &str) -> Result<String> {
    command.stdin(std::process::Stdio::null());
    // pg_ctl leaves its pipes to the server that it starts: nobody may wait for their end.
    let files = (tempfile()?, tempfile()?);
    command
        .stdout(files.0.try_clone().context("prepare a file")?)
        .stderr(files.1.try_clone().context("prepare a file")?);
    let mut child = command.kill_on_drop(true).spawn().with_context(|| format!("start {what}"))?;
    let status = tokio::time::timeout(Duration::from_secs(180), child.wait())
        .await
        .with_context(|| format!("{what} did not end"))?
        .with_context(|| format!("wait for {what}"))?;
    if status.success() {
        return Ok(content(&files.0));
    }
    let words = format!("{} {}", content(&files.1).trim(), content(&files.0).trim());
    Err(Error::Transient(anyhow::anyhow!("{what} ended with {status}: {}", words.trim())))
}

fn tempfile() -> Result<std::fs::File> {
    Ok(tempfile::tempfile().context("make a temporary file")?)
}

fn content(file: &std::fs::File) -> String {
    use std::io::{Read, Seek};
    let mut text = Vec::new();
    let mut file = file;
    // What cannot be read back is missing from an error's words and nowhere else.
    let _ = file.rewind().and_then(|()| file.read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}

pub(crate) async fn remove_dir(dir: &Path) -> Result<()> {
    let removed = tokio::fs::remove_dir_all(dir).await.or_else(missing_is_fine);
    Ok(removed.with_context(|| format!("remove {}", dir.display()))?)
}

pub(crate) fn missing_is_fine(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// The CMS of one machine: a cluster that only its socket's directory leads to.
#[derive(Clone, Debug)]
pub struct PrivateCluster {
    cluster: Cluster,
    socket_dir: PathBuf,
}

/// The port that names the private cluster's socket; nothing listens on it.
pub const PRIVATE_PORT: u16 = 5432;
/// How often the private cluster is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The private cluster's superuser.
pub const PRIVATE_USER: &str = "toygres";

impl PrivateCluster {
    /// Makes the cluster below `dir` at the first time, starts it if it is down, adopts it if it is up.
    ///
    /// # Errors
    /// It cannot be made or started, or was made by a version that is not installed any more.
    pub async fn ensure(
        installations: &[crate::Installation],
        dir: &Path,
        socket_dir: &Path,
        account: Account,
    ) -> Result<Self> {
        account.make_dir(dir, 0o700)?;
        account.make_dir(socket_dir, 0o700)?;
        let mut cluster = Cluster {
            bin_dir: PathBuf::new(),
            data_dir: dir.join("data"),
            log: dir.join("server.log"),
            account,
        };
        let major = cluster.major();
        let installed =
            installations.iter().find(|installed| major.is_none_or(|major| installed.major == major));
        let bin_dir = installed.and_then(|installed| installed.bin_dir.as_ref()).ok_or_else(|| match major {
            Some(major) => Error::Impossible(format!(
                "Toygres' own state was made by PostgreSQL {major}, which is not installed any more. Install it again: apt-get install postgresql-{major}"
            )),
            None => Error::Impossible(crate::local::NO_POSTGRES.to_owned()),
        })?;
        cluster.bin_dir = PathBuf::from(bin_dir);
        if !cluster.exists() {
            cluster.init(PRIVATE_USER, None).await?;
        }
        cluster.configure(
            &[
                ("listen_addresses", String::new()),
                ("port", PRIVATE_PORT.to_string()),
                ("unix_socket_directories", socket_dir.display().to_string()),
                ("unix_socket_permissions", "0700".to_owned()),
                ("max_connections", "100".to_owned()),
                ("logging_collector", "off".to_owned()),
            ],
            "local all all trust\n",
        )?;
        cluster.start().await?;
        Ok(Self { cluster, socket_dir: socket_dir.to_owned() })
    }

    /// The directory of its socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Starts it again whenever it is down, such as after the machine ran out of memory. Never ends.
    pub async fn keep_up(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if self.cluster.life() != Life::Down {
                continue;
            }
            tracing::warn!("Toygres' own PostgreSQL is down; starting it again");
            if let Err(error) = self.cluster.start().await {
                tracing::error!(
                    error = format!("{error:#}"),
                    "Toygres' own PostgreSQL does not start; trying again"
                );
            }
        }
    }

    /// Stops it in good order.
    ///
    /// # Errors
    /// It does not stop.
    pub async fn stop(&self) -> Result<()> {
        self.cluster.stop().await
    }
}
