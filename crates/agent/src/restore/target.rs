//! The data directory of a restore. It is built beside the target under a name with the run's id, and renamed to the target only
//! after the comparison. A directory that exists and does not belong to the run is never changed, and one in which a process works
//! neither: the attempts of a run share the name, and the platform may start the next one before it has ended the last.

use std::fs::{File, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use model::{Failure, FailureCode, Outcome};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::run_as::RunAs;
use crate::scratch_server::end_orphan;

/// The file in a completed data directory that holds the run and the outcome of the restore.
const RECEIPT: &str = "toygres-restore.json";

/// The content of [`RECEIPT`].
#[derive(Serialize, Deserialize)]
struct Completion {
    run: Uuid,
    /// SHA-256 of the image's manifest.
    image: String,
    outcome: Outcome,
}

/// The directories of a restore.
#[derive(Debug)]
pub(crate) struct RestoreTarget {
    run: Uuid,
    target: PathBuf,
    /// The directory in which the data directory is built.
    pub(crate) building: PathBuf,
    /// The user that PostgreSQL runs as.
    pub(crate) run_as: Option<RunAs>,
    /// That directory, locked while this process works in it.
    lock: OnceLock<File>,
}

impl RestoreTarget {
    /// Determines the directories; it changes nothing.
    ///
    /// # Errors
    /// The target is not an absolute path of a directory, or PostgreSQL cannot run as this user.
    pub(crate) fn new(target: &Path, run: Uuid) -> Result<Self, Failure> {
        let (Some(parent), Some(name), true) = (target.parent(), target.file_name(), target.is_absolute())
        else {
            let detail = "the data directory is not an absolute path below the root directory";
            return Err(Failure::new(FailureCode::TaskInvalid, detail).on(target.display().to_string()));
        };
        let mut building = name.to_owned();
        building.push(format!(".restoring-{}", run.simple()));
        Ok(Self {
            run,
            target: target.to_owned(),
            building: parent.join(building),
            run_as: RunAs::for_dir(target)?,
            lock: OnceLock::new(),
        })
    }

    /// The outcome, if an earlier attempt of this run completed the target from this image.
    pub(crate) fn completed(&self, image: &str) -> Option<Outcome> {
        let text = std::fs::read_to_string(self.target.join(RECEIPT)).ok()?;
        let completion: Completion = serde_json::from_str(&text).ok()?;
        (completion.run == self.run && completion.image == image).then_some(completion.outcome)
    }

    /// Removes what an earlier attempt of this run left, and creates the directory to build in.
    ///
    /// # Errors
    /// The target is not empty, another process builds there, or the directory cannot be created.
    pub(crate) async fn prepare(&self) -> Result<()> {
        match std::fs::read_dir(&self.target) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    let failure = Failure::new(FailureCode::Refused, "the data directory is not empty");
                    return Err(failure.on(self.target.display().to_string()).into());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot list {}", self.target.display()));
            }
        }
        let leftovers = self.locked()?;
        self.clear().await?;
        drop(leftovers);
        let created = std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&self.building)
            .and_then(|()| RunAs::own(self.run_as, &self.building));
        created.map_err(|error| cannot_create(&self.building, &error))?;
        if let Some(lock) = self.locked()? {
            // It is set once: a process prepares one restore.
            let _ = self.lock.set(lock);
        }
        Ok(())
    }

    /// The directory in which this run builds, locked until it is dropped; none if it does not exist.
    fn locked(&self) -> Result<Option<File>, Failure> {
        let dir = match File::open(&self.building) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| cannot_create(&self.building, &error))?,
        };
        match dir.try_lock() {
            Err(TryLockError::WouldBlock) => Err(in_use(&self.building)),
            // A network file system locks only what is open for writing, which a directory cannot be.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(dir)),
        }
    }

    /// Removes the directory in which this run builds, and ends a server that still runs there.
    pub(crate) async fn clear(&self) -> Result<()> {
        end_orphan(&self.building).await?;
        match std::fs::remove_dir_all(&self.building) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.building.display()))
            }
            _ => Ok(()),
        }
    }

    /// Renames the completed directory to the target.
    pub(crate) fn complete(&self, image: &str, outcome: &Outcome) -> Result<()> {
        let completion = Completion { run: self.run, image: image.to_owned(), outcome: outcome.clone() };
        let path = self.building.join(RECEIPT);
        RunAs::replace(self.run_as, &path, &serde_json::to_vec(&completion)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        std::fs::File::open(&self.building)?.sync_all()?;
        std::fs::rename(&self.building, &self.target)
            .with_context(|| format!("cannot move the data directory to {}", self.target.display()))?;
        if let Some(parent) = self.target.parent() {
            std::fs::File::open(parent)?.sync_all()?;
        }
        Ok(())
    }
}

