//! The data of the overview page: instances, active runs, and items that need attention.

use serde::{Deserialize, Serialize};

use crate::id::InstanceId;
use crate::image::{DayOfImages, Image};
use crate::instance::Instance;
use crate::run::{Run, RunState, WorkflowName};

/// An instance with its newest images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OverviewInstance {
    /// The instance.
    pub instance: Instance,
    /// Its newest image in any state.
    pub newest: Option<Image>,
    /// Its newest available image that holds every database of the source.
    #[serde(default)]
    pub newest_complete: Option<Image>,
    /// Its backups of the last 14 days, oldest first.
    pub days: Vec<DayOfImages>,
}

/// Counts of the overview page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Counts {
    /// The number of instances.
    pub instances: i64,
    /// The number of images in all states.
    pub images: i64,
    /// The number of runs that need attention: stuck, or failed recently without a later run that succeeded.
    pub runs_needing_attention: i64,
    /// The number of images whose objects are damaged or missing.
    #[serde(default)]
    pub corrupt_images: i64,
}

/// The data of the overview page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Overview {
    /// All instances, ordered by name.
    pub instances: Vec<OverviewInstance>,
    /// The active runs.
    pub running: Vec<Run>,
    /// The runs that need attention, stuck runs before failed ones.
    pub needs_attention: Vec<Run>,
    /// The runs that ended most recently.
    pub ended: Vec<Run>,
    /// The counts.
    pub counts: Counts,
    /// The free space for images in bytes, if the platform reports it.
    pub store_free_bytes: Option<i64>,
    /// The size of all available images in their stores, in bytes.
    pub stored_bytes: i64,
}

impl Overview {
    /// Whether a backup of the instance is running. Stuck runs and those that roll back are not.
    #[must_use]
    pub fn is_backing_up(&self, instance: InstanceId) -> bool {
        self.running.iter().any(|run| {
            run.state == RunState::Running
                && run.instance == Some(instance)
                && run.workflow == WorkflowName::CreateImage
        })
    }
}
