//! What every kind of work is given: the way out for events, the secrets, the run's id. It does no work itself.

use image::StoreOptions;
use model::{ExitClass, Level, Progress};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::events::Events;
use crate::failure::fail;
use crate::secret::{Secret, Secrets};
use crate::tools::level_of;

/// A job at work.
pub(crate) struct Job {
    events: Events,
    run: Uuid,
    secrets: Secrets,
    cancel: CancellationToken,
}

impl Job {
    pub(crate) fn new(events: Events, run: Uuid, secrets: Secrets, cancel: CancellationToken) -> Self {
        Self { events, run, secrets, cancel }
    }

    /// Waits until somebody asks the job to stop: the error to stop with.
    pub(crate) async fn cancelled(&self) -> anyhow::Error {
        self.cancel.cancelled().await;
        fail(ExitClass::Cancelled, "cancelled")
    }

    /// The run, which names what the job makes.
    pub(crate) fn run(&self) -> Uuid {
        self.run
    }

    /// The password of the task's connection, or of the instance to be.
    pub(crate) fn password(&self) -> Option<&str> {
        self.secrets.password.as_ref().map(Secret::reveal)
    }

    /// How the task's store is opened.
    pub(crate) fn store(&self) -> &StoreOptions {
        &self.secrets.store
    }

    /// Says something.
    pub(crate) fn log(&self, level: Level, message: impl Into<String>) {
        self.events.log(level, message);
    }

    /// Says how far it is.
    pub(crate) fn progress(&self, progress: Progress) {
        self.events.progress(progress);
    }

    /// Passes on what a program said that ended well.
    pub(crate) fn tool_said(&self, lines: &[String]) {
        for line in lines {
            self.log(level_of(line), line.as_str());
        }
    }
}
