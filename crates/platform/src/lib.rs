//! Where instances and jobs live: one trait, and one conformance suite for all that implement it. It knows no database,
//! no workflow and no image format.

pub mod cluster;
pub mod kubernetes;
pub mod local;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use model::{AgentEvent, AgentResult, AgentTask, ImageType, InstanceId};
use serde::{Deserialize, Serialize};

/// What can go wrong on a platform, as far as callers act differently on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something of that name is there and is not ours.
    #[error("{0}")]
    Foreign(String),
    /// What was asked for cannot be: no such version, no such volume, no program. Trying again is no use.
    #[error("{0}")]
    Impossible(String),
    /// It may work the next time.
    #[error(transparent)]
    Transient(#[from] anyhow::Error),
}

/// Shorthand.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A secret value: no `Debug` output, no `Serialize`, wiped when dropped.
#[derive(Clone, Default)]
pub struct Secret(zeroize::Zeroizing<String>);

impl Secret {
    /// Takes a value in.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(zeroize::Zeroizing::new(value))
    }

    /// The value, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A PostgreSQL installation that instances can use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// The major version.
    pub major: i32,
    /// The full version.
    pub version: String,
    /// Where its programs are, as a job sees them; none where the job's own image has them on PATH.
    pub bin_dir: Option<String>,
    /// The names of the extensions that it offers; none where that is not known before a server runs.
    pub extensions: Option<Vec<String>>,
}

/// Everything that a managed instance is made of. The id names all its parts; the name is for people.
#[derive(Clone, Debug)]
pub struct InstanceSpec {
    /// Names every part.
    pub id: InstanceId,
    /// Its name.
    pub name: String,
    /// The major version.
    pub major: i32,
    /// Stock or pg_durable.
    pub image_type: ImageType,
    /// Whether connections over loopback need no password.
    pub trust_loopback: bool,
    /// `shared_preload_libraries`.
    pub preload: Vec<String>,
    /// The superuser.
    pub username: String,
    /// The size of its volume in bytes, where volumes have one.
    pub volume_bytes: Option<i64>,
    /// A DNS label to ask for.
    pub dns_label: Option<String>,
}

/// Where a server is, as clients of the platform connect to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// No such server.
    Absent,
    /// It is there, stopped.
    Stopped,
    /// It is starting, as every server does; the words say how far it is.
    Starting(String),
    /// It waits for something that may not come unless somebody does something; the words say what.
    Waiting(String),
    /// Its process runs (whether it answers is for a probe to say).
    Running,
    /// It runs, and will lose its data when it stops; the words say why.
    Endangered(String),
    /// It cannot run; the words say why.
    Failed(String),
}

/// Whom a job is to its store where the platform vouches for it, so that no key is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StoreIdentity {
    /// Azure workload identity: the job's service account token, exchanged for one of Microsoft Entra.
    Azure {
        /// The application (client) id of the identity; the webhook's or the environment's if none.
        client_id: Option<String>,
        /// Its tenant; the webhook's or the environment's if none.
        tenant_id: Option<String>,
        /// Where tokens are exchanged; Microsoft's public cloud if none.
        authority_host: Option<String>,
    },
    /// A web identity of AWS: the job's service account token, exchanged for a role's credentials.
    Aws {
        /// The role to assume.
        role_arn: String,
        /// Where it is assumed, if not at Amazon's.
        sts_endpoint: Option<String>,
    },
}

/// A job to run: the task, its secrets (by file, never argv or environment), and the volume that it works on.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// `f(run, step, attempt)`: see [`job_name`].
    pub name: String,
    /// What to do.
    pub task: AgentTask,
    /// The files below `TOYGRES_SECRETS`.
    pub secrets: BTreeMap<String, Secret>,
    /// The instance whose volume the job writes (a restore).
    pub volume: Option<InstanceId>,
    /// The major version whose programs the job needs.
    pub major: Option<i32>,
    /// Whom it is to its store, where no secret says so.
    pub identity: Option<StoreIdentity>,
    /// How long it may take.
    pub deadline: Duration,
}

