//! The working directory of a run: short and private, for sockets, logs and libpq's password file. It is named after the run, so
//! that the next attempt removes what a killed attempt left.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use model::{Failure, FailureCode};
use uuid::Uuid;

use crate::run_as::RunAs;

/// The directory. It is removed when dropped.
#[derive(Debug)]
pub(crate) struct WorkDir(PathBuf);

impl WorkDir {
    /// Creates an empty directory for a run, which `run_as` can enter where the agent is root.
    pub(crate) fn create(run: Uuid, run_as: Option<RunAs>) -> Result<Self> {
        Self::create_in(&std::env::temp_dir(), run, run_as)
    }

    /// The same, in another directory than that of temporary files.
    pub(crate) fn create_in(parent: &Path, run: Uuid, run_as: Option<RunAs>) -> Result<Self> {
        let path = path_of(parent, run);
        remove(&path, run_as)?;
        create_dir(&path, if run_as.is_some() { 0o711 } else { 0o700 })?;
        Ok(Self(path))
    }

    /// Creates the directory for the socket and the temporary files of a server that runs as `run_as`. Only there the server can
    /// replace files.
    pub(crate) fn socket_dir(&self, run_as: Option<RunAs>) -> Result<PathBuf> {
        let path = self.0.join("server");
        create_dir(&path, 0o700)?;
        RunAs::own(run_as, &path).with_context(|| format!("cannot set the owner of {}", path.display()))?;
        Ok(path)
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a password file for libpq, which only its owner may read.
    ///
    /// # Errors
    /// The file cannot be written, or cannot represent the password.
    pub(crate) fn passfile(&self, password: &str) -> Result<PathBuf> {
        if password.contains(['\n', '\r', '\0']) {
            let detail =
                "the password contains a line break or NUL, which a password file of libpq cannot represent";
            return Err(Failure::new(FailureCode::Refused, detail).into());
        }
        let path = self.0.join("pgpass");
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(file, "*:*:*:*:{}", password.replace('\\', r"\\").replace(':', r"\:"))?;
        Ok(path)
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // If it cannot be removed, the run's next attempt removes it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn create_dir(path: &Path, mode: u32) -> Result<()> {
    let created = std::fs::DirBuilder::new().mode(mode).create(path);
    // The umask removed what others may do.
    created
        .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(mode)))
        .with_context(|| format!("cannot create {}", path.display()))
}

/// The path of a run's directory.
fn path_of(parent: &Path, run: Uuid) -> PathBuf {
    // The beginning of an id is a timestamp, the end is random.
    parent.join(format!("toygres-{}", &run.simple().to_string()[16..]))
}

/// Removes the directory if this user or `run_as` owns it.
fn remove(path: &Path, run_as: Option<RunAs>) -> Result<()> {
    let me = rustix::process::geteuid().as_raw();
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot read the metadata of {}", path.display())),
        Ok(meta)
            if meta.is_dir() && (meta.uid() == me || run_as.is_some_and(|user| user.uid == meta.uid())) =>
        {
            std::fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))
        }
        Ok(_) => {
            let failure = Failure::new(FailureCode::NotOwned, "the path exists and has another owner");
            Err(failure.on(path.display().to_string()).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_file_is_private_and_is_removed_with_the_directory() {
        let run = Uuid::from_u128(rand::random());
        let dir = WorkDir::create(run, None).expect("created");
        let file = dir.passfile(r"a:b\c").expect("written");
        assert_eq!(std::fs::read_to_string(&file).expect("exists"), "*:*:*:*:a\\:b\\\\c\n");
        assert_eq!(file.metadata().expect("exists").permissions().mode() & 0o777, 0o600);
        assert_eq!(dir.path().metadata().expect("exists").permissions().mode() & 0o777, 0o700);
        std::mem::forget(dir);
        let again = WorkDir::create(run, None).expect("created again after a kill");
        assert!(!file.exists());
        assert!(again.passfile("two\nlines").is_err());
        let path = again.path().to_owned();
        drop(again);
        assert!(!path.exists());
    }
}
