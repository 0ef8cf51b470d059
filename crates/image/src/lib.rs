//! The image format (version 1) over an object store: write, read, verify and delete images.
//!
//! An *image* is a backup: an immutable, self-describing set of objects in a *store*. A store is a directory, a volume of
//! Kubernetes, a container of Azure Blob Storage or a bucket of S3. This crate does not know PostgreSQL or the state
//! database; it stores the dumps and rows that the agent gives it.
//!
//! - [`Store`]: opens a store by its address and [`StoreOptions`]; small objects, lists and deletions.
//! - [`ImageWriter`], [`ObjectWriter`], [`RowsWriter`]: write one image. Its objects appear whole or not at all, and it
//!   becomes an image with [`ImageWriter::commit`].
//! - [`ImageReader`], [`ObjectReader`], [`RowsReader`]: read an image and check every byte by its SHA-256.
//! - [`SealKey`]: seals the manifest of an image and tells an original from another one.
//! - [`Index`]: where the rows of each table are, and the values of the sequences.
//! - [`Error`]: a [`model::Failure`] with a code that callers decide on.
//!
//! # Layout
//!
//! Keys are relative to a prefix of the store, `images/<image>/<attempt>`. Each attempt to write an image has a prefix of
//! its own.
//! ```text
//! manifest.json           written last and only once; ends in the SHA-256 of everything before it
//! globals.sql.zst         roles, memberships and their settings
//! <n>/schema.dump         pg_dump's archive of database n without rows
//! <n>/large-objects.dump  its large objects, if it has any
//! <n>/rows-<m>-<k>.zst    rows as COPY text: stream m, object k
//! <n>/index.jsonl.zst     where the rows of each table are; sequences with their values
//! log-<k>.jsonl           the job's events
//! writer-<uuid>           the claim of the only writer of this prefix, empty
//! seal.json               which manifest the installation has published; see [`SealKey`]
//! RESTORE.md              how to restore with stock tools
//! ```
//!
//! # Example
//!
//! ```
//! use image::{ImageReader, ImageWriter, Store, StoreOptions};
//! # use model::{FailureCode, ImageId, ImageKind, ImageType, Manifest, Source};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let url = format!("file://{}", directory.path().display());
//! # let source = Source {
//! #     version: "15.20".into(), major: 15, image_type: ImageType::Stock, preload: vec![], bytes: 0, bootstrap: None, left_out: vec![],
//! # };
//! let store = Store::open(&url, &StoreOptions::default())?;
//! let id = ImageId::new();
//! let prefix = image::prefix(id, uuid::Uuid::now_v7());
//!
//! let writer = ImageWriter::new(store.clone(), prefix.as_str(), id);
//! writer.write(image::GLOBALS, "sql", Some("zstd"), b"...").await?;
//! # let manifest = Manifest {
//! #     format_version: model::image::FORMAT_VERSION, image: id, kind: ImageKind::Logical,
//! #     created_at: chrono::Utc::now(), source, databases: vec![], objects: vec![], tools: Default::default(),
//! # };
//! writer.commit(manifest).await?;
//!
//! let image = ImageReader::open(store.clone(), &prefix).await?;
//! let verified = image.verify(|_| {}).await?;
//! assert_eq!(verified.objects, 2); // the globals and the guide
//!
//! store.delete_image(&prefix).await?;
//! let error = ImageReader::open(store, &prefix).await.expect_err("the image is deleted");
//! assert_eq!(error.code(), FailureCode::ManifestMissing);
//! # Ok(())
//! # }
//! ```

mod claim;
mod clean;
mod compression;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod guide;
mod index;
mod inventory;
mod layout;
mod manifest;
mod reader;
mod rows;
mod seal;
mod store;
mod verify;
mod writer;

pub use error::{Error, Result};
pub use index::{Index, IndexLine, SequenceLine, TableLine};
pub use inventory::PrefixUsage;
pub use layout::{GLOBALS, GUIDE, MANIFEST, SEAL, prefix};
pub use reader::{Frame, ImageReader, ObjectReader, RowsReader};
pub use rows::{Piece, RowsWriter};
pub use seal::SealKey;
pub use store::{NETWORK, ROOT_CERTIFICATE, Reading, Space, Store, StoreOptions, TRANSFER, host_and_port};
pub use verify::Verified;
pub use writer::{ImageWriter, ObjectWriter};
