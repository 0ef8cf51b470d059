//! Copies rows out of the source over one connection, piece after piece. It decides nothing about order or size.

use std::pin::pin;

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use image::{RowsWriter, TableLine};
use model::Database;
use tokio_postgres::Client;

use super::Cx;
use super::pieces::{Piece, Queue};
use super::progress::Meter;
use super::snapshot::Snapshot;

/// After how many bytes the meter is told: not at each row.
const TELL_AFTER: u64 = 256 * 1024;

/// One of several connections that share the work.
pub(super) struct Stream<'a> {
    pub(super) queue: &'a Queue<Piece>,
    pub(super) number: u32,
}

/// Copies pieces until none is left; where they went.
pub(super) async fn copy_pieces(
    cx: &Cx<'_>,
    meter: &Meter<'_>,
    snapshot: &Snapshot,
    database: &Database,
    stream: Stream<'_>,
) -> Result<Vec<TableLine>> {
    let client = cx.connect(&database.name).await?;
    snapshot.lend(&client).await?;
    let mut rows = RowsWriter::new(&cx.image, database.ordinal, stream.number)?;
    let mut lines = Vec::new();
    while let Some(piece) = stream.queue.next() {
        let table = &snapshot.tables[piece.table];
        let sql = piece.copy_out(table, &database.encoding);
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
        if piece.is_last() {
            meter.table_done();
        }
    }
    rows.finish().await?;
    Ok(lines)
}

async fn copy(client: &Client, sql: &str, rows: &mut RowsWriter, meter: &Meter<'_>) -> Result<()> {
    let mut out = pin!(client.copy_out(sql).await?);
    let mut untold = 0;
    // The server sends each row as a message of its own.
    while let Some(row) = out.try_next().await? {
        rows.row(&row).await?;
        untold += row.len() as u64;
        if untold >= TELL_AFTER {
            meter.add(std::mem::take(&mut untold));
        }
    }
    meter.add(untold);
    Ok(())
}
