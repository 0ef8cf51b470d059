//! The platform of this server, opened as the configuration names it.

use std::path::Path;
use std::sync::Arc;

use control::{Services, store_checks};
use model::PlatformKind;
use platform::Platform;
use platform::kubernetes::KubernetesPlatform;
use platform::local::{LocalConfig, LocalPlatform};

use crate::config::Serve;

/// The opened platform.
pub(crate) enum OpenPlatform {
    Local(Arc<LocalPlatform>),
    Kubernetes(Arc<KubernetesPlatform>),
}

impl OpenPlatform {
    /// Opens the platform that the configuration names.
    ///
    /// # Errors
    /// A setting is missing or invalid, or the platform is unavailable.
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

    /// The platform of either kind.
    pub(crate) fn platform(&self) -> Arc<dyn Platform> {
        match self {
            Self::Local(local) => Arc::clone(local) as _,
            Self::Kubernetes(kubernetes) => Arc::clone(kubernetes) as _,
        }
    }

    /// The default store of a new state database; on Kubernetes there is none.
    pub(crate) fn store_url(&self) -> Option<String> {
        match self {
            Self::Local(local) => Some(local.store_url()),
            Self::Kubernetes(_) => None,
        }
    }

    /// Creates the directory of the local store. If images were written to it, a missing directory is not created: its volume
    /// may not be mounted, and an empty directory in its place would accept new images.
    ///
    /// # Errors
    /// The state database is unavailable, or the operating system refuses.
    pub(crate) async fn make_store(&self, services: &Services) -> anyhow::Result<()> {
        let Self::Local(local) = self else { return Ok(()) };
        let directory = local.store_dir();
        if !directory.exists() && store_checks::has_images(services, &local.store_url()).await? {
            tracing::error!(
                directory = %directory.display(),
                "the directory of the store does not exist, but images were written to it: mount its volume"
            );
            return Ok(());
        }
        Ok(local.make_store_dir()?)
    }

    /// Starts the servers that ran before the machine stopped; a cluster does so on its own.
    pub(crate) async fn resume(&self) {
        if let Self::Local(local) = self {
            local.resume().await;
        }
    }
}
