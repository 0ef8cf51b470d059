//! The contract between the server and the agent: the task, the events and the result of a job.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::failure::{Failure, FailureCode};
use crate::id::ImageId;
use crate::image_type::ImageType;
use crate::instance::TlsMode;
use crate::log::Level;
use crate::network::NetworkPolicy;
use crate::run::{Progress, Receipt};

pub use crate::exit_class::ExitClass;

/// The environment variable with the directory of the job's secrets: one file for each, named as in the task.
pub const ENV_SECRETS: &str = "TOYGRES_SECRETS";
/// The environment variable with the path of the task, a JSON file.
pub const ENV_TASK: &str = "TOYGRES_TASK";
/// The environment variable with the path of the result file (the termination message on Kubernetes).
pub const ENV_RESULT: &str = "TOYGRES_RESULT";
/// The environment variable with the directory that the agent shares with the container of the scratch server.
pub const ENV_SERVER: &str = "TOYGRES_SERVER";
/// The environment variable with the directory of archives that the container of the scratch server only reads.
pub const ENV_ARCHIVES: &str = "TOYGRES_ARCHIVES";
/// The name of the secret in [`ENV_SECRETS`] with the password of the [`Connection`].
pub const SECRET_PASSWORD: &str = "password";
/// The name of the secret in [`ENV_SECRETS`] with the options of the task's store: a JSON object of strings, by the names of
/// object_store. They take precedence over the environment.
pub const SECRET_STORE: &str = "store.json";
/// The maximum length of a log message in bytes. Longer messages are truncated and end in `…`.
pub const MAX_MESSAGE: usize = 8 * 1024;
/// The maximum size of a result in bytes of JSON: the limit of a termination message.
pub const MAX_RESULT: usize = 4 * 1024;

/// The task of an agent. It contains no secrets; they are files in [`ENV_SECRETS`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentTask {
    /// The run. Run, step and attempt identify everything that the job creates.
    pub run: Uuid,
    /// The step's name.
    pub step: String,
    /// The attempt, from 1.
    pub attempt: i32,
    /// The work.
    pub work: Work,
    /// The prefix below which the log segments `log-<k>.jsonl` are written; none if the log is not stored.
    pub log: Option<Location>,
    /// Which addresses the server of the task may have; any if none. Set if a user named its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkPolicy>,
}

/// A prefix in an object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The store: `file:///…`, `pvc://…`, `az://…` or `s3://…`; its options are the secret [`SECRET_STORE`].
    pub store: String,
    /// The prefix in the store: UUIDs and numbers, without a slash at the ends.
    pub prefix: String,
}

/// The connection parameters of a server. The password is the secret [`SECRET_PASSWORD`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// A host name, an IP address, or the absolute path of a socket directory.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user.
    pub username: String,
    /// The database to connect to first.
    pub database: String,
    /// The TLS mode.
    pub tls: TlsMode,
}

/// The sizes of an earlier image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousImage {
    /// The size of the databases at the source, in bytes.
    pub source_bytes: u64,
    /// The size of the objects, in bytes.
    pub stored_bytes: u64,
}

/// The work of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    /// Backs up a server into an image.
    Backup {
        /// The image.
        image: ImageId,
        /// Where the image is written: the prefix of the attempt.
        to: Location,
        /// The server.
        source: Connection,
        /// The type of the instance, for the manifest.
        image_type: ImageType,
        /// The databases to back up; all if empty.
        databases: Vec<String>,
        /// The number of connections that copy rows concurrently.
        streams: usize,
        /// The directory of the PostgreSQL programs of the source's major version; the agent searches for it if none.
        bin_dir: Option<String>,
        /// Whether programs with known vulnerabilities are refused.
        #[serde(default)]
        fixed_clients: bool,
        /// The newest image of the same databases, for an estimate of the size.
        #[serde(default)]
        previous: Option<PreviousImage>,
    },
    /// Restores an image into a new data directory and stops the server.
    Restore {
        /// Where the image is.
        from: Location,
        /// SHA-256 of the manifest that the backup wrote, in hexadecimal; any manifest is accepted if none.
        #[serde(default)]
        manifest_sha256: Option<String>,
        /// The data directory to create. It must not exist, be empty, or be left by an earlier attempt of this run.
        data_dir: String,
        /// The superuser of the instance (that of the source). Its password is the secret [`SECRET_PASSWORD`].
        superuser: String,
        /// The libraries that the instance preloads; those of the source if none.
        #[serde(default)]
        preload: Option<Vec<String>>,
        /// The number of connections that copy rows concurrently.
        streams: usize,
        /// The directory of the PostgreSQL programs of the target's version; the agent searches for it if none.
        bin_dir: Option<String>,
        /// Whether programs with known vulnerabilities are refused.
        #[serde(default)]
        fixed_clients: bool,
    },
    /// Verifies an image: reads every byte back and compares it with the manifest.
    Verify {
        /// Where the image is.
        from: Location,
        /// SHA-256 of the manifest that the backup wrote, in hexadecimal; any manifest is accepted if none.
        #[serde(default)]
        manifest_sha256: Option<String>,
    },
    /// Tests the connection to a server and reports facts about it.
    Probe {
        /// The server.
        target: Connection,
        /// How long to retry while the host name does not resolve, in seconds.
        dns_seconds: u64,
    },
    /// Writes log lines, to test the platform.
    #[serde(alias = "talk")]
    EmitLines {
        /// The number of lines.
        lines: u64,
    },
    /// Tests whether jobs can use a store: writes, reads, lists and deletes an object.
    ProbeStore {
        /// The store's address.
        store: String,
    },
}

