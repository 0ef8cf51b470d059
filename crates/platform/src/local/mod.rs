//! The local platform: instances are directories and PostgreSQL servers, jobs are detached processes. It knows no state
//! database.

pub mod account;
mod agent_program;
pub mod confinement;
mod data_dir;
mod deadline;
mod follow;
mod hash;
mod installations;
mod instances;
mod jobs;
pub(crate) mod process;
mod record;
mod take_over;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use futures::stream::BoxStream;
use model::{AgentEvent, Failure, FailureCode, InstanceId, PlatformKind};

pub use data_dir::{lock, require_own, socket_dir};
pub use installations::find_installations;

use crate::files::remove_dir;
use crate::postgres_server::ProcessState;
use crate::{
    Endpoint, Facts, Installation, InstanceSpec, Instances, JobSpec, JobState, Jobs, Result, Secret,
    ServerState,
};
use account::Account;
use data_dir::{machine_id, names_in};

/// The settings of a local platform.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// The directory of all instances, jobs and the store.
    pub data_dir: PathBuf,
    /// The program `toygres-agent`.
    pub agent_program: PathBuf,
    /// The account that runs PostgreSQL and jobs if Toygres runs as root; `postgres` if none.
    pub user: Option<String>,
    /// Additional directories in which PostgreSQL's programs are searched.
    pub bin_dirs: Vec<PathBuf>,
}

/// This machine as a platform. Clones share their state.
#[derive(Clone, Debug)]
pub struct LocalPlatform {
    data_dir: PathBuf,
    account: Account,
    agent_program: PathBuf,
    bin_dirs: Vec<PathBuf>,
    identity: String,
    shared: Arc<Shared>,
}

/// The state that concurrent calls share. Other processes are excluded by [`lock`].
#[derive(Debug, Default)]
struct Shared {
    /// Held while a port is chosen.
    ports: tokio::sync::Mutex<()>,
    /// Held while a job is started.
    launching: tokio::sync::Mutex<()>,
    /// The jobs' processes that are children of this process.
    children: Mutex<Vec<process::Process>>,
}

impl Shared {
    fn children(&self) -> MutexGuard<'_, Vec<process::Process>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalPlatform {
    /// Creates the directories, except that of the store, and installs the agent.
    ///
    /// # Errors
    /// [`FailureCode::PlatformSettingsInvalid`] if no account can run PostgreSQL, if it cannot enter the directories, or if
    /// the agent cannot be read.
    pub async fn open(config: LocalConfig) -> Result<Self> {
        let account = Account::find(config.user.as_deref())?;
        std::fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("create the data directory {}", config.data_dir.display()))?;
        let data_dir = config.data_dir.canonicalize().context("resolve the data directory")?;
        require_own(&data_dir)?;
        let platform = Self {
            identity: format!("{}:{}", machine_id(), data_dir.display()),
            agent_program: agent_program::install(&config.agent_program, &data_dir.join("bin"))?,
            data_dir,
            account,
            bin_dirs: config.bin_dirs,
            shared: Arc::default(),
        };
        for dir in ["instances", "jobs"] {
            platform.account.make_parent_dir(&platform.data_dir.join(dir))?;
        }
        platform.account.make_parent_dir(&platform.run_dir())?;
        platform.account.may_enter(&platform.data_dir.join("jobs")).await?;
        if let Some(missing) = confinement::missing(&platform.account, &platform.agent_program).await {
            tracing::warn!(
                missing,
                "superusers of instances, and the code in restored images, are not fully confined (docs/OPERATIONS.md, One machine)"
            );
        }
        Ok(platform)
    }

    /// Starts every instance that ran when the machine was shut down.
    pub async fn resume(&self) {
        for id in self.instances().await.unwrap_or_default() {
            if let Err(error) = self.resume_server(id).await {
                tracing::error!(instance.id = %id, %error, "an instance could not be restarted");
            }
        }
    }

    /// The OS account that runs servers and jobs.
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
        format!("file://{}", self.store_dir().display())
    }

    /// The directory of the store in the data directory.
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    /// Creates the directory of the store if it does not exist, and gives it to the account that runs jobs.
    ///
    /// # Errors
    /// The operating system refuses, or a link is in its place.
    pub fn make_store_dir(&self) -> Result<()> {
        self.account.make_dir(&self.store_dir(), 0o700)
    }
}

#[async_trait]
impl Facts for LocalPlatform {
    fn kind(&self) -> PlatformKind {
        PlatformKind::Local
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn place(&self) -> &str {
        self.data_dir.to_str().unwrap_or(&self.identity)
    }

    fn install_hint(&self, major: Option<i32>) -> String {
        let package = major.map_or_else(|| "postgresql".to_owned(), |major| format!("postgresql-{major}"));
        format!("Install it on this machine: apt-get install {package} (Debian, Ubuntu).")
    }

    async fn installations(&self) -> Result<Vec<Installation>> {
        find_installations(&self.bin_dirs).await
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        let stat =
            rustix::fs::statvfs(&self.data_dir).context("read the free space of the data directory")?;
        Ok(Some(stat.f_bavail.saturating_mul(stat.f_frsize)))
    }

    async fn read_secret(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, Secret>> {
        let detail = "Secrets exist on the Kubernetes platform only";
        Err(Failure::new(FailureCode::PlatformUnsupported, detail).on(format!("{namespace}/{name}")).into())
    }
}

#[async_trait]
impl Instances for LocalPlatform {
    async fn instances(&self) -> Result<Vec<InstanceId>> {
        let names = names_in(&self.data_dir.join("instances"))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    async fn create_volume(&self, spec: &InstanceSpec) -> Result<()> {
        self.create_instance(spec).await.map(drop)
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
        let server = self.server(id, &record).await?;
        // A server that runs is observed every few seconds.
        server.limit_log();
        Ok(match server.process_state() {
            ProcessState::Up => ServerState::Running,
            ProcessState::Starting => {
                ServerState::Starting("PostgreSQL is starting or recovering.".to_owned())
            }
            ProcessState::Down if !server.exists() => ServerState::Absent,
            ProcessState::Down if !record.up => ServerState::Stopped,
            ProcessState::Down => {
                let detail = format!("the server's process ended: {}", server.last_errors());
                ServerState::Failed(Failure::new(FailureCode::ServerStartFailed, detail))
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
            Some(record) => self.server(id, &record).await?.stop().await,
            None => Ok(()),
        }
    }

    async fn delete_server(&self, id: InstanceId) -> Result<()> {
        self.stop_server(id).await?;
        self.set_undeployed(id)
    }

    async fn delete_volume(&self, id: InstanceId) -> Result<()> {
        match self.stop_server(id).await {
            // The server can be killed without the programs of its version.
            Err(error) if error.code() != FailureCode::ProgramsMissing => return Err(error),
            _ => {}
        }
        self.kill_server(id).await?;
        if let Some(record) = self.record(id)? {
            remove_dir(&self.socket_dir(record.port)).await?;
        }
        remove_dir(&self.instance_dir(id)).await
    }
}

#[async_trait]
impl Jobs for LocalPlatform {
    async fn jobs(&self) -> Result<Vec<String>> {
        names_in(&self.data_dir.join("jobs"))
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
        remove_dir(&self.job_dir(name)?).await
    }
}