/// How a job is.
#[derive(Clone, Debug, PartialEq)]
pub enum JobState {
    /// No such job: never launched, or removed by somebody.
    Missing,
    /// It has not begun; the words say what it waits for.
    Pending(String),
    /// It works.
    Running,
    /// It ended.
    Ended(JobEnd),
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobEnd {
    /// Its exit code, where one is known (a process that vanished has none).
    pub code: Option<i32>,
    /// Its result, where it left one.
    pub result: Option<AgentResult>,
    /// What the platform knows about an end without result, in a sentence: killed by signal 9, out of memory, …
    pub reason: Option<String>,
    /// Whether another attempt would end the same way: an image that cannot be pulled, a pod that is not admitted.
    pub fatal: bool,
}

/// The name of a job: deterministic, so that whoever takes a step over finds what its predecessor began; a DNS label
/// of at most 52 characters.
#[must_use]
pub fn job_name(run: uuid::Uuid, step: &str, attempt: i32) -> String {
    let step: String = step.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    format!("t-{}-{}-{attempt}", run.simple(), step.to_ascii_lowercase())
}

/// A place where instances and jobs live. Every call is idempotent: repeated after a crash it finds what the first one
/// made and completes it; a delete of what is not there is fine.
#[async_trait]
pub trait Platform: Send + Sync + 'static {
    /// `local` or `kubernetes`.
    fn kind(&self) -> &'static str;

    /// What tells this place from all others of its kind: the machine and data directory, or the cluster.
    fn identity(&self) -> &str;

    /// What people call it: the namespace, or the directory.
    fn place(&self) -> &str {
        self.identity()
    }

    /// What a person does to have PostgreSQL (of this major version) here, in a sentence.
    fn how_to_get(&self, major: Option<i32>) -> String;

    /// The libraries that a new instance of this type preloads.
    fn preload(&self, image_type: ImageType) -> Vec<String> {
        match image_type {
            ImageType::Stock => Vec::new(),
            ImageType::PgDurable => vec![model::workers::PG_DURABLE.to_owned()],
        }
    }

    /// Why an instance of this type and major version cannot be had here, if that is known before it is made: what is
    /// missing, and what to do.
    fn lacks(&self, image_type: ImageType, major: i32) -> Option<String> {
        let _ = (image_type, major);
        None
    }

    /// The command by which a person outside of the cluster reaches the instance of this name, where that takes one.
    fn way_in(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }

    /// The PostgreSQL versions that instances can have here, the newest first.
    async fn installations(&self) -> Result<Vec<Installation>>;

    /// Free bytes for another volume, where the platform can tell.
    async fn free_bytes(&self) -> Result<Option<u64>>;

    /// Makes the empty volume of an instance.
    async fn create_volume(&self, spec: &InstanceSpec) -> Result<()>;

    /// The data directory on that volume, as a job and the server see it.
    fn data_dir(&self, id: InstanceId) -> String;

    /// Configures and starts a server on its volume: one that holds a data directory is used as it is (a restore put
    /// it there), an empty one is initialised with `password`.
    async fn deploy_server(&self, spec: &InstanceSpec, password: &Secret) -> Result<()>;

    /// How the server is.
    async fn observe_server(&self, id: InstanceId) -> Result<ServerState>;

    /// Where it is; none before it was deployed.
    async fn endpoint(&self, id: InstanceId) -> Result<Option<Endpoint>>;

    /// Starts a server that was stopped.
    async fn start_server(&self, id: InstanceId) -> Result<()>;

    /// Stops a server, clients disconnected in good order.
    async fn stop_server(&self, id: InstanceId) -> Result<()>;

    /// Takes the server and its configuration away; the volume stays.
    async fn delete_server(&self, id: InstanceId) -> Result<()>;

    /// Takes the volume and all data away.
    async fn delete_volume(&self, id: InstanceId) -> Result<()>;

    /// Starts a job, or finds the one of that name.
    async fn launch(&self, job: &JobSpec) -> Result<()>;

    /// How a job is.
    async fn observe(&self, name: &str) -> Result<JobState>;

    /// The events of a job after number `after`, live, until the job has ended and its last event was given. Lines that
    /// are no events (a crash's last words) come as events of level `error` with number 0; what a job waits for that has
    /// not begun comes as events of level `warn` with number 0, while it waits.
    async fn events(&self, name: &str, after: u64) -> Result<BoxStream<'static, Result<AgentEvent>>>;

    /// Asks a job to stop (SIGTERM) and, after a grace of `grace`, ends it; returns when it has ended or was not there.
    async fn stop(&self, name: &str, grace: Duration) -> Result<()>;

    /// Takes away what an ended job left.
    async fn remove(&self, name: &str) -> Result<()>;

    /// The names of all jobs that are there, for sweeping.
    async fn jobs(&self) -> Result<Vec<String>>;

    /// The ids of all instances of which any part is there, for sweeping.
    async fn instances(&self) -> Result<Vec<InstanceId>>;

    /// The values of a secret of the platform's own, where an administrator made it readable: on Kubernetes, a Secret.
    async fn read_secret(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, Secret>>;
}
