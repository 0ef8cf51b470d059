//! Copies one database with one snapshot: schema, rows and large objects in parallel, then the index.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use image::{Index, SequenceLine, TableLine};
use model::{Database, Extension, Level, Table};

use super::chunks::split;
use super::context::BackupContext;
use super::rows::{Stream, copy_chunks};
use super::snapshot::Snapshot;
use crate::catalog::{self, TableRow};
use crate::progress::Meter;
use crate::queue::{MAX_STREAMS, Queue};
use crate::tools::{Tool, for_each_part};

/// The copied content of a database.
pub(super) struct Copied {
    /// The roles that its snapshot contains, which may own its objects.
    pub(super) roles: BTreeSet<Vec<u8>>,
    pub(super) extensions: Vec<Extension>,
    pub(super) tables: Vec<Table>,
    pub(super) sequences: u64,
    pub(super) large_objects: u64,
    pub(super) tablespaces: Vec<String>,
}

/// Copies a database.
pub(super) async fn copy(
    context: &BackupContext<'_>,
    meter: &Meter<'_>,
    database: &Database,
) -> Result<Copied> {
    let name = &database.name;
    let snapshot =
        Snapshot::take(context.connect(name).await?).await.with_context(|| format!("database {name:?}"))?;
    // Read after the snapshot was taken, so that no copied row has a number that its sequence has yet to return.
    let sequences = catalog::sequences(&snapshot.keeper).await?;
    let roles = catalog::roles(&snapshot.keeper).await?;
    let extensions = catalog::extensions(&snapshot.keeper).await?;
    let large_objects = catalog::large_objects(&snapshot.keeper).await?;
    let tablespaces = catalog::tablespaces(&snapshot.keeper).await?;
    let tables = &snapshot.tables;
    context.job.log(
        Level::Info,
        format!(
            "database {name:?}: {} tables, {} sequences, {large_objects} large objects",
            tables.len(),
            sequences.len()
        ),
    );
    meter.begin(tables.len() as u64, tables.iter().map(|t| t.bytes).sum(), database.bytes.cast_unsigned());

    let queue = Queue::new(split(tables, context.task.streams, context.server.major));
    let streams = context.task.streams.clamp(1, MAX_STREAMS).min(tables.len());
    let rows = try_join_all((0..streams).map(|stream| {
        let number = u32::try_from(stream).unwrap_or(u32::MAX);
        copy_chunks(context, meter, &snapshot, database, Stream { queue: &queue, number })
    }));
    let schema = async {
        let tool = context.libpq.schema(&context.programs, name, &snapshot.name);
        let key = format!("{}/schema.dump", database.ordinal);
        store_archive(context, tool, &key)
            .await
            .with_context(|| format!("cannot dump the schema of database {name:?}"))
    };
    let blobs = async {
        if large_objects == 0 {
            return Ok(());
        }
        let tool = context.libpq.large_objects(&context.programs, name, &snapshot.name);
        let key = format!("{}/large-objects.dump", database.ordinal);
        store_archive(context, tool, &key)
            .await
            .with_context(|| format!("cannot dump the large objects of database {name:?}"))
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
    context.image.write(&Index::key(database.ordinal), "jsonl", Some("zstd"), &index.pack()?).await?;
    Ok(Copied { roles, extensions, tables: totals, sequences: number, large_objects, tablespaces })
}

/// Runs a program of pg_dump and stores its archive. The object is completed only if the program succeeds.
async fn store_archive(context: &BackupContext<'_>, tool: Tool, key: &str) -> Result<()> {
    let mut object = context.image.object(key, "pg_dump-custom", None).await?;
    let (running, mut output) = tool.reading()?;
    for_each_part(&mut output, async |bytes| Ok(object.write(bytes).await?)).await?;
    context.job.finish(running).await?;
    object.finish().await?;
    Ok(())
}

/// Rows and bytes of each table, including tables without rows.
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
