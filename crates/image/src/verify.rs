//! Reads every byte of an image back and compares it with the manifest. It changes nothing.

use std::collections::BTreeMap;

use model::Progress;

use crate::error::{Error, Result};
use crate::index::{IndexEntry, RowsEntry};
use crate::read::ImageReader;
use crate::write::keys;

/// How many damaged objects are named.
const NAMED: usize = 5;

/// What a verification read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Objects, the manifest aside.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Reads everything back. Goes on after a damaged object, to name the others too; `progress` is called after each chunk.
pub async fn verify(image: &ImageReader, mut progress: impl FnMut(&Progress)) -> Result<Verified> {
    let manifest = image.manifest();
    let mut now = Progress {
        phase: "verify".to_owned(),
        bytes_total: Some(manifest.stored_bytes()),
        total: Some(manifest.objects.len() as u64),
        ..Progress::default()
    };
    let mut damaged = Vec::new();
    for object in &manifest.objects {
        match read(image, &object.key, &mut now, &mut progress).await {
            Ok(()) => {}
            Err(error @ (Error::Missing { .. } | Error::Corrupt { .. })) => damaged.push(error),
            Err(error) => return Err(error),
        }
        now.done += 1;
        progress(&now);
    }
    for database in &manifest.databases {
        if damaged.is_empty() {
            indexed(image, database).await?;
        }
    }
    match damaged.len() {
        0 => Ok(Verified { objects: now.done, bytes: now.bytes }),
        1 => Err(damaged.remove(0)),
        n => Err(several(image, n, &damaged)),
    }
}

async fn read(
    image: &ImageReader,
    key: &str,
    now: &mut Progress,
    progress: &mut impl FnMut(&Progress),
) -> Result<()> {
    let mut object = image.object(key).await?;
    while let Some(chunk) = object.next().await? {
        now.bytes += chunk.len() as u64;
        progress(now);
    }
    Ok(())
}

/// Whether the index says the same as the manifest: every object covered without gap, every row of every table there.
async fn indexed(image: &ImageReader, database: &model::Database) -> Result<()> {
    let mut rows: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    let mut objects: BTreeMap<String, Vec<RowsEntry>> = BTreeMap::new();
    let mut sequences = 0;
    for entry in image.index(database.ordinal).await? {
        match entry {
            IndexEntry::Sequence(_) => sequences += 1,
            IndexEntry::Rows(entry) => {
                let sums = rows.entry((entry.schema.clone(), entry.table.clone())).or_default();
                sums.0 += entry.rows;
                sums.1 += entry.bytes;
                objects.entry(entry.object.clone()).or_default().push(entry);
            }
        }
    }
    let wrong = |why: String| Error::corrupt(keys::index(database.ordinal), why);
    if sequences != database.sequences {
        return Err(wrong(format!(
            "it has {sequences} sequences, and the manifest says {}",
            database.sequences
        )));
    }
    for table in &database.tables {
        let found = rows.remove(&(table.schema.clone(), table.name.clone())).unwrap_or_default();
        if found != (table.rows, table.bytes) {
            return Err(wrong(format!(
                "it has {} rows of {}.{}, and the manifest says {}",
                found.0, table.schema, table.name, table.rows
            )));
        }
    }
    if let Some((schema, name)) = rows.keys().next() {
        return Err(wrong(format!("it has rows of {schema}.{name}, which the manifest does not list")));
    }
    let of_rows = |key: &&String| key.starts_with(&format!("{}/rows-", database.ordinal));
    let listed: Vec<&String> =
        image.manifest().objects.iter().map(|object| &object.key).filter(of_rows).collect();
    if let Some(key) = listed.iter().find(|key| !objects.contains_key(**key)) {
        return Err(wrong(format!("it does not say what is in {key}")));
    }
    for (key, entries) in objects {
        // Opening it checks that the entries cover it without gap.
        image.rows(&key, entries).await?;
    }
    Ok(())
}

fn several(image: &ImageReader, n: usize, damaged: &[Error]) -> Error {
    let words: Vec<String> = damaged.iter().take(NAMED).map(ToString::to_string).collect();
    let more = if n > NAMED { "; …" } else { "" };
    Error::corrupt(
        format!("image {}", image.manifest().image),
        format!("{n} objects are damaged: {}{more}", words.join("; ")),
    )
}
