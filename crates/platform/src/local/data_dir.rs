//! The data directory of a local platform: its lock, its identity, and the directory of the sockets that belongs to it.

use std::fs::{File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use model::{Failure, FailureCode};

use super::hash::short_hash;
use crate::Result;

/// The longest directory of sockets, in bytes. The path of a socket may have 107, and a part of it is the instance's.
const LONGEST_SOCKET_DIR: usize = 80;

/// The directory of the sockets of a data directory: below it if the path is short enough, otherwise in the system's
/// directory for temporary files.
#[must_use]
pub fn socket_dir(data_dir: &Path) -> PathBuf {
    let below = data_dir.join("run");
    if below.as_os_str().len() <= LONGEST_SOCKET_DIR {
        return below;
    }
    // Every account can create links in the directory for temporary files: root must not follow them.
    let root = rustix::process::geteuid().is_root();
    short_socket_dir(data_dir, &if root { PathBuf::from("/run") } else { std::env::temp_dir() })
}

/// The directory below `base`. One that an earlier version created is used as long as it exists: a server may be listening
/// in it.
fn short_socket_dir(data_dir: &Path, base: &Path) -> PathBuf {
    let earlier = earlier_socket_dir(data_dir, base);
    if earlier.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return earlier;
    }
    base.join(format!("toygres-{:016x}", short_hash(data_dir.as_os_str().as_bytes())))
}

/// The name in versions that used the hash algorithm of the standard library.
fn earlier_socket_dir(data_dir: &Path, base: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    data_dir.hash(&mut hasher);
    base.join(format!("toygres-{:016x}", hasher.finish()))
}

/// Checks that the account of this process owns the data directory: another owner could replace what is in it.
///
/// # Errors
/// [`FailureCode::PlatformSettingsInvalid`] if this process runs as root and another account owns the directory.
pub fn require_own(data_dir: &Path) -> Result<()> {
    let owner = data_dir.metadata().context("read the owner of the data directory")?.uid();
    if !rustix::process::geteuid().is_root() || owner == 0 {
        return Ok(());
    }
    let detail = format!(
        "Toygres runs as root, and {} belongs to the user {owner}; run Toygres as that user, or make root the owner",
        data_dir.display()
    );
    Err(Failure::new(FailureCode::PlatformSettingsInvalid, detail).on("--data-dir").into())
}

/// Locks the data directory for this process until the returned file is dropped.
///
/// # Errors
/// [`FailureCode::Refused`] if another process holds the lock.
pub fn lock(data_dir: &Path) -> Result<File> {
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("create the data directory {}", data_dir.display()))?;
    let file = File::create(data_dir.join("lock")).context("create the lock file of the data directory")?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let detail = "another Toygres server uses the data directory";
            Err(Failure::new(FailureCode::Refused, detail).on(data_dir.display().to_string()).into())
        }
        Err(TryLockError::Error(error)) => {
            Err(anyhow::Error::new(error).context("lock the data directory").into())
        }
    }
}

/// An ID of this machine: systemd's, D-Bus', or the host name.
pub(super) fn machine_id() -> String {
    let read = |path| {
        std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|id| !id.is_empty())
    };
    read("/etc/machine-id")
        .or_else(|| read("/var/lib/dbus/machine-id"))
        .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
}

/// The names of the files and directories in `dir`, without hidden ones.
pub(super) fn names_in(dir: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_below_a_short_data_directory() {
        assert_eq!(socket_dir(Path::new("/var/lib/toygres")), Path::new("/var/lib/toygres/run"));
        let long = PathBuf::from("/").join("d".repeat(200));
        assert!(socket_dir(&long).as_os_str().len() <= LONGEST_SOCKET_DIR);
        assert_ne!(socket_dir(&long), socket_dir(&long.join("other")));
    }

    #[test]
    fn name_of_the_socket_directory_does_not_depend_on_the_build() {
        let base = tempfile::tempdir().expect("a directory");
        // printf %s /data | sha256sum
        let expected = base.path().join("toygres-bd47413b5c03dfc6");
        assert_eq!(short_socket_dir(Path::new("/data"), base.path()), expected);
    }

    #[test]
    fn socket_directory_of_an_earlier_version_is_found_while_it_exists() {
        let base = tempfile::tempdir().expect("a directory");
        let data_dir = Path::new("/data");
        let (new, earlier) =
            (short_socket_dir(data_dir, base.path()), earlier_socket_dir(data_dir, base.path()));
        assert_ne!(new, earlier);
        std::os::unix::fs::symlink("/", &earlier).expect("a link");
        assert_eq!(short_socket_dir(data_dir, base.path()), new, "a link is not followed");
        std::fs::remove_file(&earlier).expect("remove the link");
        std::fs::create_dir(&earlier).expect("create the directory");
        assert_eq!(short_socket_dir(data_dir, base.path()), earlier);
        std::fs::remove_dir(&earlier).expect("remove the directory");
        assert_eq!(short_socket_dir(data_dir, base.path()), new);
    }
}
