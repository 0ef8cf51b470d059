//! The local platform: instances are directories and servers on loopback ports, jobs are detached processes. It knows
//! no database of Toygres' own.

pub mod account;
mod agent_program;
mod deadline;
mod follow;
mod installations;
mod instances;
mod jobs;
pub(crate) mod process;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use futures::stream::BoxStream;
use model::{AgentEvent, InstanceId};

use crate::cluster::Life;
use crate::{
    Endpoint, Error, Installation, InstanceSpec, JobSpec, JobState, Platform, Result, Secret, ServerState,
};
use account::Account;

/// What to say where there is no PostgreSQL.
pub const NO_POSTGRES: &str =
    "There is no PostgreSQL on this machine. Install it: apt-get install postgresql (Debian, Ubuntu)";

/// What the local platform needs to know.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The program `toygres-agent`.
    pub agent_program: PathBuf,
    /// Whom PostgreSQL and jobs run as when Toygres is root; `postgres` if none.
    pub user: Option<String>,
    /// More directories to look for PostgreSQL's programs in.
    pub bin_dirs: Vec<PathBuf>,
}

/// This machine.
#[derive(Debug)]
pub struct LocalPlatform {
    pub(crate) data_dir: PathBuf,
    pub(crate) account: Account,
    pub(crate) agent_program: PathBuf,
    bin_dirs: Vec<PathBuf>,
    identity: String,
    shared: Arc<Shared>,
}

/// What calls that run at once agree on; another process is kept out by [`lock`].
#[derive(Debug, Default)]
struct Shared {
    /// Held while a port is chosen.
    ports: tokio::sync::Mutex<()>,
    /// Held while a job is started.
    launching: tokio::sync::Mutex<()>,
    /// The jobs' processes that are ours to wait for.
    children: Mutex<Vec<process::Process>>,
}

impl Shared {
    fn children(&self) -> MutexGuard<'_, Vec<process::Process>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalPlatform {
    /// Prepares the directories and the agent.
    ///
    /// # Errors
    /// There is nobody to run PostgreSQL as, or the user cannot enter the directories.
    pub async fn open(config: LocalConfig) -> Result<Self> {
        let account = Account::find(config.user.as_deref())?;
        std::fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("make the data directory {}", config.data_dir.display()))?;
        let data_dir = config.data_dir.canonicalize().context("resolve the data directory")?;
        let platform = Self {
            identity: format!("{}:{}", machine_id(), data_dir.display()),
            agent_program: agent_program::install(&config.agent_program, &data_dir.join("bin"))?,
            data_dir,
            account,
            bin_dirs: config.bin_dirs,
            shared: Arc::default(),
        };
        for dir in ["instances", "jobs", "store"] {
            platform.account.make_dir(&platform.data_dir.join(dir), 0o700)?;
        }
        platform.account.make_dir(&platform.run_dir(), 0o700)?;
        platform.account.may_enter(&platform.data_dir.join("jobs")).await?;
        Ok(platform)
    }

    /// Starts every instance that was running when the machine went down.
    pub async fn resume(&self) {
        for id in self.instances().await.unwrap_or_default() {
            if let Err(error) = self.resume_server(id).await {
                tracing::error!(instance.id = %id, %error, "an instance could not be started again");
            }
        }
    }

    /// Whom things run as here.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The directory of the sockets.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        socket_dir(&self.data_dir)
    }

    /// The address of the store in the data directory.
    #[must_use]
    pub fn store_url(&self) -> String {
        format!("file://{}", self.data_dir.join("store").display())
    }
}

/// The directory of the sockets of a data directory: short, for a socket's path has at most 107 bytes.
#[must_use]
pub fn socket_dir(data_dir: &Path) -> PathBuf {
    let below = data_dir.join("run");
    if below.as_os_str().len() <= 80 {
        return below;
    }
    let mut hash = std::hash::DefaultHasher::new();
    std::hash::Hash::hash(data_dir, &mut hash);
    // Where anybody may write, somebody could have put a link under that name: root does not follow it.
    let root = rustix::process::geteuid().is_root();
    let base = if root { PathBuf::from("/run") } else { std::env::temp_dir() };
    base.join(format!("toygres-{:016x}", std::hash::Hasher::finish(&hash)))
}

/// The PostgreSQL versions on this machine, the newest first.
///
/// # Errors
/// None as of now: what cannot be looked at is not there.
pub async fn find_installations(more: &[PathBuf]) -> Result<Vec<Installation>> {
    installations::find(more).await
}

