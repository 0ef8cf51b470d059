//! Runs as the dashboard and the REST API show them: the rows of the engine's tables, in words.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::agent::Level;
use crate::failure::Failure;
use crate::id::{ImageId, InstanceId, RunId};
use crate::text_enum::text_enum;

text_enum! {
    /// Where a run stands.
    RunState {
        /// Steps are being done, or waited for.
        Running = "running",
        /// A step failed for good or a person cancelled: what was done is being undone.
        Undoing = "undoing",
        /// Every step is done.
        Succeeded = "succeeded",
        /// Undone after a failure.
        Failed = "failed",
        /// Undone because a person asked for it.
        Cancelled = "cancelled",
        /// An undo failed: a person must press retry or accept.
        Stuck = "stuck",
    }
}

text_enum! {
    /// Where a step stands.
    StepState {
        /// Not begun.
        Todo = "todo",
        /// A worker does it now.
        Running = "running",
        /// It waits for something outside, no worker held.
        Waiting = "waiting",
        /// It failed and will be tried again.
        Retrying = "retrying",
        /// It is done.
        Done = "done",
        /// It failed for good.
        Failed = "failed",
        /// It is being undone.
        Undoing = "undoing",
        /// It was undone.
        Undone = "undone",
        /// It was never begun and will not be.
        Skipped = "skipped",
        /// Its undo failed.
        Stuck = "stuck",
    }
}

text_enum! {
    /// The workflows.
    WorkflowName {
        /// Backs up an instance into an image.
        CreateImage = "create-image",
        /// Creates an instance with an empty database.
        CreateInstance = "create-instance",
        /// Restores an image into a new instance.
        RestoreImage = "restore-image",
        /// Reads every byte of an image back.
        VerifyImage = "verify-image",
        /// Deletes an image.
        DeleteImage = "delete-image",
        /// Deletes a managed instance, or removes an external one from Toygres.
        DeleteInstance = "delete-instance",
        /// Starts a stopped instance.
        StartInstance = "start-instance",
        /// Stops an instance.
        StopInstance = "stop-instance",
        /// Runs a job that writes log lines.
        TestPlatform = "test-platform",
        /// A workflow of another version of Toygres.
        Unknown = "unknown",
    }
}

impl WorkflowName {
    /// The workflow of a stored name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        name.parse().unwrap_or(Self::Unknown)
    }
}

impl RunState {
    /// Whether nothing will happen any more without a person.
    #[must_use]
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// What a job has done so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Progress {
    /// The word for what is going on, such as `rows`.
    pub phase: String,
    /// Bytes done.
    pub bytes: u64,
    /// Bytes to do, where known.
    pub bytes_total: Option<u64>,
    /// Things (tables, objects) done.
    pub done: u64,
    /// Things to do, where known.
    pub total: Option<u64>,
    /// Bytes a second over the last few seconds.
    pub rate: Option<u64>,
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepRow {
    /// Its place in the run, from 0.
    pub position: i32,
    /// Its name in code, such as `RunBackupJob`.
    pub name: String,
    /// Its title for users, such as "Copy data".
    #[serde(default)]
    pub title: String,
    /// Where it stands.
    pub state: StepState,
    /// Which try this is, from 1; 0 before the first.
    pub attempt: i32,
    /// How many tries it has.
    pub attempts: i32,
    /// When it fails if it is not done by then.
    pub deadline: Option<DateTime<Utc>>,
    /// When the next try or look is due.
    pub due_at: Option<DateTime<Utc>>,
    /// The newest failure of the step itself; a failed rollback does not overwrite it.
    pub error: Option<Failure>,
    /// The failure of the first attempt, if later attempts failed differently.
    #[serde(default)]
    pub first_error: Option<Failure>,
    /// What the step waits for outside of Toygres: a volume, a node, a container image.
    #[serde(default)]
    pub waits_for: Option<Failure>,
    /// How far its job is.
    pub progress: Option<Progress>,
    /// When its first try began.
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

/// The title of a workflow's step for users: `RunBackupJob` is "Copy data". A name without a title is split into words.
#[must_use]
pub fn step_title(workflow: WorkflowName, name: &str) -> String {
    let title = match name {
        "CreateImageRecord" => "Create image record",
        "GetInstanceByK8sName" => "Find source",
        "RunBackupJob" => "Copy data",
        "VerifyImage" | "RunVerifyJob" => "Verify image",
        "UpdateImageStatus" => match workflow {
            WorkflowName::CreateImage => "Publish image",
            WorkflowName::RestoreImage => "Mark image as proven",
            _ => "Update image",
        },
        "CreatePvc" => "Create storage",
        "GetSourcePassword" => "Read source password",
        "CreateInstanceRecord" => "Create instance record",
        "RunRestoreJob" => "Restore data",
        "DeployPostgresFromPvc" | "StartPostgres" => "Start server",
        "StopPostgres" => "Stop server",
        "TestConnection" => "Test connection",
        "UpdateInstanceStatus" => "Publish instance",
        "DeletePostgres" => "Delete server",
        "DeletePvc" => "Delete storage",
        "DeleteInstanceRecord" => "Delete instance record",
        "DeleteImageObjects" => "Delete objects",
        "DeleteImageRecord" => "Delete image record",
        "RunTestJob" => "Run test job",
        other => return split_into_words(other),
    };
    title.to_owned()
}

/// `ReadBackObjects` is "Read back objects".
fn split_into_words(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 8);
    for (i, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            text.push(' ');
            text.push(c.to_ascii_lowercase());
        } else {
            text.push(c);
        }
    }
    text
}

