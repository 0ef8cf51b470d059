//! The whole contract between the server and the agent: the task that goes in, the events and the result that come out.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::failure::{Failure, FailureCode};
use crate::id::ImageId;
use crate::image::ImageType;
use crate::instance::TlsMode;
use crate::run::{Progress, Receipt};
use crate::text_enum::text_enum;

/// Names the directory that holds the job's secrets, one file each, named as the task names them.
pub const ENV_SECRETS: &str = "TOYGRES_SECRETS";
/// Names the file that holds the task, as JSON.
pub const ENV_TASK: &str = "TOYGRES_TASK";
/// Names the file that the result goes to (the termination message on Kubernetes).
pub const ENV_RESULT: &str = "TOYGRES_RESULT";
/// The secret in [`ENV_SECRETS`] that holds the password of [`Connection`].
pub const SECRET_PASSWORD: &str = "password";
/// The secret in [`ENV_SECRETS`] that holds the options of the task's store: a JSON object of texts, by the names that the
/// object store's library gives them. They win over what the environment says.
pub const SECRET_STORE: &str = "store.json";
/// The longest log message in bytes; longer ones are cut and end in `…`.
pub const MAX_MESSAGE: usize = 8 * 1024;
/// The longest result in bytes of JSON: what a termination message holds.
pub const MAX_RESULT: usize = 4 * 1024;

/// What an agent is to do. It holds no secret: those come as files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentTask {
    /// The run; with step and attempt it names everything that the job makes.
    pub run: Uuid,
    /// The step's name.
    pub step: String,
    /// The attempt, from 1.
    pub attempt: i32,
    /// What to do.
    pub work: Work,
    /// Where the job's log segments go: `log-<k>.jsonl` below this prefix of the store; nowhere if none.
    pub log: Option<Location>,
}

/// A prefix in an object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The store: `file:///…`, `pvc://…`, `az://…` or `s3://…`; its options are the secret [`SECRET_STORE`].
    pub store: String,
    /// The prefix below it, UUIDs and numbers only, no slash at either end.
    pub prefix: String,
}

/// How to reach a server; the password is the secret [`SECRET_PASSWORD`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Host name, address, or the absolute path of a socket directory.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user.
    pub username: String,
    /// The database to connect to first.
    pub database: String,
    /// How to protect it.
    pub tls: TlsMode,
}

/// The kinds of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    /// Copies a server into an image.
    Backup {
        /// The image.
        image: ImageId,
        /// Where it goes: the attempt's prefix.
        to: Location,
        /// The server.
        source: Connection,
        /// Stock or pg_durable, for the manifest.
        image_type: ImageType,
        /// Only these databases; all if empty.
        databases: Vec<String>,
        /// How many connections copy rows at once.
        streams: usize,
        /// Where the programs of the source's major version are; found by the agent if none.
        bin_dir: Option<String>,
    },
    /// Fills a fresh data directory from an image and hands it over, stopped.
    Restore {
        /// Where the image is.
        from: Location,
        /// The data directory to make; it must be missing or empty, or left by an earlier attempt of this run.
        data_dir: String,
        /// The superuser that the instance is to have (the source's); its password is [`SECRET_PASSWORD`].
        superuser: String,
        /// How many connections copy rows at once.
        streams: usize,
        /// Where the programs of the target's version are; found by the agent if none.
        bin_dir: Option<String>,
    },
    /// Reads every object of an image back and compares it with the manifest.
    Verify {
        /// Where the image is.
        from: Location,
    },
    /// Connects to a server and reports its facts: the connection test.
    Probe {
        /// The server.
        target: Connection,
        /// How long to go on while the name does not resolve, in seconds.
        dns_seconds: u64,
    },
    /// Says so many lines; for tests of the log's way.
    Talk {
        /// How many.
        lines: u64,
    },
    /// Writes, reads, lists and deletes an object in a store: whether jobs can use it.
    ProbeStore {
        /// The store's address.
        store: String,
    },
}

text_enum! {
    /// How grave a log line is.
    Level {
        /// For whoever looks for a cause.
        Debug = "debug",
        /// What goes on.
        Info = "info",
        /// Know this.
        Warn = "warn",
        /// What went wrong.
        Error = "error",
    }
}

