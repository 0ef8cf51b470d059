//! The format of images in an object store: written so that the manifest comes last, read so that nothing unchecked is
//! used. It knows no PostgreSQL, no server and no job.
//!
//! Keys are relative to a prefix of the store, one prefix an attempt: `images/<image>/<attempt>`.
//! ```text
//! manifest.json           written last, create-only: the commit marker; ends in the SHA-256 of all that precedes it
//! globals.sql.zst         roles, memberships and settings
//! <n>/schema.dump         pre-data and post-data of database n
//! <n>/large-objects.dump  its large objects, where there are any
//! <n>/rows-<m>-<k>.zst    rows as COPY text; stream m, object k: whole zstd frames
//! <n>/index.jsonl.zst     where which rows are; sequences with their values
//! log-<k>.jsonl           the job's events
//! RESTORE.md              how to restore without Toygres
//! ```

mod compress;
mod delete;
mod error;
mod index;
mod manifest;
mod object;
mod read;
mod readme;
mod rows_read;
mod rows_write;
mod store;
mod verify;
mod write;

pub use delete::{delete, discard, sweep};
pub use error::{Error, Result};
pub use index::{IndexEntry, RowsEntry, SequenceEntry};
pub use object::{Compression, ObjectWriter};
pub use read::{ImageReader, ObjectReader};
pub use rows_read::RowsReader;
pub use rows_write::{Limits, RowsWriter, TableRange};
pub use store::Store;
pub use verify::{Verified, verify};
pub use write::{Committed, Contents, ImageWriter, keys};

/// The prefix of an attempt at an image, relative to the store.
#[must_use]
pub fn prefix(image: model::ImageId, attempt: impl std::fmt::Display) -> String {
    format!("images/{image}/{attempt}")
}
