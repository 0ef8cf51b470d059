//! The agent's program where jobs find it: a copy below the data directory, so that jobs may run it as another user and
//! a new build does not change it under a job's feet.

use std::fs::Permissions;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::{Error, Result};

/// Copies `program` into `dir` under a name made of its contents, if it is not there.
pub(crate) fn install(program: &Path, dir: &Path) -> Result<PathBuf> {
    let bytes = std::fs::read(program).map_err(|error| {
        Error::Impossible(format!(
            "The agent {} cannot be read ({error}). Name it with --agent.",
            program.display()
        ))
    })?;
    let mut hash = DefaultHasher::new();
    bytes.hash(&mut hash);
    let copy = dir.join(format!("toygres-agent-{:016x}", hash.finish()));
    if copy.exists() {
        return Ok(copy);
    }
    let staging = dir.join(format!("new-{}", std::process::id()));
    let write = || -> anyhow::Result<()> {
        std::fs::create_dir_all(dir)?;
        std::fs::set_permissions(dir, Permissions::from_mode(0o755))?;
        std::fs::write(&staging, &bytes)?;
        std::fs::set_permissions(&staging, Permissions::from_mode(0o755))?;
        std::fs::rename(&staging, &copy)?;
        Ok(())
    };
    write().with_context(|| format!("copy the agent into {}", dir.display()))?;
    Ok(copy)
}
