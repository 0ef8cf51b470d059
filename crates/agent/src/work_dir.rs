//! The working directory of a run: short and private, for sockets, logs and libpq's password file. It is named after the run, so
//! that the next attempt removes what a killed attempt left.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use model::{Failure, FailureCode};
use uuid::Uuid;

use crate::run_as::RunAs;

/// The directory. It is removed when dropped.
#[derive(Debug)]
pub(crate) struct WorkDir(PathBuf);

impl WorkDir {
    /// Creates an empty directory for a run, owned by `run_as` where the agent is root.
    pub(crate) fn create(run: Uuid, run_as: Option<RunAs>) -> Result<Self> {
        let path = path_of(run);
        remove(&path, run_as)?;
        let created =
            std::fs::DirBuilder::new().mode(0o700).create(&path).and_then(|()| RunAs::own(run_as, &path));
        created.with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
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

/// The path of a run's directory.
fn path_of(run: Uuid) -> PathBuf {
    // The beginning of an id is a timestamp, the end is random.
    std::env::temp_dir().join(format!("toygres-{}", &run.simple().to_string()[16..]))
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
    use std::os::unix::fs::PermissionsExt as _;

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