/// One line of an agent's standard output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentEvent {
    /// Its number, from 1, without gaps in one attempt.
    pub seq: u64,
    /// When, by the agent's clock.
    pub at: DateTime<Utc>,
    /// What.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventBody {
    /// A line for people.
    Log {
        /// How grave.
        level: Level,
        /// One line, secrets taken out.
        message: String,
    },
    /// How far the job is.
    Progress(Progress),
    /// What a job that has not started waits for. Platforms report it; agents never do.
    Waiting(Failure),
    /// How it ended; the last event.
    Result(AgentResult),
}

text_enum! {
    /// The class of an exit, which decides what happens next.
    ExitClass {
        /// All done and checked.
        Ok = "ok",
        /// The task cannot work as it is: retrying is no use.
        Configuration = "configuration",
        /// A server or store refused who we are.
        Authentication = "authentication",
        /// A server or store could not be reached.
        Unreachable = "unreachable",
        /// What was read is not what was written.
        Verification = "verification",
        /// It may work the next time.
        Transient = "transient",
        /// Somebody asked to stop.
        Cancelled = "cancelled",
    }
}

impl ExitClass {
    /// The process' exit code.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Ok => 0,
            Self::Configuration => 10,
            Self::Authentication => 11,
            Self::Unreachable => 12,
            Self::Verification => 13,
            Self::Transient => 20,
            Self::Cancelled => 143,
        }
    }

    /// The class of an exit code; a code that the agent does not use is transient.
    #[must_use]
    pub fn of(code: i32) -> Self {
        Self::ALL.iter().copied().find(|class| class.code() == code).unwrap_or(Self::Transient)
    }
}

impl From<FailureCode> for ExitClass {
    /// The class of a failure.
    fn from(code: FailureCode) -> Self {
        use FailureCode as Code;
        match code {
            Code::Cancelled => Self::Cancelled,
            Code::ObjectDamaged | Code::ObjectMissing | Code::ManifestMissing | Code::RestoreDiffers => {
                Self::Verification
            }
            Code::PasswordMissing
            | Code::PasswordRejected
            | Code::ConnectionNotAdmitted
            | Code::LoginDenied
            | Code::StoreAccessDenied
            | Code::StoreKeyRejected
            | Code::StoreCredentialsExpired
            | Code::StoreCredentialsMissing
            | Code::StoreKeysDisabled
            | Code::StoreSasTooNarrow
            | Code::StoreIdentityRejected
            | Code::StoreIdentityUnknown
            | Code::StoreAccountRefused
            | Code::StorePermissionDenied => Self::Authentication,
            Code::HostNotResolved
            | Code::ConnectionRefused
            | Code::ConnectionTimedOut
            | Code::ConnectionLost
            | Code::ServerNotReady
            | Code::StoreUnreachable
            | Code::StoreNameNotResolved => Self::Unreachable,
            code if code.is_permanent() => Self::Configuration,
            _ => Self::Transient,
        }
    }
}

/// How a job ended: at most [`MAX_RESULT`] bytes of JSON.
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

/// A result as it is read: agents of earlier versions report a class and a sentence instead of a failure.
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
    /// Of a backup: the store holds every byte.
    Backup {
        /// SHA-256 of the manifest, in hexadecimal.
        manifest_sha256: String,
        /// The source's full version.
        version: String,
        /// The source's major version.
        major: i32,
        /// Databases copied.
        databases: u32,
        /// Databases that accept connections at the source; 0 if an earlier version wrote the result.
        #[serde(default)]
        source_databases: u32,
        /// Tables copied.
        tables: u64,
        /// Rows copied.
        rows: u64,
        /// Bytes of the source's databases.
        source_bytes: u64,
        /// Bytes in the store.
        stored_bytes: u64,
    },
    /// Of a restore: the data directory is complete, stopped, and equal.
    Restore {
        /// The comparison.
        receipt: Receipt,
        /// The image's full version.
        version: String,
        /// The image's major version.
        major: i32,
    },
    /// Of a verification: every byte was read and matched.
    Verify {
        /// Objects read.
        objects: u64,
        /// Bytes read.
        bytes: u64,
    },
    /// Of a probe: the server answered.
    Probe {
        /// Its full version.
        version: String,
        /// Its major version.
        major: i32,
        /// Bytes of all databases.
        bytes: i64,
        /// Names of its databases, cut after 50.
        databases: Vec<String>,
        /// `backend_type` of its background workers, cut after 50.
        workers: Vec<String>,
        /// Whether the user is a superuser.
        superuser: bool,
    },
    /// Of talk: all was said.
    Talk {
        /// Lines said.
        lines: u64,
    },
    /// Of a store's probe: it was written, read, listed and deleted from.
    ProbeStore,
}
