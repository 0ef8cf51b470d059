//! A file system, and for programs without a network one of its own, that has nothing but what a confined program may reach.
//! Landlock restricts neither connections to the sockets of other servers, before Linux 7.1, nor UDP. A server on the machine that
//! trusts the account (`peer`) would execute what an image contains, without restrictions.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change, unmount,
};
use rustix::process::{chdir, fchdir, getegid, geteuid, pivot_root};

/// Where the new root is built: a directory that every system has. What it holds stays visible through the old root.
const BASE: &str = "/tmp";

/// Moves this process into a file system of its own that has only `paths`, and into a network of its own without `network`. Works
/// only before the process has a second thread.
///
/// # Errors
/// The kernel or the system does not allow it; the process may be changed in part.
pub(crate) fn isolate(paths: &[PathBuf], network: bool) -> io::Result<()> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    let here = std::env::current_dir();
    // Not of processes and IPC: a starting server looks for processes and shared memory of its predecessor.
    let mut flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS;
    if !network {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    unshare(flags)?;
    // The same numbers as outside: PostgreSQL compares them with those of its files.
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    // Nothing that is mounted from here on is seen outside.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    enter_root_with(paths)?;
    // A directory of the old root would lead back to it.
    chdir(here.as_deref().unwrap_or(Path::new("/"))).or_else(|_| chdir("/"))?;
    Ok(())
}

/// Makes a directory with only `paths` the root.
fn enter_root_with(paths: &[PathBuf]) -> io::Result<()> {
    // Read while links still lead where they do outside.
    let sources = paths.iter().filter_map(|path| Some((path.clone(), path.canonicalize().ok()?)));
    // A program may use either path.
    let shown: BTreeSet<(PathBuf, PathBuf)> =
        sources.flat_map(|(path, source)| [(path, source.clone()), (source.clone(), source)]).collect();
    mount("tmpfs", BASE, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755")?;
    let base = Path::new(BASE);
    for name in ["new", "old"] {
        directory(&base.join(name))?;
    }
    pivot_root(BASE, base.join("old"))?;
    chdir("/")?;
    // A mount of its own, which can become the root.
    mount_bind_recursive("/new", "/new")?;
    for (path, source) in shown {
        let (Some(from), Some(to)) = (below("/old", &source), below("/new", &path)) else { continue };
        show(&from, &to)?;
    }
    unmount("/old", UnmountFlags::DETACH)?;
    let old = std::fs::File::open("/")?;
    chdir("/new")?;
    // The old root is then mounted over the new one.
    pivot_root(".", ".")?;
    fchdir(&old)?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(chdir("/")?)
}

/// Shows a file or directory at another path, unless a directory above it is shown already.
fn show(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        return Ok(());
    }
    if from.is_dir() {
        directory(to)?;
    } else {
        to.parent().map_or(Ok(()), directory)?;
        std::fs::File::create(to)?;
    }
    Ok(mount_bind_recursive(from, to)?)
}

fn directory(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// The path below another root.
fn below(root: &str, path: &Path) -> Option<PathBuf> {
    path.strip_prefix("/").ok().map(|path| Path::new(root).join(path))
}
