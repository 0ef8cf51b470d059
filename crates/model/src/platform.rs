//! Where instances and jobs live, as pages and programs name it.

use serde::{Deserialize, Serialize};

use crate::text_enum::text_enum;

text_enum! {
    /// The kinds of places.
    PlatformKind {
        /// This machine.
        Local = "local",
        /// A namespace of a Kubernetes cluster.
        Kubernetes = "kubernetes",
    }
}

/// Where instances and jobs live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformInfo {
    /// Its kind.
    pub kind: PlatformKind,
    /// What people call it: the namespace, or the directory.
    pub name: String,
}

impl PlatformInfo {
    /// Whether it is a cluster.
    #[must_use]
    pub fn is_kubernetes(&self) -> bool {
        self.kind == PlatformKind::Kubernetes
    }

    /// `Kubernetes namespace toygres-managed`, `this machine`.
    #[must_use]
    pub fn label(&self) -> String {
        match self.kind {
            PlatformKind::Local => "this machine".to_owned(),
            PlatformKind::Kubernetes => format!("Kubernetes namespace {}", self.name),
        }
    }

    /// `in the Kubernetes namespace toygres-managed`, `on this machine`.
    #[must_use]
    pub fn at(&self) -> String {
        match self.kind {
            PlatformKind::Local => "on this machine".to_owned(),
            PlatformKind::Kubernetes => format!("in the Kubernetes namespace {}", self.name),
        }
    }
}