fn in_use(dir: &Path) -> Failure {
    Failure::new(FailureCode::AttemptInUse, "another process restores there").on(dir.display().to_string())
}

fn cannot_create(dir: &Path, error: &std::io::Error) -> Failure {
    use std::io::ErrorKind;

    if error.kind() == ErrorKind::AlreadyExists {
        return in_use(dir);
    }
    let code = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::NotFound | ErrorKind::ReadOnlyFilesystem => {
            FailureCode::PlatformSettingsInvalid
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FailureCode::DiskFull,
        _ => FailureCode::Other,
    };
    Failure::new(code, format!("cannot create the directory: {error}")).on(dir.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restore_target(target: &Path) -> RestoreTarget {
        RestoreTarget::new(target, Uuid::from_u128(rand::random())).expect("an absolute path")
    }

    #[tokio::test]
    async fn directory_that_is_not_empty_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let target = dir.path().join("data");
        std::fs::create_dir(&target).expect("created");
        std::fs::write(target.join("precious"), "x").expect("written");
        let refused = restore_target(&target).prepare().await.expect_err("not empty");
        let failure = refused.downcast_ref::<Failure>().expect("a failure");
        assert_eq!(failure.code, FailureCode::Refused);
        assert!(target.join("precious").exists());
    }

    #[tokio::test]
    async fn directory_in_which_an_earlier_attempt_works_is_not_touched() {
        let dir = tempfile::tempdir().expect("a directory");
        let run = Uuid::from_u128(rand::random());
        let attempt = || RestoreTarget::new(&dir.path().join("data"), run).expect("an absolute path");
        let working = attempt();
        working.prepare().await.expect("created");
        std::fs::write(working.building.join("half"), "x").expect("written");
        let refused = attempt().prepare().await.expect_err("another process works there");
        let failure = refused.downcast_ref::<Failure>().expect("a failure");
        assert_eq!(failure.code, FailureCode::AttemptInUse);
        assert!(working.building.join("half").exists());
    }

    #[tokio::test]
    async fn leftovers_of_an_earlier_attempt_are_removed_and_a_completed_restore_is_recognised() {
        let dir = tempfile::tempdir().expect("a directory");
        let target = dir.path().join("data");
        let run = Uuid::from_u128(rand::random());
        let attempt = || RestoreTarget::new(&target, run).expect("an absolute path");
        let first = attempt();
        first.prepare().await.expect("created");
        std::fs::write(first.building.join("half"), "x").expect("written");
        drop(first);
        let restored = attempt();
        restored.prepare().await.expect("created again");
        assert!(!restored.building.join("half").exists());
        let outcome = Outcome::Verify { objects: 1, bytes: 2 };
        restored.complete("abc", &outcome).expect("renamed");
        assert_eq!(restored.completed("abc"), Some(outcome));
        assert_eq!(restored.completed("another"), None);
        restored.clear().await.expect("removed");
        assert!(target.exists() && !restored.building.exists());
    }
}
