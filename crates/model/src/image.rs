//! Images as rows of the catalogue. Their content is described by the [`Manifest`].

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureCode};
use crate::id::{ImageId, InstanceId, RunId, StoreId};
use crate::run::RunState;
use crate::text_enum::text_enum;

pub use crate::image_type::{ImageKind, ImageType};
pub use crate::manifest::{
    Database, Extension, FORMAT_VERSION, LeftOut, LeftOutReason, Manifest, Object, Source, Table,
};

text_enum! {
    /// The state of an image.
    ImageStatus {
        /// A run is creating it.
        Creating = "creating",
        /// The image is complete.
        Available = "available",
        /// Its creation failed, and its objects were deleted.
        Failed = "failed",
        /// An object is missing or damaged.
        Corrupt = "corrupt",
        /// A run is deleting it.
        Deleting = "deleting",
    }
}

/// An image in the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its name, unique.
    pub name: String,
    /// The description that a user entered.
    pub description: String,
    /// The source instance; none after its deletion.
    pub instance: Option<InstanceId>,
    /// The name of the source instance, kept after its deletion.
    pub instance_name: String,
    /// The form of the data.
    pub kind: ImageKind,
    /// The type of the source instance.
    pub image_type: ImageType,
    /// The state.
    pub status: ImageStatus,
    /// The full version of the source.
    pub version: Option<String>,
    /// The major version of the source.
    pub major: Option<i32>,
    /// The size of the source's databases at the time of the backup, in bytes.
    pub source_bytes: Option<i64>,
    /// The size of its objects in the store, in bytes.
    pub stored_bytes: Option<i64>,
    /// The number of copied databases.
    pub databases: Option<i32>,
    /// The number of databases of the source that accept connections; none for images of earlier versions.
    #[serde(default)]
    pub source_databases: Option<i32>,
    /// The number of tables.
    pub tables: Option<i64>,
    /// The number of rows.
    pub rows: Option<i64>,
    /// The duration of the backup in milliseconds.
    pub duration_ms: Option<i64>,
    /// The store of its objects.
    pub store: StoreId,
    /// The run that creates or created it.
    pub run: Option<RunId>,
    /// The state of that run. An image whose run is stuck or rolls back does not become available.
    #[serde(default)]
    pub run_state: Option<RunState>,
    /// The user who started the backup.
    pub created_by: String,
    /// When the backup was started.
    pub created_at: DateTime<Utc>,
    /// When every byte was last read back and matched.
    pub verified_at: Option<DateTime<Utc>>,
    /// When a restore of it last compared equal.
    pub proven_at: Option<DateTime<Utc>>,
    /// Why it failed or is corrupt.
    pub error: Option<Failure>,
}

impl Image {
    /// Whether a user cancelled its backup.
    #[must_use]
    pub fn was_cancelled(&self) -> bool {
        self.status == ImageStatus::Failed
            && self.error.as_ref().is_some_and(|failure| failure.code == FailureCode::Cancelled)
    }

    /// Whether its backup makes progress. The image of a run that is stuck or rolls back has the status of one that is created.
    #[must_use]
    pub fn is_in_progress(&self) -> bool {
        self.status == ImageStatus::Creating
            && !matches!(self.run_state, Some(RunState::Stuck | RunState::Undoing))
    }

    /// The numbers of copied and of existing databases, if the image holds fewer than the source had.
    #[must_use]
    pub fn partial(&self) -> Option<(i32, i32)> {
        self.databases.zip(self.source_databases).filter(|(copied, existing)| copied < existing)
    }
}

/// An image with the data of its page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageDetail {
    /// The row.
    #[serde(flatten)]
    pub image: Image,
    /// The manifest; none before the image is available.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub manifest: Option<Manifest>,
    /// The store's name.
    pub store_name: String,
    /// The prefix of its objects in the store.
    pub prefix: Option<String>,
    /// The names of the instances that were restored from it.
    pub restored_to: Vec<String>,
    /// The active runs that read or write it.
    pub in_use_by: Vec<RunId>,
}

/// The backups of an instance on one day, for charts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DayOfImages {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// The number of available images.
    pub created: i32,
    /// The number of failed backups and corrupt images.
    pub failed: i32,
    /// The number of images of that day that were proven by a restore.
    pub proven: i32,
    /// The size of the day's newest image in the store, in bytes.
    pub stored_bytes: Option<i64>,
    /// The duration of the backup of that image in milliseconds.
    pub duration_ms: Option<i64>,
}

/// A request for a backup: the body of the REST request and the fields of the form.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewImage {
    /// The name of the image; generated from the instance's name and the time if empty.
    #[serde(default)]
    pub name: String,
    /// The instance to back up.
    pub instance_id: Option<InstanceId>,
    /// The description.
    #[serde(default)]
    pub description: Option<String>,
    /// The databases to back up; all if empty.
    #[serde(default)]
    pub databases: Vec<String>,
}
