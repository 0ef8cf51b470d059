//! Copies rows from the source over one connection, chunk after chunk.

use std::pin::pin;

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use image::{RowsWriter, TableLine};
use model::Database;
use tokio_postgres::Client;

use super::chunks::Chunk;
use super::context::BackupContext;
use super::snapshot::Snapshot;
use crate::progress::Meter;
use crate::queue::Queue;

/// Bytes that are added to the progress at once.
const PROGRESS_STEP: u64 = 256 * 1024;

/// One of the connections that copy chunks in parallel.
pub(super) struct Stream<'a> {
    pub(super) queue: &'a Queue<Chunk>,
    pub(super) number: u32,
}

/// Copies chunks until the queue is empty, and returns where in the image their rows are.
pub(super) async fn copy_chunks(
    context: &BackupContext<'_>,
    meter: &Meter<'_>,
    snapshot: &Snapshot,
    database: &Database,
    stream: Stream<'_>,
) -> Result<Vec<TableLine>> {
    let client = context.connect(&database.name).await?;
    snapshot.import(&client).await?;
    let mut rows = RowsWriter::new(&context.image, database.ordinal, stream.number)?;
    let mut lines = Vec::new();
    while let Some(chunk) = stream.queue.next() {
        let table = &snapshot.tables[chunk.table];
        let sql = chunk.copy_out(table, &database.encoding);
        copy(&client, &sql, &mut rows, meter).await.with_context(|| {
            format!("cannot copy {:?}.{:?} of database {:?}", table.schema, table.name, database.name)
        })?;
        let line = TableLine {
            schema: table.schema.clone(),
            name: table.name.clone(),
            columns: table.columns.clone(),
            ..TableLine::default()
        };
        let pieces = rows.end().await?;
        if pieces.is_empty() {
            lines.push(line.clone());
        }
        lines.extend(pieces.into_iter().map(|p| TableLine {
            object: Some(p.object),
            offset: p.offset,
            length: p.length,
            rows: p.rows,
            bytes: p.bytes,
            ..line.clone()
        }));
        if chunk.is_last() {
            meter.table_done();
        }
    }
    rows.finish().await?;
    Ok(lines)
}

async fn copy(client: &Client, sql: &str, rows: &mut RowsWriter, meter: &Meter<'_>) -> Result<()> {
    let mut out = pin!(client.copy_out(sql).await?);
    let mut unreported = 0;
    // The server sends each row in a message of its own.
    while let Some(row) = out.try_next().await? {
        rows.row(&row).await?;
        unreported += row.len() as u64;
        if unreported >= PROGRESS_STEP {
            meter.add(std::mem::take(&mut unreported));
        }
    }
    meter.add(unreported);
    Ok(())
}
