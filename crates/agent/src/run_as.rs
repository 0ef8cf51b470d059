//! Whom PostgreSQL's server programs run as: they refuse root, so a root agent lends them an unprivileged user.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::Result;
use model::ExitClass;

use crate::failure::fail;

/// A user and group for a child process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunAs {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl RunAs {
    /// Whom to lend for work in `dir`: nobody unless the agent is root; else the owner of the directory (or of the
    /// nearest one above it that exists), else the user `postgres`.
    pub(crate) fn for_dir(dir: &Path) -> Result<Option<Self>> {
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
            None => Err(fail(
                ExitClass::Configuration,
                format!(
                    "PostgreSQL does not run as root, and there is no user postgres: give {} to an unprivileged user",
                    dir.display()
                ),
            )),
        }
    }

    /// Gives a path to this user.
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
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgresx:x:5:5::/:/bin/sh\npostgres:x:101:104::/var/lib/postgresql:/bin/bash\n";
        assert_eq!(named(passwd, "postgres"), Some(RunAs { uid: 101, gid: 104 }));
        assert_eq!(named(passwd, "post"), None);
    }
}
