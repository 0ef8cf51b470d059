//! Loads the rows of an image into the target's tables: several objects in parallel, each from its first frame to its last.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::SinkExt as _;
use futures::future::try_join_all;
use image::{Index, RowsReader, TableLine};
use model::{Database, Failure, FailureCode};
use tokio_postgres::{Client, CopyInSink};

use super::connection::connect;
use super::context::RestoreContext;
use super::load::copy_in;
use crate::catalog::TableRow;
use crate::progress::Meter;
use crate::queue::Queue;
use crate::scratch_server::ScratchServer;
use crate::sql::qualified;

/// Bytes of one message to the server. The connection holds a copy of it.
const MESSAGE: usize = 128 * 1024;

/// The tables of the target, and the chunks of their rows.
struct Targets<'a> {
    tables: HashMap<(&'a str, &'a str), &'a TableRow>,
    chunks: HashMap<(&'a str, &'a str), Chunks>,
    encoding: &'a str,
}

/// The number of chunks of a table.
#[derive(Default)]
struct Chunks {
    total: usize,
    done: AtomicUsize,
}

/// Loads the rows of a database into `tables`.
pub(super) async fn load(
    context: &RestoreContext<'_>,
    server: &ScratchServer,
    meter: &Meter<'_>,
    database: &Database,
    index: &Index,
    tables: &[TableRow],
) -> Result<()> {
    let mut targets = Targets {
        tables: tables.iter().map(|t| ((t.schema.as_str(), t.name.as_str()), t)).collect(),
        chunks: HashMap::new(),
        encoding: &database.encoding,
    };
    let mut objects: BTreeMap<&str, Vec<&TableLine>> = BTreeMap::new();
    for line in &index.tables {
        targets.chunks.entry((&line.schema, &line.name)).or_default().total += 1;
        if let Some(object) = &line.object {
            objects.entry(object).or_default().push(line);
        }
    }
    for line in index.tables.iter().filter(|line| line.object.is_none()) {
        targets.chunk_done(meter, line);
    }
    let mut objects: Vec<(&str, Vec<&TableLine>)> = objects.into_iter().collect();
    for (_, lines) in &mut objects {
        lines.sort_by_key(|line| line.offset);
    }
    objects.sort_by_key(|(_, lines)| {
        std::cmp::Reverse(lines.iter().fold(0_u64, |sum, line| sum.saturating_add(line.length)))
    });
    let streams = context.streams.min(objects.len());
    let queue = Queue::new(objects);
    try_join_all((0..streams).map(|_| async {
        let client = connect(server, &database.name).await?;
        while let Some((key, lines)) = queue.next() {
            load_object(context, meter, &targets, &client, key, lines).await?;
        }
        Ok::<_, anyhow::Error>(())
    }))
    .await?;
    Ok(())
}

impl Targets<'_> {
    /// Counts a chunk as done, and the table with its last chunk.
    fn chunk_done(&self, meter: &Meter<'_>, line: &TableLine) {
        if let Some(chunks) = self.chunks.get(&(line.schema.as_str(), line.name.as_str()))
            && chunks.done.fetch_add(1, Ordering::Relaxed) + 1 == chunks.total
        {
            meter.table_done();
        }
    }
}

async fn load_object(
    context: &RestoreContext<'_>,
    meter: &Meter<'_>,
    targets: &Targets<'_>,
    client: &Client,
    key: &str,
    lines: Vec<&TableLine>,
) -> Result<()> {
    let mut object = context.image.rows(key).await?;
    let mut at = 0;
    for line in lines {
        if line.offset != at {
            return Err(damaged(key, "the index has a gap"));
        }
        at += line.length;
        if let Err(error) = load_chunk(meter, targets, client, &mut object, line).await {
            // The server may have rejected the rows because they are damaged: the checksum at the end of the object tells.
            while object.frame().await?.is_some() {}
            return Err(error);
        }
    }
    match object.frame().await? {
        None => Ok(()),
        Some(_) => Err(damaged(key, "it is longer than its index")),
    }
}

async fn load_chunk(
    meter: &Meter<'_>,
    targets: &Targets<'_>,
    client: &Client,
    object: &mut RowsReader,
    line: &TableLine,
) -> Result<()> {
    let name = qualified(&line.schema, &line.name);
    let key = (line.schema.as_str(), line.name.as_str());
    let (Some(table), Some(chunks)) = (targets.tables.get(&key), targets.chunks.get(&key)) else {
        return Err(damaged(
            object_of(line),
            &format!("it has rows of {name}, which the schema does not contain"),
        ));
    };
    let label = || format!("cannot restore the rows of {name}");
    // A table that one transaction truncates and loads needs no WAL and no later freezing.
    let freeze = chunks.total == 1 && table.condition.is_none() && table.root.is_none();
    if freeze {
        client.batch_execute(&format!("begin; truncate only {name}")).await.with_context(label)?;
    }
    let sql = copy_in(table, &line.columns, targets.encoding, freeze);
    let rows = feed(client.copy_in(&sql).await.with_context(label)?, meter, object, line)
        .await
        .with_context(label)?;
    if rows != line.rows {
        let detail = format!("{rows} rows were restored, the image contains {}", line.rows);
        return Err(Failure::new(FailureCode::RestoreDiffers, detail).on(name).into());
    }
    if freeze {
        client.batch_execute("commit").await.with_context(label)?;
    }
    targets.chunk_done(meter, line);
    Ok(())
}

/// Sends the frames of a chunk and returns the number of rows that the server accepted.
async fn feed(
    sink: CopyInSink<Bytes>,
    meter: &Meter<'_>,
    object: &mut RowsReader,
    line: &TableLine,
) -> Result<u64> {
    let mut sink = pin!(sink);
    let (mut at, end) = (line.offset, line.offset + line.length);
    let mut remaining = line.bytes;
    while at < end {
        let frame = object
            .frame()
            .await?
            .ok_or_else(|| damaged(object_of(line), "it ends before the rows that its index lists"))?;
        if frame.offset != at || frame.offset + frame.length > end {
            return Err(damaged(object_of(line), "its frames do not match its index"));
        }
        at += frame.length;
        // Frames may decompress to a thousand times their size. The index and the manifest say how much text there is.
        remaining = remaining
            .checked_sub(frame.data.len() as u64)
            .ok_or_else(|| damaged(object_of(line), "its rows are longer than its index lists"))?;
        let mut text = Bytes::from(frame.data);
        while !text.is_empty() {
            let some = text.split_to(text.len().min(MESSAGE));
            meter.add(some.len() as u64);
            if sink.send(some).await.is_err() {
                // The end of the copy returns the server's error.
                return Ok(sink.as_mut().finish().await?);
            }
        }
    }
    Ok(sink.as_mut().finish().await?)
}

/// The key of the object that contains a chunk.
fn object_of(line: &TableLine) -> &str {
    line.object.as_deref().unwrap_or_default()
}

fn damaged(key: &str, reason: &str) -> anyhow::Error {
    Failure::new(FailureCode::ObjectDamaged, reason).on(key).into()
}
