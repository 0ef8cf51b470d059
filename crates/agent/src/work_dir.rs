//! A short, private directory of one run, for sockets, logs and libpq's password file. Its name is made of the run, so
//! that the next attempt finds and removes what a killed one left.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use model::ExitClass;
use uuid::Uuid;

use crate::failure::fail;
use crate::run_as::RunAs;

/// The directory; gone when dropped.
#[derive(Debug)]
pub(crate) struct WorkDir(PathBuf);

impl WorkDir {
    /// Makes it anew for a run; for `run_as` where the agent is root.
    pub(crate) fn make(run: Uuid, run_as: Option<RunAs>) -> Result<Self> {
        let path = path_of(run);
        remove(&path, run_as)?;
        let made =
            std::fs::DirBuilder::new().mode(0o700).create(&path).and_then(|()| RunAs::own(run_as, &path));
        made.with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes the file that libpq takes passwords from; only its owner may read it.
    pub(crate) fn passfile(&self, password: &str) -> Result<PathBuf> {
        if password.contains(['\n', '\r', '\0']) {
            let words =
                "the password holds a line break or NUL, which PostgreSQL's programs cannot take: change it";
            return Err(fail(ExitClass::Configuration, words));
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
        // What cannot be removed now is removed by the run's next attempt.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where a run's directory is.
fn path_of(run: Uuid) -> PathBuf {
    // The end of an id, as its beginning is a clock.
    std::env::temp_dir().join(format!("toygres-{}", &run.simple().to_string()[16..]))
}

/// Removes a directory of that name if it is ours.
fn remove(path: &Path, run_as: Option<RunAs>) -> Result<()> {
    let me = rustix::process::geteuid().as_raw();
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", path.display())),
        Ok(meta)
            if meta.is_dir() && (meta.uid() == me || run_as.is_some_and(|user| user.uid == meta.uid())) =>
        {
            std::fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))
        }
        Ok(_) => {
            Err(fail(ExitClass::Configuration, format!("{} is there and is not Toygres'", path.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_password_is_for_its_owner_alone_and_goes_with_the_directory() {
        let run = Uuid::from_u128(rand::random());
        let dir = WorkDir::make(run, None).expect("made");
        let file = dir.passfile(r"a:b\c").expect("written");
        assert_eq!(std::fs::read_to_string(&file).expect("there"), "*:*:*:*:a\\:b\\\\c\n");
        assert_eq!(file.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(dir.path().metadata().expect("there").permissions().mode() & 0o777, 0o700);
        std::mem::forget(dir);
        let again = WorkDir::make(run, None).expect("made again after a kill");
        assert!(!file.exists());
        assert!(again.passfile("two\nlines").is_err());
        let path = again.path().to_owned();
        drop(again);
        assert!(!path.exists());
    }
}
