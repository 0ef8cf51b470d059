//! Instances, as the dashboard and the REST API show them. No field contains a secret.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureCode};
use crate::id::{ImageId, InstanceId, PlatformId, RunId};
use crate::image_type::ImageType;
use crate::text_enum::text_enum;
use crate::workers;

text_enum! {
    /// The origin of an instance.
    Origin {
        /// Created by Toygres, which may stop and delete it.
        Managed = "managed",
        /// Added by a user. Toygres only reads from it.
        External = "external",
    }
}

text_enum! {
    /// The state of an instance.
    InstanceStatus {
        /// A run is creating it.
        Creating = "creating",
        /// It accepts clients.
        Running = "running",
        /// A run is stopping it.
        Stopping = "stopping",
        /// A user stopped it.
        Stopped = "stopped",
        /// A run is starting it.
        Starting = "starting",
        /// Its creation failed, and its parts were deleted.
        Failed = "failed",
        /// A run is deleting it.
        Deleting = "deleting",
    }
}

text_enum! {
    /// The result of the last health check.
    Health {
        /// The server answered.
        Ok = "ok",
        /// The server should run and did not answer.
        Down = "down",
        /// Not checked yet, or not running.
        Unknown = "unknown",
    }
}

text_enum! {
    /// The TLS mode of connections to an instance (libpq's `sslmode`).
    TlsMode {
        /// No TLS: for the loopback interface and trusted networks.
        Disable = "disable",
        /// TLS if the server supports it. The certificate is not checked.
        Prefer = "prefer",
        /// TLS required. The certificate is not checked.
        Require = "require",
        /// TLS required. The certificate and the host name are checked against the system's root certificates.
        VerifyFull = "verify-full",
    }
}

/// One PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its name, unique on its platform.
    pub name: String,
    /// The platform that runs it.
    pub platform: PlatformId,
    /// The origin.
    pub origin: Origin,
    /// The state.
    pub status: InstanceStatus,
    /// The type of the server.
    pub image_type: ImageType,
    /// The full version of the server, such as `15.20`; none before the first health check.
    pub version: Option<String>,
    /// The major version, such as 15.
    pub major: Option<i32>,
    /// The host that clients connect to.
    pub host: Option<String>,
    /// The port that clients connect to.
    pub port: Option<i32>,
    /// The superuser; for an external instance the user that Toygres connects as.
    pub username: String,
    /// The database to connect to first.
    pub database: String,
    /// The TLS mode of connections.
    pub tls: TlsMode,
    /// Whether connections over the loopback interface need no password.
    pub trust_loopback: bool,
    /// The preloaded libraries that Toygres configured.
    pub preload: Vec<String>,
    /// The `backend_type` of its background processes at the last health check.
    pub workers: Vec<String>,
    /// The size of its volume in bytes, on platforms with volumes.
    pub volume_bytes: Option<i64>,
    /// The Secret with its password, as `namespace/name/key`; none if Toygres stores the password.
    pub secret_ref: Option<String>,
    /// The requested DNS label, on platforms that create DNS names.
    pub dns_label: Option<String>,
    /// The image that it was restored from.
    pub source_image: Option<ImageId>,
    /// The result of the last health check.
    pub health: Health,
    /// The failure that the last health check reported.
    pub health_detail: Option<Failure>,
    /// The time of the last health check.
    pub health_at: Option<DateTime<Utc>>,
    /// The size of all databases at the last health check, in bytes.
    pub size_bytes: Option<i64>,
    /// The names of its databases at the last health check.
    pub databases: Vec<String>,
    /// When its newest available image was created.
    pub last_image_at: Option<DateTime<Utc>>,
    /// When an image of it was last proven by a restore.
    pub last_proven_at: Option<DateTime<Utc>>,
    /// The run that changes it, or that failed to create it.
    pub run: Option<RunId>,
    /// When it was created or added.
    pub created_at: DateTime<Utc>,
}

impl Instance {
    /// Whether a user cancelled its creation.
    #[must_use]
    pub fn was_cancelled(&self) -> bool {
        self.status == InstanceStatus::Failed
            && self.health_detail.as_ref().is_some_and(|failure| failure.code == FailureCode::Cancelled)
    }

    /// The libraries of which the background worker is missing; none if a worker runs or none is expected.
    #[must_use]
    pub fn missing_worker(&self) -> Option<Vec<String>> {
        let expected = workers::awaited(self.image_type, &self.preload);
        (!workers::seen(&expected, &self.workers)).then_some(expected)
    }
}

/// A request for a new instance: the body of the REST request and the fields of the form.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct NewInstance {
    /// The name of the instance.
    pub name: String,
    /// The superuser's password; generated if empty; ignored when `source_image_id` is given.
    pub password: Option<String>,
    /// The image to restore; an empty instance if none.
    pub source_image_id: Option<ImageId>,
    /// The DNS label to request from the platform.
    pub dns_label: Option<String>,
    /// The size of its volume in bytes, on Kubernetes; derived from the size of the data if not given.
    pub volume_bytes: Option<i64>,
    /// The PostgreSQL major version; if not given, the newest one, or the source's when restoring.
    pub major: Option<i32>,
    /// `stock` or `pg_durable`; from the image when restoring.
    pub image_type: Option<ImageType>,
    /// Whether connections over the loopback interface need no password.
    pub trust_loopback: Option<bool>,
}

/// A request to add an existing instance: the body of the REST request and the fields of the form.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ExternalInstance {
    /// The name of the instance in Toygres.
    pub name: String,
    /// The host name or IP address, not a URL.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user to connect as. A complete backup needs a superuser.
    pub username: String,
    /// The password of the user; empty if `secret_ref` is given.
    pub password: String,
    /// On Kubernetes: the Secret with the password, as `namespace/name/key`. It is read at each use.
    pub secret_ref: Option<String>,
    /// The database to connect to first.
    pub database: String,
    /// The TLS mode; `prefer` if not given.
    pub tls: Option<TlsMode>,
    /// `stock` or `pg_durable`; stock if not given.
    pub image_type: Option<ImageType>,
}
