//! Stores and their access settings. They contain no secrets: secrets are references, or encrypted in the state database.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::StoreId;
use crate::failure::Failure;
use crate::text_enum::text_enum;

/// A store as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Its id.
    pub id: StoreId,
    /// Its name.
    pub name: String,
    /// Its address.
    pub url: String,
    /// How it is accessed.
    pub access: StoreAccess,
    /// Whether new images are written to it.
    pub is_default: bool,
    /// The number of its images, without failed backups.
    pub images: i64,
    /// The size of its images in bytes.
    pub stored_bytes: i64,
    /// Why its last periodic check failed; none if it succeeded.
    #[serde(default)]
    pub check_failure: Option<Failure>,
    /// The number of objects that no image uses.
    #[serde(default)]
    pub unused_objects: i64,
    /// The size of the objects that no image uses, in bytes.
    #[serde(default)]
    pub unused_bytes: i64,
}

/// Objects of a store that no image uses, below one prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnusedPrefix {
    /// The name of the store.
    pub store: String,
    /// The prefix, relative to the store.
    pub prefix: String,
    /// The number of objects.
    pub objects: i64,
    /// Their size in bytes.
    pub bytes: i64,
    /// What the seal says about them, if they are a complete image and could be read.
    pub seal: Option<Seal>,
    /// When they were first seen.
    pub first_seen: DateTime<Utc>,
    /// When they were last seen.
    pub last_seen: DateTime<Utc>,
}

text_enum! {
    /// What the seal of an image says about its manifest.
    Seal {
        /// This installation has published exactly this manifest.
        Original = "original",
        /// There is no seal: the image was made before seals existed, was never published, or the seal was deleted.
        Missing = "missing",
        /// The seal names the key of this installation and is not one of this manifest, or it cannot be read.
        Mismatch = "mismatch",
        /// The seal names another key: of another installation, or of this one before its key was replaced. It proves nothing.
        OtherKey = "other_key",
    }
}

/// The authentication method of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StoreAuth {
    /// The environment of the process (`AZURE_*`, `AWS_*`). Also for directories.
    #[default]
    Environment,
    /// A workload identity of Azure.
    AzureIdentity {
        /// The application (client) id; that of the environment if none.
        client_id: Option<String>,
        /// The tenant; that of the environment if none.
        tenant_id: Option<String>,
        /// The authority that exchanges tokens; Microsoft's public cloud if none.
        authority_host: Option<String>,
    },
    /// A role of AWS that is assumed by web identity.
    AwsIdentity {
        /// The ARN of the role.
        role_arn: String,
        /// The endpoint of STS; Amazon's if none.
        sts_endpoint: Option<String>,
    },
    /// A Secret of the cluster that Toygres may read. It is read at each use.
    Secret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Keys that a user entered, encrypted in the state database.
    Sealed,
}

text_enum! {
    /// The kind of a [`StoreAuth`], for forms.
    StoreAuthKind {
        /// [`StoreAuth::Environment`].
        Environment = "environment",
        /// [`StoreAuth::AzureIdentity`].
        AzureIdentity = "azure_identity",
        /// [`StoreAuth::AwsIdentity`].
        AwsIdentity = "aws_identity",
        /// [`StoreAuth::Secret`].
        Secret = "secret",
        /// [`StoreAuth::Sealed`].
        Sealed = "sealed",
    }
}

text_enum! {
    /// The tool that uploads objects to a store.
    Transfer {
        /// The client of Toygres, the default.
        ObjectStore = "object_store",
        /// Microsoft's azcopy, which must be installed in the jobs' container image or machine.
        Azcopy = "azcopy",
    }
}

/// The access settings of a store, in addition to its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreAccess {
    /// The authentication method.
    pub auth: StoreAuth,
    /// The URL of the service, if not the provider's own: S3-compatible stores, Azurite, private endpoints.
    pub endpoint: Option<String>,
    /// The region of the bucket.
    pub region: Option<String>,
    /// Root certificates in PEM, trusted in addition to the system's.
    pub root_certificate: Option<String>,
    /// The tool that uploads objects.
    pub transfer: Transfer,
}

impl Default for StoreAccess {
    fn default() -> Self {
        Self {
            auth: StoreAuth::Environment,
            endpoint: None,
            region: None,
            root_certificate: None,
            transfer: Transfer::ObjectStore,
        }
    }
}

impl StoreAuth {
    /// The kind of the method.
    #[must_use]
    pub fn kind(&self) -> StoreAuthKind {
        match self {
            Self::Environment => StoreAuthKind::Environment,
            Self::AzureIdentity { .. } => StoreAuthKind::AzureIdentity,
            Self::AwsIdentity { .. } => StoreAuthKind::AwsIdentity,
            Self::Secret { .. } => StoreAuthKind::Secret,
            Self::Sealed => StoreAuthKind::Sealed,
        }
    }
}
