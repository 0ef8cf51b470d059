//! Gives a directory and its content another owner, as root, although its earlier owner could place links in it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fchown, fstat, openat, statat};
use rustix::process::{Gid, Uid};

/// How a directory is opened: never through a link.
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// How a file is opened: never through a link, and without waiting for the other end of a pipe.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Makes a user and a group the owner of the directory and of all directories and files in it. Links stay as they are, and so do
/// files that have another name elsewhere.
pub(super) fn take_over(dir: &Path, uid: u32, gid: u32) -> std::io::Result<()> {
    let opened = File::options().read(true).custom_flags(DIRECTORY.bits().cast_signed()).open(dir)?;
    Ok(below(&opened.into(), Uid::from_raw(uid), Gid::from_raw(gid))?)
}

fn below(dir: &OwnedFd, uid: Uid, gid: Gid) -> rustix::io::Result<()> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let found = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => {
                below(&openat(dir, name, DIRECTORY | OFlags::RDONLY, Mode::empty())?, uid, gid)?;
            }
            FileType::RegularFile => {
                let file = openat(dir, name, FILE | OFlags::RDONLY, Mode::empty())?;
                let opened = fstat(&file)?;
                if FileType::from_raw_mode(opened.st_mode) == FileType::RegularFile && opened.st_nlink == 1 {
                    fchown(&file, Some(uid), Some(gid))?;
                }
            }
            _ => {}
        }
    }
    fchown(dir.as_fd(), Some(uid), Some(gid))
}
