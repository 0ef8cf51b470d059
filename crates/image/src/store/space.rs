//! The free space of a store in a directory, a part of which is reserved.

use std::path::Path;

use model::FailureCode;

use super::Store;
use crate::error::{Error, Result};

/// The largest reserve, in bytes.
const LARGEST_RESERVE: u64 = 1 << 30;
/// The reserved part of a file system: one of so many.
const RESERVED_PART: u64 = 20;

/// The space of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What an account without privileges can write.
    pub free: u64,
    /// What images leave free: the state database and instances can be on the same file system, and PostgreSQL stops when it is
    /// full. A twentieth of the file system, at most 1 GiB.
    pub reserved: u64,
}

impl Space {
    /// The space that images can use.
    #[must_use]
    pub fn usable(self) -> u64 {
        self.free.saturating_sub(self.reserved)
    }

    fn of(directory: &Path) -> std::io::Result<Self> {
        let stat = rustix::fs::statvfs(directory)?;
        let reserved = (stat.f_blocks.saturating_mul(stat.f_frsize) / RESERVED_PART).min(LARGEST_RESERVE);
        Ok(Self { free: stat.f_bavail.saturating_mul(stat.f_frsize), reserved })
    }
}

impl Store {
    /// The space of the directory; none for a remote store.
    ///
    /// # Errors
    /// The operating system does not report it.
    pub async fn space(&self) -> Result<Option<Space>> {
        let Some(directory) = self.backend.directory().cloned() else { return Ok(None) };
        let subject = directory.display().to_string();
        // A network file system can take long.
        let space = tokio::task::spawn_blocking(move || Space::of(&directory)).await;
        let space = space.map_err(|error| Error::internal(&*subject, error))?;
        space.map(Some).map_err(|error| Error::io(subject, &error))
    }

    /// Fails if writing `bytes` to `key` would use reserved space.
    ///
    /// # Errors
    /// [`FailureCode::StoreFull`], or the operating system does not report the space.
    pub(crate) async fn ensure_space(&self, key: &str, bytes: u64) -> Result<()> {
        match self.space().await? {
            Some(space) if space.usable() < bytes => {
                let Space { free, reserved } = space;
                let detail =
                    format!("the file system has {free} bytes free, of which {reserved} are reserved");
                Err(Error::new(FailureCode::StoreFull, key, detail))
            }
            _ => Ok(()),
        }
    }
}
