//! The OS account that runs PostgreSQL and jobs. PostgreSQL refuses to run as root, so a Toygres that runs as root uses an
//! unprivileged account.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown, fchown};
use std::path::Path;
use std::process::Stdio;

use anyhow::Context;
use model::{Failure, FailureCode};
use tokio::process::Command;

use crate::Result;
use crate::files::missing_is_fine;

/// The environment variables that programs inherit. All others are removed.
const INHERITED: [&str; 5] = ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZ", "LANG"];

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
        let passwd = std::fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name));
        let mut fields = line.unwrap_or_default().split(':').skip(2).map(str::parse);
        match (fields.next(), fields.next()) {
            (Some(Ok(uid)), Some(Ok(gid))) if uid != 0 => {
                Ok(Self { name: name.to_owned(), ids: Some((uid, gid)) })
            }
            _ => Err(Failure::new(
                FailureCode::PlatformSettingsInvalid,
                format!("PostgreSQL does not run as root, and no unprivileged account {name:?} exists"),
            )
            .on("--run-as")
            .into()),
        }
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

    /// Makes this account the owner of a path.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn own(&self, path: &Path) -> Result<()> {
        if let Some((uid, gid)) = self.ids {
            chown(path, Some(uid), Some(gid)).with_context(|| self.owning(path))?;
        }
        Ok(())
    }

    /// Makes this account the owner of an open file; `path` is its name for an error.
    pub(crate) fn own_file(&self, file: &File, path: &Path) -> Result<()> {
        if let Some((uid, gid)) = self.ids {
            fchown(file, Some(uid), Some(gid)).with_context(|| self.owning(path))?;
        }
        Ok(())
    }

    fn owning(&self, path: &Path) -> String {
        format!("make {} the owner of {}", self.name, path.display())
    }

    /// Creates a directory, if it does not exist, and makes this account its owner.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn make_dir(&self, dir: &Path, mode: u32) -> Result<()> {
        std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        std::fs::set_permissions(dir, Permissions::from_mode(mode))
            .with_context(|| format!("set the permissions of {}", dir.display()))?;
        self.own(dir)
    }

    /// Replaces a file of this account atomically. Other accounts cannot read it at any time, unless `mode` allows it.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
        let staging = path.with_extension("writing");
        let write = || -> std::io::Result<()> {
            // The unprivileged account may write the directory: never follow a link that it placed there.
            std::fs::remove_file(&staging).or_else(missing_is_fine)?;
            let mut file = File::options().write(true).create_new(true).mode(mode).open(&staging)?;
            file.write_all(bytes)?;
            if let Some((uid, gid)) = self.ids {
                fchown(&file, Some(uid), Some(gid))?;
            }
            file.sync_all()?;
            std::fs::rename(&staging, path)
        };
        Ok(write().with_context(|| format!("write {}", path.display()))?)
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
