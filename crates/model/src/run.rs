//! Runs as the dashboard and the REST API show them: the rows of the engine's tables, in words.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::agent::Level;
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

/// The error of what is not there because a person did not want it after all.
pub const CANCELLED: &str = "Cancelled.";

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
    /// What went wrong last.
    pub error: Option<String>,
    /// What it waits for outside of Toygres: a volume, a node, an image.
    #[serde(default)]
    pub waits_for: Option<String>,
    /// How far its job is.
    pub progress: Option<Progress>,
    /// When its first try began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

impl StepRow {
    /// The step's name in words: `RunBackupJob` is "run backup job", `GetInstanceByK8sName` "get instance by k8s name".
    #[must_use]
    pub fn words(&self) -> String {
        step_words(&self.name)
    }
}

/// A step's name in words.
#[must_use]
pub fn step_words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 8);
    for (i, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

/// A run as a list shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The workflow, such as `create-image`.
    pub workflow: String,
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
    /// What it is about, in words, such as "Back up orders".
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
    /// The first error.
    pub error: Option<String>,
    /// How far the current step's job is.
    pub progress: Option<Progress>,
    /// When it was started.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A known kind of failure, with what it means and what to do.
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
    fn step_names_become_words() {
        assert_eq!(super::step_words("RunBackupJob"), "run backup job");
        assert_eq!(super::step_words("GetInstanceByK8sName"), "get instance by k8s name");
    }
}