/// A run as a list shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The workflow.
    pub workflow: WorkflowName,
    /// The workflow's version.
    pub version: i32,
    /// Where it stands.
    pub state: RunState,
    /// The step that it is at, from 0.
    pub position: i32,
    /// How many steps it has.
    pub steps: i32,
    /// The name of the step that it is at.
    pub step: Option<String>,
    /// Its title, such as "Back up orders".
    pub title: String,
    /// The instance that it is about.
    pub instance: Option<InstanceId>,
    /// That instance's name.
    pub instance_name: Option<String>,
    /// The image that it is about.
    pub image: Option<ImageId>,
    /// That image's name.
    pub image_name: Option<String>,
    /// Who started it.
    pub started_by: String,
    /// Whether somebody asked to cancel it.
    pub cancel: bool,
    /// The first failure.
    pub error: Option<Failure>,
    /// How far the current step's job is.
    pub progress: Option<Progress>,
    /// When it was started.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Run {
    /// The title of the step that the run is at.
    #[must_use]
    pub fn step_title(&self) -> Option<String> {
        self.step.as_deref().map(|step| step_title(self.workflow, step))
    }
}

/// What a failure means for a run: its cause, the fix, and the consequence for the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Diagnosis {
    /// The cause, in a sentence.
    pub cause: String,
    /// What to do, in a sentence.
    pub fix: String,
    /// What it means for the data, in a sentence.
    pub meaning: String,
}

/// A run with all that its page shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunDetail {
    /// The row.
    #[serde(flatten)]
    pub run: Run,
    /// Its steps, all of them from the start.
    pub step_rows: Vec<StepRow>,
    /// What is known about its error.
    pub diagnosis: Option<Diagnosis>,
    /// How many log lines it has.
    pub log_lines: i64,
    /// The comparison that closed a restore.
    pub receipt: Option<Receipt>,
}

/// One line of a run's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// Its number in the run, from 1, without gaps.
    pub n: i64,
    /// When it was written, by the clock of whoever wrote it.
    pub at: DateTime<Utc>,
    /// How grave it is.
    pub level: Level,
    /// The step that it belongs to.
    pub step: String,
    /// The text, one line.
    pub message: String,
}

/// The object-by-object comparison of a restored instance with the manifest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// Tables compared.
    pub tables: u64,
    /// Rows counted in them.
    pub rows: u64,
    /// Sequences compared.
    pub sequences: u64,
    /// Large objects compared.
    pub large_objects: u64,
    /// What differs, in words; empty when all is equal. Cut after 20.
    pub differences: Vec<String>,
    /// How many differences there are in all.
    pub difference_count: u64,
}

#[cfg(test)]
mod tests {
    #[test]
    fn steps_have_titles() {
        use super::{WorkflowName, step_title};
        assert_eq!(step_title(WorkflowName::CreateImage, "RunBackupJob"), "Copy data");
        assert_eq!(step_title(WorkflowName::CreateImage, "UpdateImageStatus"), "Publish image");
        assert_eq!(step_title(WorkflowName::RestoreImage, "UpdateImageStatus"), "Mark image as proven");
        assert_eq!(step_title(WorkflowName::Unknown, "WriteTenLines"), "Write ten lines");
    }
}
