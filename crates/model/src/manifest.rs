//! The manifest of an image, which describes its source and the objects in the store.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::ImageId;
use crate::image_type::{ImageKind, ImageType};
use crate::text_enum::text_enum;

/// The version of the image format that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// `manifest.json`. It is written last and only once; without it, the objects below a prefix are not an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The [`FORMAT_VERSION`] of the writer. A reader rejects any other version.
    pub format_version: u32,
    /// The image.
    pub image: ImageId,
    /// Logical or physical.
    pub kind: ImageKind,
    /// When the manifest was written.
    pub created_at: DateTime<Utc>,
    /// The source instance.
    pub source: Source,
    /// The databases, ordered by ordinal.
    pub databases: Vec<Database>,
    /// All objects below the prefix except the manifest and the log.
    pub objects: Vec<Object>,
    /// The programs that wrote the image, with their versions.
    pub tools: BTreeMap<String, String>,
}

/// The source instance of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The full version, such as `15.20 (Debian 15.20-0+deb12u1)`.
    pub version: String,
    /// The major version.
    pub major: i32,
    /// The type of the instance.
    pub image_type: ImageType,
    /// `shared_preload_libraries` of the source.
    pub preload: Vec<String>,
    /// The size of all copied databases in bytes.
    pub bytes: i64,
    /// The bootstrap superuser, the role that initdb created. It owns the system objects.
    #[serde(default)]
    pub bootstrap: Option<String>,
    /// The databases of the source that a backup of all databases could not copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// A database that is not in the image, although the backup was to copy all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Its name.
    pub database: String,
    /// Why.
    pub reason: LeftOutReason,
}

text_enum! {
    /// Why a database is not in an image.
    LeftOutReason {
        /// It accepts no connections.
        Closed = "closed",
        /// The account of the backup does not have the privilege to connect to it.
        NoPrivilege = "no_privilege",
        /// `pg_hba.conf` does not admit the account of the backup to it.
        NotAdmitted = "not_admitted",
    }
}

/// One database of an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The number of the database in the keys of its objects.
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
    /// The version of the collation at the source.
    pub collation_version: Option<String>,
    /// The size at the source in bytes.
    pub bytes: i64,
    /// Installed extensions.
    pub extensions: Vec<Extension>,
    /// All tables whose rows were copied.
    pub tables: Vec<Table>,
    /// The number of sequences.
    pub sequences: u64,
    /// The number of large objects.
    pub large_objects: u64,
    /// The tablespaces that it uses, other than PostgreSQL's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tablespaces: Vec<String>,
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

/// A table of a database, with the number of copied rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
    /// The number of copied rows.
    pub rows: u64,
    /// The size of the rows as COPY text, before compression, in bytes.
    pub bytes: u64,
}

/// One object below an image's prefix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// The key, relative to the image's prefix.
    pub key: String,
    /// The size in the store in bytes.
    pub bytes: u64,
    /// The SHA-256 of the object in the store, in hexadecimal.
    pub sha256: String,
    /// `pg_dump-custom`, `copy-text`, `jsonl`, `sql` or `markdown`.
    pub format: String,
    /// `zstd`, or none.
    pub compression: Option<String>,
    /// The scheme and key id, or none.
    pub encryption: Option<String>,
}

impl Manifest {
    /// The number of rows of all tables.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.databases.iter().flat_map(|d| &d.tables).fold(0, |sum, t| sum.saturating_add(t.rows))
    }

    /// The number of tables of all databases.
    #[must_use]
    pub fn tables(&self) -> usize {
        self.databases.iter().map(|d| d.tables.len()).sum()
    }

    /// The size of all objects in the store, in bytes.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.objects.iter().fold(0, |sum, o| sum.saturating_add(o.bytes))
    }
}
