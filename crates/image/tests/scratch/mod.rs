//! Test images with random content, in a directory or another store.
#![expect(clippy::unwrap_used, reason = "test fixture")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::Utc;
use image::{ImageReader, ImageWriter, Index, RowsWriter, SequenceLine, Store, TableLine};
use model::image::FORMAT_VERSION;
use model::{Database, ImageId, ImageKind, ImageType, Manifest, Source, Table};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// A random number generator. Its seed is printed, and is read from TOYGRES_SEED if set.
pub(crate) fn random() -> StdRng {
    let seed = std::env::var("TOYGRES_SEED").ok().map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("TOYGRES_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// A store in a temporary directory.
pub(crate) struct TestStore {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Store,
}

/// An image and the content that was written into it.
pub(crate) struct TestImage {
    pub(crate) image: ImageId,
    pub(crate) prefix: String,
    pub(crate) manifest: Manifest,
    pub(crate) sha256: String,
    /// The COPY text of each table.
    pub(crate) tables: BTreeMap<String, Vec<u8>>,
    pub(crate) schema: Vec<u8>,
    pub(crate) index: Index,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("file://{}", dir.path().display()), &image::StoreOptions::default())
            .unwrap();
        Self { dir, store }
    }

    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.dir.path().join(key)
    }

    /// All files, including staging files, relative to the store.
    pub(crate) fn files(&self) -> Vec<String> {
        files_below(self.dir.path())
    }

    pub(crate) async fn open(&self, prefix: &str) -> image::Result<ImageReader> {
        ImageReader::open(self.store.clone(), prefix).await
    }

    /// Opens and verifies.
    pub(crate) async fn verify(&self, prefix: &str) -> image::Result<image::Verified> {
        self.open(prefix).await?.verify(|_| {}).await
    }

    /// Writes an image with one database and four tables of random rows: one spans several objects, one is empty.
    pub(crate) async fn write(&self, random: &mut StdRng) -> TestImage {
        TestImage::write(&self.store, random).await
    }
}

impl TestImage {
    /// Writes such an image into any store.
    pub(crate) async fn write(store: &Store, random: &mut StdRng) -> Self {
        let image = ImageId::new();
        let prefix = image::prefix(image, uuid::Uuid::from_u128(random.random()));
        let writer = ImageWriter::new(store.clone(), prefix.as_str(), image);
        let mut schema = vec![0; 2_500_000];
        random.fill(&mut schema[..]);
        writer
            .write(
                image::GLOBALS,
                "sql",
                Some("zstd"),
                &zstd::encode_all(&b"create role a;\n"[..], 1).unwrap(),
            )
            .await
            .unwrap();
        writer.write("0/schema.dump", "pg_dump-custom", None, &schema).await.unwrap();

        let mut rows = RowsWriter::new(&writer, 0, 0).unwrap().with_largest_object(500_000);
        let (mut index, mut tables) = (Index::default(), BTreeMap::new());
        for (name, count) in [("small", 10), ("empty", 0), ("large", 60_000), ("last", 1)] {
            let mut text = Vec::new();
            for _ in 0..count {
                let row = format!("{}\t{:x}\n", random.random::<u32>(), random.random::<u128>());
                rows.row(row.as_bytes()).await.unwrap();
                text.extend_from_slice(row.as_bytes());
            }
            let line = TableLine {
                schema: "public".into(),
                name: name.into(),
                columns: vec!["a".into(), "b".into()],
                ..TableLine::default()
            };
            let pieces = rows.end().await.unwrap();
            if pieces.is_empty() {
                index.tables.push(line.clone());
            }
            index.tables.extend(pieces.into_iter().map(|p| TableLine {
                object: Some(p.object),
                offset: p.offset,
                length: p.length,
                rows: p.rows,
                bytes: p.bytes,
                ..line.clone()
            }));
            tables.insert(name.to_owned(), text);
        }
        rows.finish().await.unwrap();
        index.sequences.push(SequenceLine {
            schema: "public".into(),
            name: "s".into(),
            last_value: 7,
            is_called: true,
        });
        writer.write(&Index::key(0), "jsonl", Some("zstd"), &index.pack().unwrap()).await.unwrap();
        let (manifest, sha256) = writer.commit(manifest_of(image, &tables)).await.unwrap();
        Self { image, prefix, manifest, sha256, tables, schema, index }
    }
}

/// A manifest for these tables.
pub(crate) fn manifest_of(image: ImageId, tables: &BTreeMap<String, Vec<u8>>) -> Manifest {
    let rows = |text: &[u8]| text.iter().filter(|b| **b == b'\n').count() as u64;
    let tables = tables.iter().map(|(name, text)| Table {
        schema: "public".into(),
        name: name.clone(),
        rows: rows(text),
        bytes: text.len() as u64,
    });
    let database = Database {
        ordinal: 0,
        name: "a `b` \"c\"\n# d".into(),
        owner: "o".into(),
        encoding: "UTF8".into(),
        locale_provider: "libc".into(),
        collate: "C".into(),
        ctype: "C".into(),
        locale: None,
        icu_rules: None,
        collation_version: None,
        bytes: 1,
        extensions: Vec::new(),
        tables: tables.collect(),
        sequences: 1,
        large_objects: 0,
        tablespaces: Vec::new(),
    };
    let source = Source {
        version: "15.20".into(),
        major: 15,
        image_type: ImageType::Stock,
        preload: Vec::new(),
        bytes: 1,
        bootstrap: None,
        left_out: Vec::new(),
    };
    Manifest {
        format_version: FORMAT_VERSION,
        image,
        kind: ImageKind::Logical,
        created_at: Utc::now(),
        source,
        databases: vec![database],
        objects: Vec::new(),
        tools: BTreeMap::new(),
    }
}

/// All files below a directory, relative to it.
pub(crate) fn files_below(root: &Path) -> Vec<String> {
    let (mut found, mut todo) = (Vec::new(), vec![root.to_owned()]);
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
