//! What every kind of work needs: events, secrets, the run's id, and cancellation.

use anyhow::Result;
use image::StoreOptions;
use model::{FailureCode, Level, NetworkPolicy, Progress};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::events::Events;
use crate::failure::{fail, failure_of};
use crate::redact::Redactor;
use crate::secret::Secrets;
use crate::shared_dirs::SharedDirs;
use crate::tool_errors::level_of;
use crate::tools::Running;

/// The execution of one task.
pub(crate) struct Job {
    events: Events,
    run: Uuid,
    secrets: Secrets,
    network: Option<NetworkPolicy>,
    redactor: Redactor,
    shared: Option<SharedDirs>,
    cancel: CancellationToken,
}

impl Job {
    /// Creates a job that `cancel` stops, and that connects to servers with the addresses of `network`; to any if none.
    pub(crate) fn new(
        events: Events,
        run: Uuid,
        secrets: Secrets,
        network: Option<NetworkPolicy>,
        shared: Option<SharedDirs>,
        cancel: CancellationToken,
    ) -> Self {
        let redactor = secrets.redactor();
        Self { events, run, secrets, network, redactor, shared, cancel }
    }

    /// The directories for programs in another container; none if the agent runs all programs itself.
    pub(crate) fn shared_dirs(&self) -> Option<&SharedDirs> {
        self.shared.as_ref()
    }

    /// Waits for the cancellation of the job and returns the error that ends it.
    pub(crate) async fn cancelled(&self) -> anyhow::Error {
        self.cancel.cancelled().await;
        fail(FailureCode::Cancelled, "cancelled")
    }

    /// The run, after which the job names its directories.
    pub(crate) fn run(&self) -> Uuid {
        self.run
    }

    /// The password of the task's connection, or of the restored instance's superuser.
    pub(crate) fn password(&self) -> Option<&str> {
        self.secrets.password.as_ref().map(SecretString::expose_secret)
    }

    /// Which addresses the server of the task may have; any if none.
    pub(crate) fn network(&self) -> Option<&NetworkPolicy> {
        self.network.as_ref()
    }

    /// The options of the task's store.
    pub(crate) fn store_options(&self) -> &StoreOptions {
        &self.secrets.store
    }

    /// Removes the job's secrets from foreign text.
    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Emits a log line. Foreign text in it must be redacted already.
    pub(crate) fn log(&self, level: Level, message: impl Into<String>) {
        self.events.log(level, message);
    }

    /// Logs an error that does not end the job.
    pub(crate) fn warn(&self, error: &anyhow::Error) {
        let failure = failure_of(error, FailureCode::Other, &self.redactor);
        self.log(Level::Warn, failure.to_string());
    }

    /// Emits the progress.
    pub(crate) fn progress(&self, progress: Progress) {
        self.events.progress(progress);
    }

    /// Waits for a program and logs its messages.
    ///
    /// # Errors
    /// It did not exit with 0.
    pub(crate) async fn finish(&self, program: Running) -> Result<()> {
        for line in program.finish(&self.redactor).await? {
            self.log(level_of(&line), line);
        }
        Ok(())
    }
}
