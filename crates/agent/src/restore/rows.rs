//! Puts an image's rows into the tables of the target: several objects at once, each from its first frame to its last,
//! no frame before it was decoded whole. It does not know where an object is kept.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::SinkExt as _;
use futures::future::try_join_all;
use image::{Index, RowsReader, TableLine};
use model::{Database, ExitClass};
use tokio_postgres::{Client, CopyInSink};

use super::Cx;
use super::database::connect;
use super::load::copy_in;
use crate::backup::{Meter, Queue};
use crate::catalog::{TableRow, qualified};
use crate::failure::fail;
use crate::private::PrivateServer;

/// Bytes of one message to the server: the connection keeps a copy of it.
const MESSAGE: usize = 128 * 1024;

/// The tables of the target, and in how many pieces their rows come.
struct Targets<'a> {
    tables: HashMap<(&'a str, &'a str), &'a TableRow>,
    pieces: HashMap<(&'a str, &'a str), Pieces>,
    encoding: &'a str,
}

#[derive(Default)]
struct Pieces {
    all: usize,
    done: AtomicUsize,
}

/// Loads all rows of a database.
pub(super) async fn load(
    cx: &Cx<'_>,
    server: &PrivateServer,
    meter: &Meter<'_>,
    database: &Database,
    index: &Index,
    there: &[TableRow],
) -> Result<()> {
    let mut targets = Targets {
        tables: there.iter().map(|t| ((t.schema.as_str(), t.name.as_str()), t)).collect(),
        pieces: HashMap::new(),
        encoding: &database.encoding,
    };
    let mut objects: BTreeMap<&str, Vec<&TableLine>> = BTreeMap::new();
    for line in &index.tables {
        targets.pieces.entry((&line.schema, &line.name)).or_default().all += 1;
        if let Some(object) = &line.object {
            objects.entry(object).or_default().push(line);
        }
    }
    for line in index.tables.iter().filter(|line| line.object.is_none()) {
        targets.piece_done(meter, line);
    }
    let mut objects: Vec<(&str, Vec<&TableLine>)> = objects.into_iter().collect();
    for (_, lines) in &mut objects {
        lines.sort_by_key(|line| line.offset);
    }
    objects.sort_by_key(|(_, lines)| std::cmp::Reverse(lines.iter().map(|line| line.length).sum::<u64>()));
    let streams = cx.streams.min(objects.len());
    let queue = Queue::new(objects);
    try_join_all((0..streams).map(|_| async {
        let client = connect(server, &database.name).await?;
        while let Some((key, lines)) = queue.next() {
            load_object(cx, meter, &targets, &client, key, lines).await?;
        }
        Ok::<_, anyhow::Error>(())
    }))
    .await?;
    Ok(())
}

impl Targets<'_> {
    /// A table is done with its last piece.
    fn piece_done(&self, meter: &Meter<'_>, line: &TableLine) {
        if let Some(pieces) = self.pieces.get(&(line.schema.as_str(), line.name.as_str()))
            && pieces.done.fetch_add(1, Ordering::Relaxed) + 1 == pieces.all
        {
            meter.table_done();
        }
    }
}

async fn load_object(
    cx: &Cx<'_>,
    meter: &Meter<'_>,
    targets: &Targets<'_>,
    client: &Client,
    key: &str,
    lines: Vec<&TableLine>,
) -> Result<()> {
    let mut object = cx.image.rows(key).await?;
    let mut at = 0;
    for line in lines {
        if line.offset != at {
            return Err(damaged(key, "its index leaves a gap"));
        }
        at += line.length;
        if let Err(error) = load_piece(meter, targets, client, &mut object, line).await {
            // Were the rows refused because they are not what was written? The rest of the object tells.
            while object.frame().await?.is_some() {}
            return Err(error);
        }
    }
    match object.frame().await? {
        None => Ok(()),
        Some(_) => Err(damaged(key, "it holds more than its index says")),
    }
}

async fn load_piece(
    meter: &Meter<'_>,
    targets: &Targets<'_>,
    client: &Client,
    object: &mut RowsReader,
    line: &TableLine,
) -> Result<()> {
    let name = qualified(&line.schema, &line.name);
    let key = (line.schema.as_str(), line.name.as_str());
    let (Some(table), Some(pieces)) = (targets.tables.get(&key), targets.pieces.get(&key)) else {
        return Err(fail(
            ExitClass::Verification,
            format!("the image has rows of {name}, but its schema no such table"),
        ));
    };
    let label = || format!("cannot restore the rows of {name}");
    // Alone in a table that was made just now, rows need neither WAL nor a later freezing.
    let alone = pieces.all == 1 && table.condition.is_none() && table.root.is_none();
    if alone {
        client.batch_execute(&format!("begin; truncate only {name}")).await.with_context(label)?;
    }
    let sql = copy_in(table, &line.columns, targets.encoding, alone);
    let rows = feed(client.copy_in(&sql).await.with_context(label)?, meter, object, line)
        .await
        .with_context(label)?;
    if rows != line.rows {
        return Err(fail(
            ExitClass::Verification,
            format!("{rows} rows of {name} were restored, the image says {}", line.rows),
        ));
    }
    if alone {
        client.batch_execute("commit").await.with_context(label)?;
    }
    targets.piece_done(meter, line);
    Ok(())
}

/// Sends the frames of a piece; how many rows the server took.
async fn feed(
    sink: CopyInSink<Bytes>,
    meter: &Meter<'_>,
    object: &mut RowsReader,
    line: &TableLine,
) -> Result<u64> {
    let mut sink = pin!(sink);
    let (mut at, end) = (line.offset, line.offset + line.length);
    while at < end {
        let frame = object.frame().await?.ok_or_else(|| damaged(&line.name, "its rows end too early"))?;
        if frame.offset != at || frame.offset + frame.length > end {
            return Err(damaged(&line.name, "its rows are not where the index says"));
        }
        at += frame.length;
        let mut text = Bytes::from(frame.data);
        while !text.is_empty() {
            let some = text.split_to(text.len().min(MESSAGE));
            meter.add(some.len() as u64);
            if sink.send(some).await.is_err() {
                // The server's own words come with the end of the copy.
                return Ok(sink.as_mut().finish().await?);
            }
        }
    }
    Ok(sink.as_mut().finish().await?)
}

fn damaged(what: &str, why: &str) -> anyhow::Error {
    fail(ExitClass::Verification, format!("{what} of the image is damaged: {why}"))
}
