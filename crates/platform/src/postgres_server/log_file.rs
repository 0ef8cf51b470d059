//! The size limit of a server's log. The file stays the same, because the server has it open: its end is copied to a second file,
//! and it is emptied. The server appends to it, so its next line is at the new end.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::local::account::Account;

/// The size above which a log is emptied, in bytes.
pub(super) const LIMIT: u64 = 16 * 1024 * 1024;
/// How much of its end is kept in the second file, in bytes.
const KEPT: u64 = LIMIT;

/// Empties the log of a server of `account` if it is too large. A log that does not exist is not too large.
pub(super) fn limit(account: &Account, log: &Path) -> std::io::Result<()> {
    account.perform(|| {
        let mut file = match open(File::options().read(true).write(true), log) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let length = file.metadata()?.len();
        if length <= LIMIT {
            return Ok(());
        }
        let copied = copy_end(&mut file, length, &previous(log));
        // Also if the end could not be copied, as on a full disk.
        file.set_len(0)?;
        copied
    })
}

/// The file with the end of the log before it was emptied.
fn previous(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".1");
    path.into()
}

fn copy_end(file: &mut File, length: u64, to: &Path) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(length.saturating_sub(KEPT)))?;
    let mut to = open(File::options().write(true).create(true).truncate(true).mode(0o600), to)?;
    std::io::copy(&mut file.take(KEPT), &mut to).map(drop)
}

/// Opens a regular file; a link or a pipe in its place is an error.
fn open(options: &mut std::fs::OpenOptions, path: &Path) -> std::io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let file = options.custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::ErrorKind::InvalidInput.into()) }
}
