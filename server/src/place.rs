//! Where this server's instances and jobs live: this machine or a cluster. It knows nothing of what they are for.

use std::path::Path;
use std::sync::Arc;

use platform::Platform;
use platform::kubernetes::KubernetesPlatform;
use platform::local::{LocalConfig, LocalPlatform};

use crate::config::{PlatformKind, Serve};

/// The opened platform, and what only one of the kinds has.
pub(crate) enum Place {
    /// This machine.
    Local(Arc<LocalPlatform>),
    /// A cluster.
    Kubernetes(Arc<KubernetesPlatform>),
}

impl Place {
    /// Opens the platform that the configuration names.
    pub(crate) async fn open(options: &Serve, data_dir: &Path) -> anyhow::Result<Self> {
        Ok(match options.platform {
            PlatformKind::Local => {
                let config = LocalConfig {
                    data_dir: data_dir.to_owned(),
                    agent_program: options.agent()?,
                    user: options.state.run_as.clone(),
                    bin_dirs: options.state.postgres_bin.clone(),
                };
                Self::Local(Arc::new(LocalPlatform::open(config).await?))
            }
            PlatformKind::Kubernetes => {
                let config = options.kubernetes.config()?;
                Self::Kubernetes(Arc::new(KubernetesPlatform::open(config).await?))
            }
        })
    }

    /// The platform, for those who need not know which.
    pub(crate) fn platform(&self) -> Arc<dyn Platform> {
        match self {
            Self::Local(local) => Arc::clone(local) as _,
            Self::Kubernetes(kubernetes) => Arc::clone(kubernetes) as _,
        }
    }

    /// The store that a new CMS begins with. Nothing in a cluster is fit to be one without being asked.
    pub(crate) fn store_url(&self) -> Option<String> {
        match self {
            Self::Local(local) => Some(local.store_url()),
            Self::Kubernetes(_) => None,
        }
    }

    /// Goes on where the machine was when it went down; a cluster does so by itself.
    pub(crate) async fn resume(&self) {
        if let Self::Local(local) = self {
            local.resume().await;
        }
    }
}
