//! What the overview shows: is everything healthy, what runs, what needs a person.

use serde::{Deserialize, Serialize};

use crate::image::{DayOfImages, Image};
use crate::instance::Instance;
use crate::run::Run;

/// An instance with what was last made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OverviewInstance {
    /// The instance.
    pub instance: Instance,
    /// Its newest image, whatever its state.
    pub newest: Option<Image>,
    /// Its newest available image that holds every database of the source.
    #[serde(default)]
    pub newest_complete: Option<Image>,
    /// Its last 14 days of images, the oldest first.
    pub days: Vec<DayOfImages>,
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Counts {
    /// Instances.
    pub instances: i64,
    /// Available images.
    pub images: i64,
    /// Runs that are stuck, or failed and were not looked after since.
    pub runs_needing_you: i64,
}

/// What the overview shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Overview {
    /// All instances, by name.
    pub instances: Vec<OverviewInstance>,
    /// Runs that go on now.
    pub running: Vec<Run>,
    /// Runs that wait for a person, the gravest first: stuck before failed.
    pub needs_you: Vec<Run>,
    /// The last runs that ended.
    pub ended: Vec<Run>,
    /// How many there are.
    pub counts: Counts,
    /// Bytes that are free where images go, where the store can tell.
    pub store_free_bytes: Option<i64>,
    /// Bytes of all images there.
    pub stored_bytes: i64,
}
