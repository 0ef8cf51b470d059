//! How a store is opened. None of it is secret: secrets are referred to, or sealed in the CMS.

use serde::{Deserialize, Serialize};

use crate::text_enum::text_enum;

/// Who Toygres is to a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StoreAuth {
    /// What the process has in its environment (`AZURE_*`, `AWS_*`); a directory needs no more.
    #[default]
    Environment,
    /// A workload identity of Azure.
    AzureIdentity {
        /// The application (client) id; the environment's if none.
        client_id: Option<String>,
        /// The tenant; the environment's if none.
        tenant_id: Option<String>,
        /// Where tokens are exchanged; Microsoft's public cloud if none.
        authority_host: Option<String>,
    },
    /// A role of AWS, assumed by web identity.
    AwsIdentity {
        /// The role.
        role_arn: String,
        /// Where it is assumed, if not at Amazon's.
        sts_endpoint: Option<String>,
    },
    /// A Secret of the cluster that an administrator made readable, read whenever it is used.
    Secret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Keys that somebody typed, sealed in the CMS.
    Sealed,
}

text_enum! {
    /// The kinds of [`StoreAuth`], as a form offers them.
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
    /// What carries objects into a store.
    Transfer {
        /// Toygres' own client: the default.
        ObjectStore = "object_store",
        /// Microsoft's azcopy, found where jobs run.
        Azcopy = "azcopy",
    }
}

/// How a store is opened, besides its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreAccess {
    /// Who Toygres is to it.
    pub auth: StoreAuth,
    /// The service's address, where it is not the provider's own: S3-compatible stores, Azurite, private endpoints.
    pub endpoint: Option<String>,
    /// The region of a bucket.
    pub region: Option<String>,
    /// Certificates in PEM to trust besides the system's.
    pub root_certificate: Option<String>,
    /// What carries objects there.
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
    /// Its kind.
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