/// Takes the data directory for this process until the returned file is dropped.
///
/// # Errors
/// Another server has it.
pub fn lock(data_dir: &Path) -> Result<std::fs::File> {
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("make the data directory {}", data_dir.display()))?;
    let file = std::fs::File::create(data_dir.join("lock")).context("make the data directory's lock")?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Impossible(format!(
            "Another Toygres serves the data directory {}. Stop it, or choose another one with --data-dir.",
            data_dir.display()
        ))),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(Error::Transient(anyhow::Error::new(error).context("lock the data directory")))
        }
    }
}

fn machine_id() -> String {
    let read = |path| {
        std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|id| !id.is_empty())
    };
    read("/etc/machine-id")
        .or_else(|| read("/var/lib/dbus/machine-id"))
        .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
}

#[async_trait]
impl Platform for LocalPlatform {
    fn kind(&self) -> &'static str {
        "local"
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn place(&self) -> &str {
        self.data_dir.to_str().unwrap_or("its data directory")
    }

    fn how_to_get(&self, major: Option<i32>) -> String {
        let package = major.map_or_else(|| "postgresql".to_owned(), |major| format!("postgresql-{major}"));
        format!("Install it on this machine: apt-get install {package} (Debian, Ubuntu).")
    }

    async fn installations(&self) -> Result<Vec<Installation>> {
        installations::find(&self.bin_dirs).await
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        let stat = rustix::fs::statvfs(&self.data_dir).context("ask for free space")?;
        Ok(Some(stat.f_bavail.saturating_mul(stat.f_frsize)))
    }

    async fn create_volume(&self, spec: &InstanceSpec) -> Result<()> {
        self.make_instance(spec).await
    }

    fn data_dir(&self, id: InstanceId) -> String {
        self.instance_dir(id).join("data").display().to_string()
    }

    async fn deploy_server(&self, spec: &InstanceSpec, password: &Secret) -> Result<()> {
        self.deploy(spec, password).await
    }

    async fn observe_server(&self, id: InstanceId) -> Result<ServerState> {
        let Some(record) = self.record(id)?.filter(|record| record.deployed) else {
            return Ok(ServerState::Absent);
        };
        let cluster = self.cluster(id, &record).await?;
        Ok(match cluster.life() {
            Life::Up => ServerState::Running,
            Life::Starting => ServerState::Starting("PostgreSQL is starting or recovering.".to_owned()),
            Life::Down if !cluster.exists() => ServerState::Absent,
            Life::Down if !record.up => ServerState::Stopped,
            Life::Down => {
                ServerState::Failed(format!("The server's process ended: {}", cluster.last_words()))
            }
        })
    }

    async fn endpoint(&self, id: InstanceId) -> Result<Option<Endpoint>> {
        let record = self.record(id)?.filter(|record| record.deployed);
        Ok(record.map(|record| Endpoint { host: "127.0.0.1".to_owned(), port: record.port }))
    }

    async fn start_server(&self, id: InstanceId) -> Result<()> {
        self.set_up(id, true)?;
        self.resume_server(id).await
    }

    async fn stop_server(&self, id: InstanceId) -> Result<()> {
        self.set_up(id, false)?;
        match self.record(id)? {
            Some(record) => self.cluster(id, &record).await?.stop().await,
            None => Ok(()),
        }
    }

    async fn delete_server(&self, id: InstanceId) -> Result<()> {
        self.stop_server(id).await?;
        self.undeploy(id)
    }

    async fn delete_volume(&self, id: InstanceId) -> Result<()> {
        match self.stop_server(id).await {
            // Its version is not installed any more: its server can be killed all the same.
            Ok(()) | Err(Error::Impossible(_)) => {}
            Err(error) => return Err(error),
        }
        self.end_strangers(id).await?;
        crate::cluster::remove_dir(&self.instance_dir(id)).await
    }

    async fn launch(&self, job: &JobSpec) -> Result<()> {
        self.launch_job(job).await
    }

    async fn observe(&self, name: &str) -> Result<JobState> {
        self.observe_job(name)
    }

    async fn events(&self, name: &str, after: u64) -> Result<BoxStream<'static, Result<AgentEvent>>> {
        Ok(self.follow_job(name, after))
    }

    async fn stop(&self, name: &str, grace: Duration) -> Result<()> {
        self.stop_job(name, grace).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.stop_job(name, Duration::ZERO).await?;
        crate::cluster::remove_dir(&self.job_dir(name)?).await
    }

    async fn jobs(&self) -> Result<Vec<String>> {
        names_in(&self.data_dir.join("jobs"))
    }

    async fn instances(&self) -> Result<Vec<InstanceId>> {
        let names = names_in(&self.data_dir.join("instances"))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    async fn read_secret(&self, _: &str, _: &str) -> Result<BTreeMap<String, Secret>> {
        Err(Error::Impossible(
            "Secrets of a cluster are there on Kubernetes only; type the value.".to_owned(),
        ))
    }
}

fn names_in(dir: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect())
}
