//! Instances as people and programs see them; no secret is among the fields.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureCode};
use crate::id::{ImageId, InstanceId, PlatformId, RunId};
use crate::image::ImageType;
use crate::text_enum::text_enum;
use crate::workers;

text_enum! {
    /// Where an instance comes from.
    Origin {
        /// Toygres made it and may stop and delete it.
        Managed = "managed",
        /// Toygres was told of it and only reads from it.
        External = "external",
    }
}

text_enum! {
    /// Where an instance stands.
    InstanceStatus {
        /// A run is making it.
        Creating = "creating",
        /// It is there for clients.
        Running = "running",
        /// A run is stopping it.
        Stopping = "stopping",
        /// A person stopped it.
        Stopped = "stopped",
        /// A run is starting it again.
        Starting = "starting",
        /// The run that was to make it failed; its parts are gone.
        Failed = "failed",
        /// A run is deleting it.
        Deleting = "deleting",
    }
}

text_enum! {
    /// What the last look at an instance found.
    Health {
        /// It answered.
        Ok = "ok",
        /// It should answer and did not.
        Down = "down",
        /// Nobody has looked yet, or it is not meant to answer.
        Unknown = "unknown",
    }
}

text_enum! {
    /// How a connection to an instance is protected (libpq's `sslmode`).
    TlsMode {
        /// No TLS: on loopback only, or inside a network that one trusts.
        Disable = "disable",
        /// TLS if the server has it, its certificate unchecked.
        Prefer = "prefer",
        /// TLS always, the server's certificate unchecked.
        Require = "require",
        /// TLS always, certificate and host name checked against the system's authorities.
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
    /// Where it lives.
    pub platform: PlatformId,
    /// Made here, or added.
    pub origin: Origin,
    /// Where it stands.
    pub status: InstanceStatus,
    /// Stock PostgreSQL, or with pg_durable.
    pub image_type: ImageType,
    /// The server's full version, such as `15.20`; none before it was seen.
    pub version: Option<String>,
    /// The major version, such as 15.
    pub major: Option<i32>,
    /// Where clients connect to.
    pub host: Option<String>,
    /// The port that clients connect to.
    pub port: Option<i32>,
    /// The superuser, or for an external instance the user that was given.
    pub username: String,
    /// The database that is connected to first.
    pub database: String,
    /// How connections are protected.
    pub tls: TlsMode,
    /// Whether connections over loopback need no password.
    pub trust_loopback: bool,
    /// The libraries that its server preloads, as far as Toygres chose them.
    pub preload: Vec<String>,
    /// The kinds (`backend_type`) of its background processes at the last look.
    pub workers: Vec<String>,
    /// The size of its volume in bytes, where volumes have one.
    pub volume_bytes: Option<i64>,
    /// The Secret that holds its password, as `namespace/name/key`, where Toygres does not keep it.
    pub secret_ref: Option<String>,
    /// The name that was asked for in DNS, where the platform makes one.
    pub dns_label: Option<String>,
    /// The image that it was restored from.
    pub source_image: Option<ImageId>,
    /// What the last look found.
    pub health: Health,
    /// What the last health check reported, if not success.
    pub health_detail: Option<Failure>,
    /// When that look was.
    pub health_at: Option<DateTime<Utc>>,
    /// Bytes of all databases at that look.
    pub size_bytes: Option<i64>,
    /// Its databases at that look.
    pub databases: Vec<String>,
    /// When its newest image that is available was made.
    pub last_image_at: Option<DateTime<Utc>>,
    /// When an image of it was last proven by a restore.
    pub last_proven_at: Option<DateTime<Utc>>,
    /// The run that is changing it now, or that failed to make it.
    pub run: Option<RunId>,
    /// When it was made or added.
    pub created_at: DateTime<Utc>,
}

impl Instance {
    /// Whether a user cancelled its creation.
    #[must_use]
    pub fn was_cancelled(&self) -> bool {
        self.status == InstanceStatus::Failed
            && self.health_detail.as_ref().is_some_and(|failure| failure.code == FailureCode::Cancelled)
    }

    /// The libraries of which a background worker is missed, if any is.
    #[must_use]
    pub fn missing_worker(&self) -> Option<Vec<String>> {
        let awaited = workers::awaited(self.image_type, &self.preload);
        (!workers::seen(&awaited, &self.workers)).then_some(awaited)
    }
}

/// What a person asks for when making an instance; the REST body and the form are this.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct NewInstance {
    /// The name to give it.
    pub name: String,
    /// The superuser's password; generated if empty; ignored when `source_image_id` is given.
    pub password: Option<String>,
    /// Restore this image into it.
    pub source_image_id: Option<ImageId>,
    /// A DNS label to ask the platform for.
    pub dns_label: Option<String>,
    /// The size of its volume in bytes, on Kubernetes; from the data's size if not given.
    pub volume_bytes: Option<i64>,
    /// The PostgreSQL major version; if not given, the newest one, or the source's when restoring.
    pub major: Option<i32>,
    /// `stock` or `pg_durable`; from the image when restoring.
    pub image_type: Option<ImageType>,
    /// Trust connections over loopback without a password.
    pub trust_loopback: Option<bool>,
}

/// What a person gives when adding an instance that exists already.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ExternalInstance {
    /// The name to give it here.
    pub name: String,
    /// Host name or address; no URL, no path.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user to connect as; backing up everything needs a superuser.
    pub username: String,
    /// That user's password; empty when `secret_ref` is given.
    pub password: String,
    /// On Kubernetes: the Secret that holds it, as `namespace/name/key`; it is read each time it is used.
    pub secret_ref: Option<String>,
    /// The database to connect to first.
    pub database: String,
    /// How to protect connections; `prefer` if not given.
    pub tls: Option<TlsMode>,
    /// `stock` or `pg_durable`; stock if not given.
    pub image_type: Option<ImageType>,
}