/// One line of an agent's standard output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentEvent {
    /// The number of the event in the attempt, from 1, without gaps.
    pub seq: u64,
    /// The time, by the agent's clock.
    pub at: DateTime<Utc>,
    /// The content.
    #[serde(flatten)]
    pub body: EventBody,
}

/// The content of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventBody {
    /// A log line.
    Log {
        /// The severity.
        level: Level,
        /// The text, one line, secrets removed.
        message: String,
    },
    /// The progress of the job.
    Progress(Progress),
    /// What a job that has not started waits for. Platforms report it; agents never do.
    Waiting(Failure),
    /// The result; the last event.
    Result(AgentResult),
}

/// The result of a job: at most [`MAX_RESULT`] bytes of JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "WireResult")]
pub struct AgentResult {
    /// What went wrong, secrets removed; none if the job succeeded.
    pub failure: Option<Failure>,
    /// The number of the last event before this one.
    pub events: u64,
    /// What the job produced or found.
    pub outcome: Option<Outcome>,
}

impl AgentResult {
    /// The class that the agent's process exits with.
    #[must_use]
    pub fn class(&self) -> ExitClass {
        self.failure.as_ref().map_or(ExitClass::Ok, |failure| ExitClass::from(failure.code))
    }
}

/// The JSON of a result. Agents of earlier versions report a class and a sentence instead of a failure.
#[derive(Deserialize)]
struct WireResult {
    #[serde(default)]
    failure: Option<Failure>,
    #[serde(default)]
    class: Option<ExitClass>,
    #[serde(default)]
    error: Option<String>,
    events: u64,
    outcome: Option<Outcome>,
}

impl From<WireResult> for AgentResult {
    fn from(wire: WireResult) -> Self {
        let code = match wire.class {
            None | Some(ExitClass::Ok) => None,
            Some(ExitClass::Cancelled) => Some(FailureCode::Cancelled),
            Some(_) => Some(FailureCode::Other),
        };
        let earlier = code.map(|code| Failure::new(code, wire.error.unwrap_or_default()));
        Self { failure: wire.failure.or(earlier), events: wire.events, outcome: wire.outcome }
    }
}

/// What a job produced or found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Of a backup: the store has every byte.
    Backup {
        /// SHA-256 of the manifest, in hexadecimal.
        manifest_sha256: String,
        /// The source's full version.
        version: String,
        /// The source's major version.
        major: i32,
        /// The number of copied databases.
        databases: u32,
        /// The number of databases at the source that accept connections; 0 if an earlier version wrote the result.
        #[serde(default)]
        source_databases: u32,
        /// The number of copied tables.
        tables: u64,
        /// The number of copied rows.
        rows: u64,
        /// The size of the source's databases in bytes.
        source_bytes: u64,
        /// The size of the image in the store, in bytes.
        stored_bytes: u64,
    },
    /// Of a restore: the data directory is complete and compared, and the server is stopped.
    Restore {
        /// The comparison with the image.
        receipt: Receipt,
        /// The image's full version.
        version: String,
        /// The image's major version.
        major: i32,
    },
    /// Of a verification: every byte was read back and matched.
    Verify {
        /// The number of objects.
        objects: u64,
        /// The number of bytes.
        bytes: u64,
    },
    /// Of a connection test: facts about the server.
    Probe {
        /// Its full version.
        version: String,
        /// Its major version.
        major: i32,
        /// The size of all databases in bytes.
        bytes: i64,
        /// The names of at most 50 databases.
        databases: Vec<String>,
        /// The `backend_type` of at most 50 background workers.
        workers: Vec<String>,
        /// Whether the user is a superuser.
        superuser: bool,
    },
    /// Of a log test: all lines were written.
    #[serde(alias = "talk")]
    EmitLines {
        /// The number of lines.
        lines: u64,
    },
    /// Of a store test: all requests succeeded.
    ProbeStore,
}
