//! The OS account that runs PostgreSQL and jobs. PostgreSQL refuses to run as root, so a Toygres that runs as root uses an
//! unprivileged account.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;
use std::process::Stdio;

use anyhow::Context;
use model::{Failure, FailureCode};
use rustix::fs::OFlags;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use serde::de::DeserializeOwned;
use tokio::process::Command;

use super::process::Process;
use super::take_over::take_over;
use crate::Result;
use crate::files::missing_is_fine;

/// The environment variables that programs inherit. All others are removed.
const INHERITED: [&str; 5] = ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZ", "LANG"];

/// The account of the state database, as the packages and the unit for systemd create it.
const STATE_DATABASE: &str = "toygres";

/// An OS account: a user and its group, or the account of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: String,
    ids: Option<(u32, u32)>,
}

impl Account {
    /// The account of this process unless that is root; otherwise the account of the given name, or `postgres`.
    ///
    /// # Errors
    /// [`FailureCode::PlatformSettingsInvalid`] if this process runs as root and the account does not exist or is root.
    pub fn find(name: Option<&str>) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { name: "the account of this process".to_owned(), ids: None });
        }
        let name = name.unwrap_or("postgres");
        Ok(Self::named(name)?.ok_or_else(|| {
            let detail =
                format!("PostgreSQL does not run as root, and no unprivileged account {name:?} exists");
            Failure::new(FailureCode::PlatformSettingsInvalid, detail).on("--run-as")
        })?)
    }

    /// The account of the state database's server: as root the account `toygres`, if it exists, so that no program of the account
    /// of instances and jobs reaches its files; otherwise as [`Self::find`].
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn of_state_database(name: Option<&str>) -> Result<Self> {
        if rustix::process::geteuid().is_root()
            && let Some(own) = Self::named(STATE_DATABASE)?
        {
            return Ok(own);
        }
        Self::find(name)
    }

    /// The unprivileged account of this name; none if it does not exist.
    fn named(name: &str) -> Result<Option<Self>> {
        let passwd = std::fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name));
        let mut fields = line.unwrap_or_default().split(':').skip(2).map(str::parse);
        Ok(match (fields.next(), fields.next()) {
            (Some(Ok(uid)), Some(Ok(gid))) if uid != 0 => {
                Some(Self { name: name.to_owned(), ids: Some((uid, gid)) })
            }
            _ => None,
        })
    }

    /// The account that owns a directory, if it is another unprivileged one.
    pub(crate) fn earlier_owner(&self, dir: &Path) -> Option<Self> {
        let (uid, _) = self.ids?;
        let found = dir.symlink_metadata().ok()?;
        let is_other = found.uid() != uid && found.uid() != 0;
        let name = format!("the user {}", found.uid());
        is_other.then(|| Self { name, ids: Some((found.uid(), found.gid())) })
    }

    /// Makes this account the owner of a directory and its content. Its parent belongs to the account of this process.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn take_over(&self, dir: &Path) -> Result<()> {
        if let Some((uid, gid)) = self.ids {
            let what = || format!("make {} the owner of {}", self.name, dir.display());
            take_over(dir, uid, gid).with_context(what)?;
        }
        Ok(())
    }

    /// A program to run as this account, with no more of this process' environment than a few harmless variables.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.current_dir("/");
        if let Some((uid, gid)) = self.ids {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Does file operations with the rights of this account. What it owns can contain links that it placed there, which root
    /// must not follow.
    ///
    /// # Errors
    /// Those of `work`, or the rights cannot be dropped.
    pub(crate) fn perform<T: Send>(
        &self,
        work: impl FnOnce() -> std::io::Result<T> + Send,
    ) -> std::io::Result<T> {
        let Some((uid, gid)) = self.ids else { return work() };
        // A thread of its own, which ends without them: rights are those of a thread.
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| drop_rights(uid, gid).and_then(|()| work()));
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Opens a regular file of this account for reading.
    pub(crate) fn open(&self, path: &Path) -> std::io::Result<File> {
        self.perform(|| {
            // Without NONBLOCK, the pipe that the account may have put in its place never opens.
            let flags = OFlags::NONBLOCK.bits().cast_signed();
            let file = File::options().read(true).custom_flags(flags).open(path)?;
            if file.metadata()?.is_file() { Ok(file) } else { Err(ErrorKind::InvalidInput.into()) }
        })
    }

    /// Reads a file of this account.
    pub(crate) fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a file of this account as text; none if it cannot be read.
    pub(crate) fn read_text(&self, path: &Path) -> Option<String> {
        String::from_utf8(self.read(path).ok()?).ok()
    }

    /// Reads a file of JSON of this account; none if it does not exist.
    pub(crate) fn read_json<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>> {
        let read = || format!("read {}", path.display());
        match self.read(path) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text).with_context(read)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(anyhow::Error::new(error).context(read()).into()),
        }
    }

    /// Opens a file of this account to append to it, and creates it if it does not exist.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn append(&self, path: &Path) -> Result<File> {
        let opened = self.perform(|| File::options().create(true).append(true).mode(0o600).open(path));
        Ok(opened.with_context(|| format!("create {}", path.display()))?)
    }

    /// Whether a process runs as this account.
    pub(crate) fn runs(&self, process: Process) -> bool {
        self.ids.is_none_or(|(uid, _)| process.user() == Some(uid))
    }

    /// Creates a directory of this account, if it does not exist. Its parent belongs to the account of this process.
    ///
    /// # Errors
    /// The operating system refuses, or a link is in its place.
    pub fn make_dir(&self, dir: &Path, mode: u32) -> Result<()> {
        Ok(make_dir(dir, mode, self.ids).with_context(|| format!("create {}", dir.display()))?)
    }

    /// Creates a directory of this process' account, if it does not exist, below which this account has directories.
    ///
    /// # Errors
    /// The operating system refuses, or a link is in its place.
    pub fn make_parent_dir(&self, dir: &Path) -> Result<()> {
        let mode = if self.ids.is_some() { 0o711 } else { 0o700 };
        let me = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Ok(make_dir(dir, mode, Some(me)).with_context(|| format!("create {}", dir.display()))?)
    }

    /// Creates a directory in one of this account, if it does not exist.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn make_dir_below(&self, dir: &Path) -> Result<()> {
        let created = self.perform(|| DirBuilder::new().recursive(true).mode(0o700).create(dir));
        Ok(created.with_context(|| format!("create {}", dir.display()))?)
    }

    /// Removes a directory of this account and its content; a missing one counts as removed.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn remove_dir(&self, dir: &Path) -> Result<()> {
        let removed = self.perform(|| std::fs::remove_dir_all(dir).or_else(missing_is_fine));
        Ok(removed.with_context(|| format!("remove {}", dir.display()))?)
    }

    /// Replaces a file of this account atomically. Other accounts cannot read it at any time, unless `mode` allows it.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
        let staging = path.with_extension("writing");
        let written = self.perform(|| {
            std::fs::remove_file(&staging).or_else(missing_is_fine)?;
            let mut file = File::options().write(true).create_new(true).mode(mode).open(&staging)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&staging, path)
        });
        Ok(written.with_context(|| format!("write {}", path.display()))?)
    }

    /// Checks that this account can enter a directory.
    ///
    /// # Errors
    /// [`FailureCode::PlatformSettingsInvalid`] if it cannot.
    pub async fn may_enter(&self, dir: &Path) -> Result<()> {
        let mut test = self.command("/bin/sh".as_ref());
        test.args(["-c", "cd -- \"$1\"", "sh"]).arg(dir).stderr(Stdio::null());
        if test.status().await.context("start sh")?.success() {
            return Ok(());
        }
        let detail = format!("{}, which runs PostgreSQL and jobs, cannot enter {}", self.name, dir.display());
        Err(Failure::new(FailureCode::PlatformSettingsInvalid, detail).on("--data-dir").into())
    }
}

/// Drops the rights of root for this thread.
fn drop_rights(uid: u32, gid: u32) -> std::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_groups(&[gid])?;
    set_thread_res_gid(None::<Gid>, gid, None::<Gid>)?;
    // The effective user only: the account may send signals to a thread whose real or saved user it is.
    set_thread_res_uid(None::<Uid>, uid, None::<Uid>)?;
    Ok(())
}

/// Creates a directory, if it does not exist, and sets its owner and its permissions. A link in its place is refused.
fn make_dir(dir: &Path, mode: u32, owner: Option<(u32, u32)>) -> std::io::Result<()> {
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed();
    let opened = File::options().read(true).custom_flags(flags).open(dir)?;
    if let Some((uid, gid)) = owner {
        fchown(&opened, Some(uid), Some(gid))?;
    }
    opened.set_permissions(Permissions::from_mode(mode))
}
