//! Whom PostgreSQL and jobs run as: PostgreSQL refuses root, so a root Toygres lends them an unprivileged user.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown, fchown};
use std::path::Path;

use anyhow::Context;
use tokio::process::Command;

use crate::{Error, Result};

/// What a program inherits from our environment; all else is taken away.
const PASSED_ON: [&str; 5] = ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZ", "LANG"];

/// A user and group, or ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: String,
    ids: Option<(u32, u32)>,
}

impl Account {
    /// Ourselves unless we are root; else the user of the given name, or `postgres`.
    ///
    /// # Errors
    /// There is no such user.
    pub fn find(name: Option<&str>) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { name: "yourself".to_owned(), ids: None });
        }
        let name = name.unwrap_or("postgres");
        let passwd = std::fs::read_to_string("/etc/passwd").context("read the list of users")?;
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name));
        let mut fields = line.unwrap_or_default().split(':').skip(2).map(str::parse);
        match (fields.next(), fields.next()) {
            (Some(Ok(uid)), Some(Ok(gid))) if uid != 0 => {
                Ok(Self { name: name.to_owned(), ids: Some((uid, gid)) })
            }
            _ => Err(Error::Impossible(format!(
                "PostgreSQL does not run as root, and there is no unprivileged user {name:?}. Install PostgreSQL, whose package makes the user postgres, or name another one with --run-as."
            ))),
        }
    }

    /// A program to run as this account: nothing of our environment but a few harmless variables.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.current_dir("/");
        if let Some((uid, gid)) = self.ids {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Gives a path to this account.
    ///
    /// # Errors
    /// The system refuses.
    pub fn own(&self, path: &Path) -> Result<()> {
        if let Some((uid, gid)) = self.ids {
            chown(path, Some(uid), Some(gid))
                .with_context(|| format!("give {} to {}", path.display(), self.name))?;
        }
        Ok(())
    }

    /// Gives an open file to this account.
    pub(crate) fn own_file(&self, file: &File, path: &Path) -> Result<()> {
        if let Some((uid, gid)) = self.ids {
            fchown(file, Some(uid), Some(gid))
                .with_context(|| format!("give {} to {}", path.display(), self.name))?;
        }
        Ok(())
    }

    /// Makes a directory of this account, if it is not there.
    ///
    /// # Errors
    /// The system refuses.
    pub fn make_dir(&self, dir: &Path, mode: u32) -> Result<()> {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        std::fs::set_permissions(dir, Permissions::from_mode(mode))
            .with_context(|| format!("protect {}", dir.display()))?;
        self.own(dir)
    }

    /// Writes a file of this account: whole or not at all, never readable by others in between.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
        let staging = path.with_extension("writing");
        let write = || -> std::io::Result<()> {
            // Anew, never through what somebody put there: the directory is the unprivileged user's.
            std::fs::remove_file(&staging).or_else(crate::cluster::missing_is_fine)?;
            let mut file = File::options().write(true).create_new(true).mode(mode).open(&staging)?;
            file.write_all(bytes)?;
            if let Some((uid, gid)) = self.ids {
                fchown(&file, Some(uid), Some(gid))?;
            }
            file.sync_all()
        };
        write().with_context(|| format!("write {}", path.display()))?;
        std::fs::rename(&staging, path).with_context(|| format!("write {}", path.display()))?;
        Ok(())
    }

    /// Whether this account can enter a directory.
    ///
    /// # Errors
    /// It cannot; the sentence says what to do.
    pub async fn may_enter(&self, dir: &Path) -> Result<()> {
        let mut test = self.command("/bin/sh".as_ref());
        test.args(["-c", "cd -- \"$1\"", "sh"]).arg(dir).stderr(std::process::Stdio::null());
        if test.status().await.context("start sh")?.success() {
            return Ok(());
        }
        Err(Error::Impossible(format!(
            "PostgreSQL and jobs run as {}, who cannot enter {}. Choose a --data-dir that everybody may pass through, such as /var/lib/toygres.",
            self.name,
            dir.display()
        )))
    }
}
