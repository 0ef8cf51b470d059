//! The user that PostgreSQL's server programs run as. They refuse root, so an agent that is root runs them as another user.

use std::os::unix::fs::MetadataExt as _;
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

    /// Makes a user the owner of a path.
    pub(crate) fn own(user: Option<Self>, path: &Path) -> std::io::Result<()> {
        match user {
            Some(user) => std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid)),
            None => Ok(()),
        }
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
    fn user_is_found_by_its_complete_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgresx:x:5:5::/:/bin/sh\npostgres:x:101:104::/var/lib/postgresql:/bin/bash\n";
        assert_eq!(named(passwd, "postgres"), Some(RunAs { uid: 101, gid: 104 }));
        assert_eq!(named(passwd, "post"), None);
    }
}
