//! Where a restore builds its data directory: beside the target, under a name with the run in it, moved to the target
//! only when all is proven. A directory that is there already and not this run's is never touched.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use model::{ExitClass, Outcome};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::failure::fail;
use crate::private::end_orphan;
use crate::run_as::RunAs;

/// The file in a finished data directory that says which run filled it, and how that went.
const RECEIPT: &str = "toygres-restore.json";

/// What [`RECEIPT`] holds.
#[derive(Serialize, Deserialize)]
struct Done {
    run: Uuid,
    /// SHA-256 of the image's manifest.
    image: String,
    outcome: Outcome,
}

/// The directories of one restore.
#[derive(Debug)]
pub(crate) struct Place {
    run: Uuid,
    target: PathBuf,
    /// Where the data directory is built.
    pub(crate) building: PathBuf,
    /// Whom PostgreSQL runs as.
    pub(crate) run_as: Option<RunAs>,
}

impl Place {
    /// Looks at the target and says where things go; nothing is made or removed yet.
    pub(crate) fn new(target: &Path, run: Uuid) -> Result<Self> {
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(fail(
                ExitClass::Configuration,
                format!("{} cannot be a data directory", target.display()),
            ));
        };
        if !target.is_absolute() {
            return Err(fail(
                ExitClass::Configuration,
                format!("the data directory must be an absolute path, not {}", target.display()),
            ));
        }
        let mut building = name.to_owned();
        building.push(format!(".restoring-{}", run.simple()));
        Ok(Self {
            run,
            target: target.to_owned(),
            building: parent.join(building),
            run_as: RunAs::for_dir(target)?,
        })
    }

    /// The outcome, if an earlier attempt of this run with this image came to its end already.
    pub(crate) fn done_before(&self, image: &str) -> Option<Outcome> {
        let text = std::fs::read_to_string(self.target.join(RECEIPT)).ok()?;
        let done: Done = serde_json::from_str(&text).ok()?;
        (done.run == self.run && done.image == image).then_some(done.outcome)
    }

    /// Makes room: refuses a target that holds anything, takes away what an earlier attempt of this run left, and makes
    /// the directory to build in.
    pub(crate) async fn prepare(&self) -> Result<()> {
        match std::fs::read_dir(&self.target) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    let target = self.target.display();
                    return Err(fail(
                        ExitClass::Configuration,
                        format!(
                            "{target} is not empty: a restore only ever goes into a fresh data directory"
                        ),
                    ));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot look into {}", self.target.display()));
            }
        }
        self.clear().await?;
        let made = std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&self.building)
            .and_then(|()| RunAs::own(self.run_as, &self.building));
        made.map_err(|error| cannot_make(&self.building, &error))
    }

    /// Takes away all that this run made, the target aside; ends a server that still works there.
    pub(crate) async fn clear(&self) -> Result<()> {
        end_orphan(&self.building).await?;
        match std::fs::remove_dir_all(&self.building) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.building.display()))
            }
            _ => Ok(()),
        }
    }

    /// Hands the finished directory over: from here on it is the target.
    pub(crate) fn hand_over(&self, image: &str, outcome: &Outcome) -> Result<()> {
        let done = Done { run: self.run, image: image.to_owned(), outcome: outcome.clone() };
        let path = self.building.join(RECEIPT);
        std::fs::write(&path, serde_json::to_vec(&done)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        RunAs::own(self.run_as, &path)?;
        std::fs::File::open(&path)?.sync_all()?;
        std::fs::File::open(&self.building)?.sync_all()?;
        std::fs::rename(&self.building, &self.target)
            .with_context(|| format!("cannot move the data directory to {}", self.target.display()))?;
        if let Some(parent) = self.target.parent() {
            std::fs::File::open(parent)?.sync_all()?;
        }
        Ok(())
    }
}

fn cannot_make(dir: &Path, error: &std::io::Error) -> anyhow::Error {
    use std::io::ErrorKind;

    let class = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::NotFound | ErrorKind::ReadOnlyFilesystem => {
            ExitClass::Configuration
        }
        _ => ExitClass::Transient,
    };
    fail(class, format!("cannot make {}: {error}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(target: &Path) -> Place {
        Place::new(target, Uuid::from_u128(rand::random())).expect("an absolute path")
    }

    #[tokio::test]
    async fn a_directory_that_holds_anything_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let target = dir.path().join("data");
        std::fs::create_dir(&target).expect("made");
        std::fs::write(target.join("precious"), "x").expect("written");
        let refused = place(&target).prepare().await.expect_err("not empty");
        assert!(refused.to_string().contains("not empty"), "{refused}");
        assert!(target.join("precious").exists());
    }

    #[tokio::test]
    async fn what_an_earlier_attempt_left_is_taken_away_and_the_end_is_remembered() {
        let dir = tempfile::tempdir().expect("a directory");
        let target = dir.path().join("data");
        let place = place(&target);
        place.prepare().await.expect("room");
        std::fs::write(place.building.join("half"), "x").expect("written");
        place.prepare().await.expect("room again");
        assert!(!place.building.join("half").exists());
        let outcome = Outcome::Verify { objects: 1, bytes: 2 };
        place.hand_over("abc", &outcome).expect("moved");
        assert_eq!(place.done_before("abc"), Some(outcome));
        assert_eq!(place.done_before("another"), None);
        place.clear().await.expect("cleared");
        assert!(target.exists() && !place.building.exists());
    }
}
