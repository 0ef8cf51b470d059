//! The traits of a platform, one for each of its roles.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use model::{AgentEvent, ImageType, InstanceId, PlatformKind};

use crate::error::Result;
use crate::instance::{Endpoint, Installation, InstanceSpec, ServerState};
use crate::job::{JobSpec, JobState};
use crate::secret::Secret;

/// A place where instances and jobs run: [`Facts`], [`Instances`] and [`Jobs`] in one object.
pub trait Platform: Facts + Instances + Jobs {}

impl<T: Facts + Instances + Jobs + ?Sized> Platform for T {}

/// What a platform is and offers.
#[async_trait]
pub trait Facts: Send + Sync + 'static {
    /// The kind of platform.
    fn kind(&self) -> PlatformKind;

    /// Distinguishes this platform from all others of its kind: the machine and data directory, or the namespace's UID.
    fn identity(&self) -> &str;

    /// The name for users: the namespace, or the data directory.
    fn place(&self) -> &str {
        self.identity()
    }

    /// How to make PostgreSQL (of this major version) available here, in a sentence for users.
    fn install_hint(&self, major: Option<i32>) -> String;

    /// The libraries that a new instance of this type preloads.
    fn preload(&self, image_type: ImageType) -> Vec<String> {
        match image_type {
            ImageType::Stock => Vec::new(),
            ImageType::PgDurable => vec![model::workers::PG_DURABLE.to_owned()],
        }
    }

    /// Why an instance of this type and major version cannot run here, in a sentence for users; none if nothing is known
    /// against it before the instance is created.
    fn unsupported_reason(&self, image_type: ImageType, major: i32) -> Option<String> {
        let _ = (image_type, major);
        None
    }

    /// The command with which a user outside of the platform's network reaches the instance of this name; none if none is
    /// needed.
    fn port_forward_command(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }

    /// The PostgreSQL versions that instances can use here, newest first.
    async fn installations(&self) -> Result<Vec<Installation>>;

    /// The free space for another volume in bytes; none if the platform does not know it.
    async fn free_bytes(&self) -> Result<Option<u64>>;

    /// The values of a Secret of the platform that an administrator made readable for Toygres. Kubernetes only.
    async fn read_secret(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, Secret>>;
}

/// Creates and runs the servers of instances, each on a volume of its own.
#[async_trait]
pub trait Instances: Send + Sync + 'static {
    /// The IDs of all instances of which at least one part exists, for sweeping.
    async fn instances(&self) -> Result<Vec<InstanceId>>;

    /// Creates the empty volume of an instance.
    async fn create_volume(&self, spec: &InstanceSpec) -> Result<()>;

    /// The data directory on the instance's volume, as a job and the server see it.
    fn data_dir(&self, id: InstanceId) -> String;

    /// Configures and starts a server on its volume. A data directory on the volume is used unchanged, with its password (a
    /// restore created it); an empty volume is initialised with `password`.
    async fn deploy_server(&self, spec: &InstanceSpec, password: &Secret) -> Result<()>;

    /// The state of the server.
    async fn observe_server(&self, id: InstanceId) -> Result<ServerState>;

    /// The address of the server; none before it was deployed.
    async fn endpoint(&self, id: InstanceId) -> Result<Option<Endpoint>>;

    /// Starts a stopped server.
    async fn start_server(&self, id: InstanceId) -> Result<()>;

    /// Disconnects all clients and stops the server. Returns when it has stopped.
    async fn stop_server(&self, id: InstanceId) -> Result<()>;

    /// Deletes the server and its configuration, not the volume.
    async fn delete_server(&self, id: InstanceId) -> Result<()>;

    /// Deletes the server, the volume and all data.
    async fn delete_volume(&self, id: InstanceId) -> Result<()>;
}

/// Runs jobs: agent processes, each identified by its name.
#[async_trait]
pub trait Jobs: Send + Sync + 'static {
    /// The names of all jobs that exist, for sweeping.
    async fn jobs(&self) -> Result<Vec<String>>;

    /// Starts a job, unless one of that name and task exists.
    async fn launch(&self, job: &JobSpec) -> Result<()>;

    /// The state of a job.
    async fn observe(&self, name: &str) -> Result<JobState>;

    /// The events of a job after number `after`, live, until the job has ended and its last event was passed on.
    ///
    /// Number 0 marks what the agent did not emit: [`model::EventBody::Waiting`] while the job has not started, log lines of
    /// level `warn` with the platform's other warnings during that time, and log lines of level `error` with the output of
    /// a crash.
    async fn events(&self, name: &str, after: u64) -> Result<BoxStream<'static, Result<AgentEvent>>>;

    /// Asks a job to stop (SIGTERM) and kills it after `grace`. Returns when it has ended or does not exist.
    async fn stop(&self, name: &str, grace: Duration) -> Result<()>;

    /// Deletes a job and everything that belongs to it.
    async fn remove(&self, name: &str) -> Result<()>;
}
