//! Writes an image: its objects in any order and several at once, then the commit, which first makes sure that the store
//! holds every byte. It knows no PostgreSQL.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use chrono::Utc;
use model::image::FORMAT_VERSION;
use model::{Database, ImageId, ImageKind, Manifest, Object, Source};

use crate::error::{Error, Result};
use crate::index::{IndexEntry, to_line};
use crate::manifest;
use crate::object::{Compression, Finished, ObjectWriter, Sink};
use crate::readme;
use crate::rows_write::{Limits, RowsWriter};
use crate::store::{Store, path_of};

/// The keys of an image's objects, relative to its prefix.
pub mod keys {
    /// The manifest.
    pub const MANIFEST: &str = "manifest.json";
    /// Roles, memberships and settings.
    pub const GLOBALS: &str = "globals.sql.zst";
    /// How to restore without Toygres.
    pub const README: &str = "RESTORE.md";

    /// Everything of database `n` but its rows.
    #[must_use]
    pub fn schema(n: u32) -> String {
        format!("{n}/schema.dump")
    }

    /// Large objects of database `n`.
    #[must_use]
    pub fn large_objects(n: u32) -> String {
        format!("{n}/large-objects.dump")
    }

    /// Rows of database `n`: stream `m`, object `k`.
    #[must_use]
    pub fn rows(n: u32, m: u32, k: u32) -> String {
        format!("{n}/rows-{m}-{k}.zst")
    }

    /// Where which rows of database `n` are.
    #[must_use]
    pub fn index(n: u32) -> String {
        format!("{n}/index.jsonl.zst")
    }

    /// Segment `k` of the job's log.
    #[must_use]
    pub fn log(k: u32) -> String {
        format!("log-{k}.jsonl")
    }

    /// Whether a key is that of a log segment.
    #[must_use]
    pub fn is_log(key: &str) -> bool {
        key.strip_prefix("log-")
            .and_then(|rest| rest.strip_suffix(".jsonl"))
            .is_some_and(|k| !k.is_empty() && k.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

/// What the writer of an image knows of it.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The instance.
    pub source: Source,
    /// Its databases, in the order of their ordinals.
    pub databases: Vec<Database>,
    /// Which program of which version wrote what.
    pub tools: BTreeMap<String, String>,
}

/// An image that is whole.
#[derive(Clone, Debug)]
pub struct Committed {
    /// SHA-256 of `manifest.json`, in hexadecimal.
    pub manifest_sha256: String,
    /// Bytes of its objects.
    pub stored_bytes: u64,
    /// What was written.
    pub manifest: Manifest,
}

/// An image being written. Clones write the same image.
#[derive(Clone)]
pub struct ImageWriter {
    store: Store,
    prefix: String,
    image: ImageId,
    finished: Finished,
}

impl ImageWriter {
    /// Begins an image below `prefix`.
    pub fn new(store: Store, prefix: &str, image: ImageId) -> Result<Self> {
        path_of(prefix)?;
        Ok(Self { store, prefix: prefix.to_owned(), image, finished: Finished::default() })
    }

    /// The store that it goes to.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Begins an object; `format` is one of those that [`Object::format`] names.
    pub fn object(
        &self,
        key: impl Into<String>,
        format: &str,
        compression: Compression,
    ) -> Result<ObjectWriter> {
        let word = (compression == Compression::Zstd).then(|| "zstd".to_owned());
        ObjectWriter::new(
            self.sink(Object { compression: word, ..Self::blank(key.into(), format) })?,
            compression,
        )
    }

    /// Begins stream `stream` of the rows of database `ordinal`.
    #[must_use]
    pub fn rows(&self, ordinal: u32, stream: u32) -> RowsWriter {
        self.rows_within(ordinal, stream, Limits::default())
    }

    /// The same with other limits.
    #[must_use]
    pub fn rows_within(&self, ordinal: u32, stream: u32, limits: Limits) -> RowsWriter {
        RowsWriter::new(self.clone(), ordinal, stream, limits)
    }

    /// Writes the index of database `ordinal`.
    pub async fn index(&self, ordinal: u32, entries: impl IntoIterator<Item = IndexEntry>) -> Result<Object> {
        let mut object = self.object(keys::index(ordinal), "jsonl", Compression::Zstd)?;
        for entry in entries {
            let line = to_line(&entry).map_err(|error| {
                Error::Configuration(format!("an entry of the index cannot be written: {error}"))
            })?;
            object.write(&line).await?;
        }
        object.finish().await
    }

    /// Makes the objects an image: writes `RESTORE.md`, asks the store for the size of every object, and only then writes
    /// the manifest, which is never overwritten.
    pub async fn commit(&self, contents: Contents) -> Result<Committed> {
        let mut manifest = Manifest {
            format_version: FORMAT_VERSION,
            image: self.image,
            kind: ImageKind::Logical,
            created_at: Utc::now(),
            source: contents.source,
            databases: contents.databases,
            objects: Vec::new(),
            tools: contents.tools,
        };
        let mut object = self.object(keys::README, "markdown", Compression::None)?;
        object.write(readme::text(&manifest).as_bytes()).await?;
        object.finish().await?;
        manifest.objects = self.finished.lock().unwrap_or_else(PoisonError::into_inner).clone();
        manifest.objects.sort_by(|a, b| a.key.cmp(&b.key));
        self.check(&manifest.objects).await?;
        let key = format!("{}/{}", self.prefix, keys::MANIFEST);
        let bytes = manifest::to_bytes(&manifest)
            .map_err(|error| Error::Configuration(format!("the manifest cannot be written: {error}")))?;
        // What cannot be read back is not written.
        manifest::from_bytes(&key, &bytes)?;
        let manifest_sha256 = manifest::sha256(&bytes);
        self.store.create_object(&key, bytes.into()).await?;
        Ok(Committed { manifest_sha256, stored_bytes: manifest.stored_bytes(), manifest })
    }

    /// Whether the store holds all objects at their full size, and nothing else but the log.
    async fn check(&self, objects: &[Object]) -> Result<()> {
        let listed: BTreeMap<String, u64> = self.store.list(&self.prefix).await?.into_iter().collect();
        let mut expected = BTreeSet::new();
        for object in objects {
            let key = format!("{}/{}", self.prefix, object.key);
            match listed.get(&key) {
                None => return Err(Error::Missing { key }),
                Some(size) if *size != object.bytes => {
                    return Err(Error::corrupt(
                        key,
                        format!("{} bytes were written, and the store holds {size}", object.bytes),
                    ));
                }
                Some(_) => expected.insert(key),
            };
        }
        let stray = listed.keys().find(|key| {
            !expected.contains(*key) && !key[self.prefix.len() + 1..].split('/').all(keys::is_log)
        });
        match stray {
            None => Ok(()),
            Some(key) => Err(Error::Exists { key: key.clone() }),
        }
    }

    pub(crate) fn blank(key: String, format: &str) -> Object {
        Object {
            key,
            bytes: 0,
            sha256: String::new(),
            format: format.to_owned(),
            compression: None,
            encryption: None,
        }
    }

    pub(crate) fn sink(&self, object: Object) -> Result<Sink> {
        path_of(&object.key)?;
        Ok(Sink::new(self.store.clone(), &self.prefix, object, self.finished.clone()))
    }
}
