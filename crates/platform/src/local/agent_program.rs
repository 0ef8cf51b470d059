//! The copy of the agent's program that jobs execute. It is below the data directory, so that another OS account can
//! execute it and a new build does not replace it while a job runs.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use model::{Failure, FailureCode};
use tokio::process::{Child, Command};

use super::hash::short_hash;
use crate::Result;

/// Copies `program` into `dir`, unless that exists, under a name that contains the hash of its content.
pub(super) fn install(program: &Path, dir: &Path) -> Result<PathBuf> {
    let bytes = std::fs::read(program).map_err(|error| {
        let detail = format!("the agent {} cannot be read: {error}", program.display());
        Failure::new(FailureCode::PlatformSettingsInvalid, detail).on("--agent")
    })?;
    let copy = dir.join(format!("toygres-agent-{:016x}", short_hash(&bytes)));
    if copy.exists() {
        return Ok(copy);
    }
    let staging = dir.join(format!("new-{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(dir)?;
        std::fs::set_permissions(dir, Permissions::from_mode(0o755))?;
        std::fs::write(&staging, &bytes)?;
        std::fs::set_permissions(&staging, Permissions::from_mode(0o755))?;
        std::fs::rename(&staging, &copy)
    };
    write().with_context(|| format!("copy the agent into {}", dir.display()))?;
    Ok(copy)
}

/// Starts a command of the copy.
pub(super) async fn spawn(command: &mut Command) -> Result<Child> {
    let mut tries = 0;
    loop {
        match command.spawn() {
            // A concurrent fork holds the fresh copy of the program open for writing until its exec.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && tries < 50 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            child => return Ok(child.context("start the agent")?),
        }
    }
}
