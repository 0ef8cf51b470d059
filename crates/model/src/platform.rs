//! The platform that runs instances and jobs.

use serde::{Deserialize, Serialize};

use crate::text_enum::text_enum;

text_enum! {
    /// The kind of a platform.
    PlatformKind {
        /// The machine of the server.
        Local = "local",
        /// A namespace of a Kubernetes cluster.
        Kubernetes = "kubernetes",
    }
}

/// The platform that runs instances and jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformInfo {
    /// The kind.
    pub kind: PlatformKind,
    /// Its name for users: the namespace, or the directory.
    pub name: String,
}

impl PlatformInfo {
    /// Whether it is a Kubernetes cluster.
    #[must_use]
    pub fn is_kubernetes(&self) -> bool {
        self.kind == PlatformKind::Kubernetes
    }

    /// The name of the platform: `Kubernetes namespace toygres-managed`, `local`.
    #[must_use]
    pub fn label(&self) -> String {
        match self.kind {
            PlatformKind::Local => "local".to_owned(),
            PlatformKind::Kubernetes => format!("Kubernetes namespace {}", self.name),
        }
    }

    /// The name with a preposition: `in the Kubernetes namespace toygres-managed`, `on the Toygres host`.
    #[must_use]
    pub fn at(&self) -> String {
        match self.kind {
            PlatformKind::Local => "on the Toygres host".to_owned(),
            PlatformKind::Kubernetes => format!("in the Kubernetes namespace {}", self.name),
        }
    }
}
