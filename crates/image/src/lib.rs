//! The image format (version 1) over an object store: write, read, verify, delete. It knows no PostgreSQL and no CMS.
//!
//! Keys are relative to a prefix of the store, `images/<image>/<attempt>`, one prefix an attempt:
//! ```text
//! manifest.json           written last and only once; ends in the SHA-256 of all that precedes it
//! globals.sql.zst         roles, memberships and their settings
//! <n>/schema.dump         pg_dump's archive of database n: everything but rows
//! <n>/large-objects.dump  its large objects, where there are any
//! <n>/rows-<m>-<k>.zst    rows as COPY text: stream m, object k
//! <n>/index.jsonl.zst     where the rows of each table are; sequences with their values
//! log-<k>.jsonl           the job's events
//! RESTORE.md              how to restore with stock tools
//! ```

mod clean;
mod error;
mod guide;
mod index;
mod manifest;
mod reader;
mod rows;
mod store;
mod verify;
mod writer;

pub use error::{Error, Result};
pub use index::{Index, IndexLine, SequenceLine, TableLine};
pub use reader::{Frame, ImageReader, ObjectReader, RowsReader};
pub use rows::{Piece, RowsWriter};
pub use store::{ROOT_CERTIFICATE, Store, StoreOptions, TRANSFER};
pub use verify::Verified;
pub use writer::{ImageWriter, ObjectWriter};

/// The manifest's key below an image's prefix.
pub const MANIFEST: &str = "manifest.json";
/// The key of the guide below an image's prefix.
pub const GUIDE: &str = "RESTORE.md";
/// The key of the globals below an image's prefix.
pub const GLOBALS: &str = "globals.sql.zst";

/// The prefix of an attempt at an image, relative to the store.
#[must_use]
pub fn prefix(image: model::ImageId, attempt: uuid::Uuid) -> String {
    format!("images/{image}/{attempt}")
}

/// Whether a key below an image's prefix is that of a segment of the log.
pub(crate) fn is_log(key: &str) -> bool {
    let number = key.strip_prefix("log-").and_then(|rest| rest.strip_suffix(".jsonl"));
    number.is_some_and(|k| !k.is_empty() && k.bytes().all(|byte| byte.is_ascii_digit()))
}
