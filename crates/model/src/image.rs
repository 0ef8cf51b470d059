//! Images: the row in the catalogue, and the manifest that describes the objects in the store.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureCode};
use crate::id::{ImageId, InstanceId, RunId, StoreId};
use crate::run::RunState;
use crate::text_enum::text_enum;

text_enum! {
    /// How an image holds its data.
    ImageKind {
        /// Schema and rows, restorable into the same or a newer major version.
        Logical = "logical",
        /// The files of the data directory, restorable into the same major version only.
        Physical = "physical",
    }
}

text_enum! {
    /// Which PostgreSQL an instance is; kept through backup and restore.
    ImageType {
        /// PostgreSQL as it comes.
        Stock = "stock",
        /// PostgreSQL with pg_durable, whose background worker connects over TCP on loopback.
        PgDurable = "pg_durable",
    }
}

text_enum! {
    /// Where an image stands.
    ImageStatus {
        /// A run is making it.
        Creating = "creating",
        /// The store holds every byte of it.
        Available = "available",
        /// The run that was to make it failed; what it wrote is gone.
        Failed = "failed",
        /// A check found an object missing or changed.
        Corrupt = "corrupt",
        /// A run is deleting it.
        Deleting = "deleting",
    }
}

/// A row of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its name, unique.
    pub name: String,
    /// What somebody wrote about it.
    pub description: String,
    /// The instance that it copies; none once that is deleted.
    pub instance: Option<InstanceId>,
    /// That instance's name, kept after it is gone.
    pub instance_name: String,
    /// Logical or physical.
    pub kind: ImageKind,
    /// Stock or pg_durable.
    pub image_type: ImageType,
    /// Where it stands.
    pub status: ImageStatus,
    /// The source's full version.
    pub version: Option<String>,
    /// The source's major version.
    pub major: Option<i32>,
    /// Bytes of the source's databases when it was made.
    pub source_bytes: Option<i64>,
    /// Bytes of its objects in the store.
    pub stored_bytes: Option<i64>,
    /// How many databases it holds.
    pub databases: Option<i32>,
    /// How many databases that accept connections the source had; none for images of earlier versions.
    #[serde(default)]
    pub source_databases: Option<i32>,
    /// How many tables it holds.
    pub tables: Option<i64>,
    /// How many rows it holds.
    pub rows: Option<i64>,
    /// How long making it took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// Where its objects are.
    pub store: StoreId,
    /// The run that made it, or is making it.
    pub run: Option<RunId>,
    /// The state of that run: an image whose run is stuck or rolling back will not become available.
    #[serde(default)]
    pub run_state: Option<RunState>,
    /// Who asked for it.
    pub created_by: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When every byte was last read back and matched.
    pub verified_at: Option<DateTime<Utc>>,
    /// When a restore of it last ended with an equal receipt.
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

    /// The numbers of copied and of existing databases, if the image holds fewer than the source had.
    #[must_use]
    pub fn partial(&self) -> Option<(i32, i32)> {
        self.databases.zip(self.source_databases).filter(|(copied, existing)| copied < existing)
    }
}

/// An image with all that its page shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageDetail {
    /// The row.
    #[serde(flatten)]
    pub image: Image,
    /// What the store holds; none before the image is available.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub manifest: Option<Manifest>,
    /// The store's name.
    pub store_name: String,
    /// The prefix of its objects in the store.
    pub prefix: Option<String>,
    /// Instances that were restored from it, by name.
    pub restored_to: Vec<String>,
    /// Runs that read or write it now.
    pub in_use_by: Vec<RunId>,
}

/// What was made of an instance on one day, for the drawings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DayOfImages {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// Images that are available.
    pub made: i32,
    /// Tries that failed.
    pub failed: i32,
    /// Images of that day that were proven by a restore.
    pub proven: i32,
    /// Bytes in the store of the day's newest image.
    pub stored_bytes: Option<i64>,
    /// How long that one took, in milliseconds.
    pub duration_ms: Option<i64>,
}

/// What a person asks for when backing up; the REST body and the form are this.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewImage {
    /// The name to give it; made from the instance's name and the time if empty.
    #[serde(default)]
    pub name: String,
    /// The instance to copy.
    pub instance_id: Option<InstanceId>,
    /// What to write about it.
    #[serde(default)]
    pub description: Option<String>,
    /// Only these databases; all if empty.
    #[serde(default)]
    pub databases: Vec<String>,
}

/// The version of the image format that this program writes, and the only one that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// `manifest.json`: written last and only once, it is what makes objects an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] of the writer; a reader refuses what it does not know.
    pub format_version: u32,
    /// The image.
    pub image: ImageId,
    /// Logical or physical.
    pub kind: ImageKind,
    /// When the manifest was written.
    pub created_at: DateTime<Utc>,
    /// What was copied.
    pub source: Source,
    /// The databases, in the order of their ordinals.
    pub databases: Vec<Database>,
    /// Every other object below the prefix but the log.
    pub objects: Vec<Object>,
    /// Which program of which version wrote what.
    pub tools: BTreeMap<String, String>,
}

/// The instance that an image copies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The full version, such as `15.20 (Debian 15.20-0+deb12u1)`.
    pub version: String,
    /// The major version.
    pub major: i32,
    /// Stock or pg_durable.
    pub image_type: ImageType,
    /// `shared_preload_libraries` of the source.
    pub preload: Vec<String>,
    /// Bytes of all copied databases.
    pub bytes: i64,
    /// The role that initdb made there, which owns what nobody else does.
    #[serde(default)]
    pub bootstrap: Option<String>,
}

/// One database of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Its number in the keys of its objects.
    pub ordinal: u32,
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// Its encoding.
    pub encoding: String,
    /// `libc`, `icu` or `builtin`.
    pub locale_provider: String,
    /// `lc_collate`.
    pub collate: String,
    /// `lc_ctype`.
    pub ctype: String,
    /// The ICU or builtin locale.
    pub locale: Option<String>,
    /// ICU rules.
    pub icu_rules: Option<String>,
    /// The collation's version at the source.
    pub collation_version: Option<String>,
    /// Bytes at the source.
    pub bytes: i64,
    /// Installed extensions.
    pub extensions: Vec<Extension>,
    /// Every table whose rows were copied.
    pub tables: Vec<Table>,
    /// How many sequences it has.
    pub sequences: u64,
    /// How many large objects it has.
    pub large_objects: u64,
}

/// An extension of a database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// Its version at the source.
    pub version: String,
}

/// A table of a database and how many rows of it were copied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
    /// The rows that were copied.
    pub rows: u64,
    /// Bytes as COPY text, before compression.
    pub bytes: u64,
}

/// One object below an image's prefix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// The key, relative to the image's prefix.
    pub key: String,
    /// Its bytes in the store.
    pub bytes: u64,
    /// Their SHA-256, in hexadecimal.
    pub sha256: String,
    /// `pg_dump-custom`, `copy-text`, `jsonl`, `sql` or `markdown`.
    pub format: String,
    /// `zstd`, or none.
    pub compression: Option<String>,
    /// The scheme and key id, or none.
    pub encryption: Option<String>,
}

impl Manifest {
    /// How many rows all tables have.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.databases.iter().flat_map(|d| &d.tables).map(|t| t.rows).sum()
    }

    /// How many tables all databases have.
    #[must_use]
    pub fn tables(&self) -> usize {
        self.databases.iter().map(|d| d.tables.len()).sum()
    }

    /// Bytes of all objects in the store.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.objects.iter().map(|o| o.bytes).sum()
    }
}
