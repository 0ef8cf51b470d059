//! PostgreSQL's programs, and the user that its servers run as.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

/// The directory of the programs of the newest installed version.
pub(crate) fn bin() -> PathBuf {
    let mut dirs: Vec<PathBuf> =
        std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|e| e.unwrap().path().join("bin")).collect();
    dirs.sort();
    dirs.pop().unwrap()
}

/// A command for a server program, not run as root.
pub(crate) fn unprivileged(program: &str) -> Command {
    let mut command = Command::new(bin().join(program));
    if let Some((uid, gid)) = server_user() {
        command.uid(uid).gid(gid);
    }
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir("/");
    command
}

fn server_user() -> Option<(u32, u32)> {
    let me = std::fs::metadata("/proc/self").unwrap().uid();
    if me != 0 {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|l| l.starts_with("postgres:")).unwrap();
    let mut fields = line.split(':').skip(2).map(|f| f.parse().unwrap());
    Some((fields.next().unwrap(), fields.next().unwrap()))
}

/// A directory with a path short enough for sockets, owned by the server's user, removed when dropped.
pub(crate) fn short_dir() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("tga").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    if let Some((uid, gid)) = server_user() {
        std::os::unix::fs::chown(dir.path(), Some(uid), Some(gid)).unwrap();
    }
    dir
}
