//! The plain data of instances: the installations they use, what they consist of, and the state of their servers.

use model::{Failure, ImageType, InstanceId};
use serde::{Deserialize, Serialize};

/// A PostgreSQL installation that instances can use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// The major version.
    pub major: i32,
    /// The full version.
    pub version: String,
    /// The directory of its programs, as a job sees it; none if the job's container image has them on PATH.
    pub bin_dir: Option<String>,
    /// The names of the extensions that it offers; none if they are unknown until a server runs.
    pub extensions: Option<Vec<String>>,
}

/// The settings of a managed instance.
#[derive(Clone, Debug)]
pub struct InstanceSpec {
    /// Identifies every part of the instance.
    pub id: InstanceId,
    /// The display name.
    pub name: String,
    /// The major version of PostgreSQL.
    pub major: i32,
    /// Stock or pg_durable.
    pub image_type: ImageType,
    /// Whether connections over loopback need no password.
    pub trust_loopback: bool,
    /// `shared_preload_libraries`.
    pub preload: Vec<String>,
    /// The superuser.
    pub username: String,
    /// The size of the volume in bytes; the platform's default if none. Ignored where volumes have no size.
    pub volume_bytes: Option<i64>,
    /// The DNS label to request for the server's address.
    pub dns_label: Option<String>,
}

/// The address of a server, for clients of the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Host name or IP address.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// The state of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// The server does not exist.
    Absent,
    /// It exists and is stopped.
    Stopped,
    /// It is starting, stopping or restarting as expected; the text names the phase.
    Starting(String),
    /// It cannot start at the moment; an external change may be needed. It starts as soon as the cause is resolved, also if
    /// the code is permanent for other purposes.
    Waiting(Failure),
    /// Its process runs. Only a connection can tell whether it accepts clients.
    Running,
    /// It runs, and its data will be lost when it stops.
    Endangered(Failure),
    /// It cannot run.
    Failed(Failure),
}
