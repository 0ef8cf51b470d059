//! Runs and their steps, as the dashboard and the REST API show them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::id::{ImageId, InstanceId, RunId};
use crate::text_enum::text_enum;

pub use crate::step_title::step_title;
pub use crate::workflow_name::WorkflowName;

text_enum! {
    /// The state of a run.
    RunState {
        /// Its steps are being executed.
        Running = "running",
        /// A step failed or a user cancelled the run: the completed steps are being rolled back.
        Undoing = "undoing",
        /// All steps are done.
        Succeeded = "succeeded",
        /// Rolled back after a failure.
        Failed = "failed",
        /// Rolled back after a cancellation.
        Cancelled = "cancelled",
        /// A rollback failed: a user must retry it or mark the step as rolled back.
        Stuck = "stuck",
    }
}

text_enum! {
    /// The state of a step.
    StepState {
        /// Not started.
        Todo = "todo",
        /// A worker is executing it.
        Running = "running",
        /// It waits for an event outside of Toygres and occupies no worker.
        Waiting = "waiting",
        /// An attempt failed; another one follows.
        Retrying = "retrying",
        /// Done.
        Done = "done",
        /// Failed without further attempts.
        Failed = "failed",
        /// It is being rolled back.
        Undoing = "undoing",
        /// Rolled back.
        Undone = "undone",
        /// Not started, because the run ended before.
        Skipped = "skipped",
        /// Its rollback failed.
        Stuck = "stuck",
    }
}

impl RunState {
    /// Whether the engine works on the run; a stuck run waits for a user.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Undoing)
    }

    /// Whether the run has ended: succeeded, failed or cancelled.
    #[must_use]
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// The progress of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Progress {
    /// The name of the current phase, such as `rows`.
    pub phase: String,
    /// The number of bytes done.
    pub bytes: u64,
    /// The total number of bytes, if known.
    pub bytes_total: Option<u64>,
    /// The number of tables or objects done.
    pub done: u64,
    /// The total number of tables or objects, if known.
    pub total: Option<u64>,
    /// The rate over the last few seconds, in bytes per second.
    pub rate: Option<u64>,
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepRow {
    /// Its position in the run, from 0.
    pub position: i32,
    /// Its name in code, such as `RunBackupJob`.
    pub name: String,
    /// Its title for users, such as "Copy data".
    #[serde(default)]
    pub title: String,
    /// The state.
    pub state: StepState,
    /// The number of the current attempt, from 1; 0 before the first.
    pub attempt: i32,
    /// The maximum number of attempts.
    pub attempts: i32,
    /// The time at which the step fails if it is not done.
    pub deadline: Option<DateTime<Utc>>,
    /// The time of the next attempt or check.
    pub due_at: Option<DateTime<Utc>>,
    /// The newest failure of the step itself; a failed rollback does not overwrite it.
    pub error: Option<Failure>,
    /// The failure of the first attempt, if later attempts failed differently.
    #[serde(default)]
    pub first_error: Option<Failure>,
    /// What the step waits for outside of Toygres: a volume, a node, a container image.
    #[serde(default)]
    pub waits_for: Option<Failure>,
    /// The progress of its job.
    pub progress: Option<Progress>,
    /// The start of its first attempt.
    pub started_at: Option<DateTime<Utc>>,
    /// When the step ended; its rollback has times of its own.
    pub finished_at: Option<DateTime<Utc>>,
    /// Failed attempts to roll the step back.
    #[serde(default)]
    pub undo_attempt: i32,
    /// The newest failure of rolling the step back.
    #[serde(default)]
    pub undo_error: Option<Failure>,
    /// When its rollback began.
    #[serde(default)]
    pub undo_started_at: Option<DateTime<Utc>>,
    /// When its rollback ended.
    #[serde(default)]
    pub undo_finished_at: Option<DateTime<Utc>>,
}

/// A run, as in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The workflow.
    pub workflow: WorkflowName,
    /// The workflow's version.
    pub version: i32,
    /// The state.
    pub state: RunState,
    /// The position of the current step, from 0.
    pub position: i32,
    /// The number of steps.
    pub steps: i32,
    /// The name of the current step.
    pub step: Option<String>,
    /// Its title, such as "Back up orders".
    pub title: String,
    /// The instance that the run works on.
    pub instance: Option<InstanceId>,
    /// The name of the instance.
    pub instance_name: Option<String>,
    /// The image that the run works on.
    pub image: Option<ImageId>,
    /// The name of the image.
    pub image_name: Option<String>,
    /// The user who started the run.
    pub started_by: String,
    /// Whether a cancellation was requested.
    pub cancel: bool,
    /// The first failure.
    pub error: Option<Failure>,
    /// The progress of the current step's job.
    pub progress: Option<Progress>,
    /// The time of the start.
    pub created_at: DateTime<Utc>,
    /// The time of the end.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Run {
    /// The title of the current step.
    #[must_use]
    pub fn step_title(&self) -> Option<String> {
        self.step.as_deref().map(|step| step_title(self.workflow, step))
    }

    /// What a user types to confirm a decision about the run: the name of its instance, its image or, without either, its
    /// title.
    #[must_use]
    pub fn name_to_confirm(&self) -> &str {
        self.instance_name.as_deref().or(self.image_name.as_deref()).unwrap_or(&self.title)
    }
}

/// What a failure means for a run: its cause, the fix, and the consequence for the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Diagnosis {
    /// The cause, as a sentence.
    pub cause: String,
    /// What to do, as a sentence.
    pub fix: String,
    /// The consequence for the data, as a sentence.
    pub meaning: String,
}

/// A run with the data of its page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// All steps, including those that have not started.
    pub step_rows: Vec<StepRow>,
    /// The diagnosis of the error.
    pub diagnosis: Option<Diagnosis>,
    /// The number of log lines.
    pub log_lines: i64,
    /// The comparison at the end of a restore.
    pub receipt: Option<Receipt>,
}

/// The object-by-object comparison of a restored instance with the manifest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// The number of compared tables.
    pub tables: u64,
    /// The number of rows in them.
    pub rows: u64,
    /// The number of compared sequences.
    pub sequences: u64,
    /// The number of compared large objects.
    pub large_objects: u64,
    /// At most 20 differences, as sentences; empty if the instance equals the image.
    pub differences: Vec<String>,
    /// The total number of differences.
    pub difference_count: u64,
}
