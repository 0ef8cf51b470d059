//! Copies one database under one snapshot: its schema, rows and large objects side by side, then the index. It knows
//! nothing of the other databases.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use image::{Index, SequenceLine, TableLine};
use model::{Database, Extension, Level, Table};

use super::pieces::{Queue, cut};
use super::progress::Meter;
use super::pump::store_output;
use super::rows::{Stream, copy_pieces};
use super::snapshot::Snapshot;
use super::{Cx, MOST_STREAMS};
use crate::catalog::{self, TableRow};

/// What was copied of a database.
pub(super) struct Copied {
    pub(super) extensions: Vec<Extension>,
    pub(super) tables: Vec<Table>,
    pub(super) sequences: u64,
    pub(super) large_objects: u64,
}

/// Copies a database.
pub(super) async fn copy(cx: &Cx<'_>, meter: &Meter<'_>, database: &Database) -> Result<Copied> {
    let name = &database.name;
    let snapshot =
        Snapshot::take(cx.connect(name).await?).await.with_context(|| format!("database {name:?}"))?;
    // Read after the snapshot was taken: whatever number a copied row has, its sequence has gone past it.
    let sequences = catalog::sequences(&snapshot.keeper).await?;
    let extensions = catalog::extensions(&snapshot.keeper).await?;
    let large_objects = catalog::large_objects(&snapshot.keeper).await?;
    let tables = &snapshot.tables;
    cx.job.log(
        Level::Info,
        format!(
            "database {name:?}: {} tables, {} sequences, {large_objects} large objects",
            tables.len(),
            sequences.len()
        ),
    );
    meter.begin(tables.len() as u64, tables.iter().map(|t| t.bytes).sum(), database.bytes.cast_unsigned());

    let queue = Queue::new(cut(tables, cx.what.streams, cx.server.major));
    let streams = cx.what.streams.clamp(1, MOST_STREAMS).min(tables.len());
    let rows = try_join_all((0..streams).map(|stream| {
        let number = u32::try_from(stream).unwrap_or(u32::MAX);
        copy_pieces(cx, meter, &snapshot, database, Stream { queue: &queue, number })
    }));
    let schema = async {
        let tool = cx.libpq.schema(&cx.programs, name, &snapshot.name);
        let key = format!("{}/schema.dump", database.ordinal);
        store_output(cx, tool, &key)
            .await
            .with_context(|| format!("cannot read the schema of database {name:?}"))
    };
    let blobs = async {
        if large_objects == 0 {
            return Ok(());
        }
        let tool = cx.libpq.large_objects(&cx.programs, name, &snapshot.name);
        let key = format!("{}/large-objects.dump", database.ordinal);
        store_output(cx, tool, &key)
            .await
            .with_context(|| format!("cannot read the large objects of database {name:?}"))
    };
    let (lines, (), ()) = tokio::try_join!(rows, schema, blobs)?;
    let mut index = Index { tables: lines.into_iter().flatten().collect(), sequences: Vec::new() };
    let totals = totals(tables, &index.tables);
    snapshot.release().await?;
    let number = sequences.len() as u64;
    index.sequences = sequences
        .into_iter()
        .map(|s| SequenceLine {
            schema: s.schema,
            name: s.name,
            last_value: s.last_value,
            is_called: s.is_called,
        })
        .collect();
    cx.image.write(&Index::key(database.ordinal), "jsonl", Some("zstd"), &index.pack()?).await?;
    Ok(Copied { extensions, tables: totals, sequences: number, large_objects })
}

/// What was copied of each table, those without rows too.
fn totals(tables: &[TableRow], lines: &[TableLine]) -> Vec<Table> {
    let mut sums: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for line in lines {
        let sum = sums.entry((&line.schema, &line.name)).or_default();
        sum.0 += line.rows;
        sum.1 += line.bytes;
    }
    let mut totals: Vec<Table> = tables
        .iter()
        .map(|t| {
            let (rows, bytes) = sums.get(&(t.schema.as_str(), t.name.as_str())).copied().unwrap_or_default();
            Table { schema: t.schema.clone(), name: t.name.clone(), rows, bytes }
        })
        .collect();
    totals.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    totals
}
