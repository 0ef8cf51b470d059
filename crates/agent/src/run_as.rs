//! The user that PostgreSQL's server programs run as. They refuse root, so an agent that is root runs them as another user.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use model::{Failure, FailureCode};

/// A user and group for a child process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunAs {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl RunAs {
    /// The user for work in `dir`; none unless the agent is root. It is the owner of the directory, or of its nearest ancestor
    /// that exists; or the user `postgres` if root owns that.
    ///
    /// # Errors
    /// The agent is root, and there is no such user.
    pub(crate) fn for_dir(dir: &Path) -> Result<Option<Self>, Failure> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let owner =
            dir.ancestors().find_map(|d| d.metadata().ok()).map(|m| Self { uid: m.uid(), gid: m.gid() });
        if let Some(owner) = owner.filter(|o| o.uid != 0) {
            return Ok(Some(owner));
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        match named(&passwd, "postgres") {
            Some(user) => Ok(Some(user)),
            None => {
                let detail = "the agent is root, root owns the directory, and there is no user postgres";
                let failure = Failure::new(FailureCode::PlatformSettingsInvalid, detail);
                Err(failure.on(dir.display().to_string()))
            }
        }
    }

    /// Makes a user the owner of a path. A link is not followed.
    pub(crate) fn own(user: Option<Self>, path: &Path) -> std::io::Result<()> {
        match user {
            Some(user) => std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid)),
            None => Ok(()),
        }
    }

    /// Replaces a file in a directory that a server can write, and makes a user its owner. A link that the server placed there is
    /// removed, not followed.
    pub(crate) fn replace(user: Option<Self>, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        if let Some(user) = user {
            std::os::unix::fs::fchown(&file, Some(user.uid), Some(user.gid))?;
        }
        file.sync_all()
    }
}

fn named(passwd: &str, name: &str) -> Option<RunAs> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some(RunAs { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_in_the_place_of_a_file_is_not_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        let (precious, file) = (dir.path().join("precious"), dir.path().join("pg_hba.conf"));
        std::fs::write(&precious, "kept").expect("written");
        std::os::unix::fs::symlink(&precious, &file).expect("a link");
        RunAs::replace(None, &file, b"new").expect("replaced");
        assert_eq!(std::fs::read(&precious).expect("read"), b"kept");
        assert_eq!(std::fs::read(&file).expect("read"), b"new");
        assert!(file.symlink_metadata().expect("metadata").is_file());
    }

    #[test]
    fn user_is_found_by_its_complete_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgresx:x:5:5::/:/bin/sh\npostgres:x:101:104::/var/lib/postgresql:/bin/bash\n";
        assert_eq!(named(passwd, "postgres"), Some(RunAs { uid: 101, gid: 104 }));
        assert_eq!(named(passwd, "post"), None);
    }
}
