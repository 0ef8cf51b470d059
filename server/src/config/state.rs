//! Where the state of Toygres is.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use platform::Secret;

/// The state database, the data directory and the encryption key.
#[derive(Args, Clone)]
pub(crate) struct StateOptions {
    /// The state database [default: an embedded PostgreSQL server in the data directory; `api` and `worker` have no default].
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// The directory of everything that this machine stores [default: ~/.local/share/toygres, as root /var/lib/toygres].
    #[arg(long, env = "TOYGRES_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The key that secrets are sealed with, 32 bytes in base64 [default: a generated key in the data directory].
    #[arg(long, env = "TOYGRES_ENCRYPTION_KEY", hide_env_values = true, value_name = "BASE64")]
    encryption_key: Option<String>,
    /// The account that runs PostgreSQL and jobs if Toygres runs as root.
    #[arg(long, env = "TOYGRES_RUN_AS", value_name = "USER")]
    pub(crate) run_as: Option<String>,
    /// Additional directories with the programs of PostgreSQL.
    #[arg(long, env = "TOYGRES_POSTGRES_BIN", value_delimiter = ':', value_name = "DIR")]
    pub(crate) postgres_bin: Vec<PathBuf>,
}

impl StateOptions {
    /// The data directory.
    ///
    /// # Errors
    /// No directory is given and the account has no home directory.
    pub(crate) fn data_dir(&self) -> anyhow::Result<PathBuf> {
        if let Some(dir) = &self.data_dir {
            return std::path::absolute(dir).context("resolve the data directory");
        }
        if rustix::process::geteuid().is_root() {
            return Ok(PathBuf::from("/var/lib/toygres"));
        }
        let home = std::env::home_dir().context("the account has no home directory; set --data-dir")?;
        Ok(home.join(".local/share/toygres"))
    }

    /// The given encryption key.
    pub(crate) fn encryption_key(&self) -> Option<Secret> {
        self.encryption_key.clone().filter(|key| !key.is_empty()).map(Secret::from)
    }

    /// The file of the generated encryption key.
    pub(crate) fn key_file(&self) -> anyhow::Result<PathBuf> {
        Ok(self.data_dir()?.join("encryption.key"))
    }
}
