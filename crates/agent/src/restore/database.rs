//! Restores one database: schema, rows, sequences, large objects, indexes and constraints; then compares it with the image.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use image::Index;
use model::{Database, Failure, FailureCode, Level, Receipt};
use tokio::io::AsyncWriteExt as _;

use super::connection::connect;
use super::context::RestoreContext;
use super::load::{self, PgRestore};
use super::receipt::{Expected, compare, count};
use super::rows;
use crate::catalog::{self, SequenceRow, TableRow};
use crate::progress::Meter;
use crate::queue::Queue;
use crate::run_as::RunAs;
use crate::scratch_server::ScratchServer;

/// Restores a database and adds its comparison to the receipt.
pub(super) async fn restore(
    context: &RestoreContext<'_>,
    server: &ScratchServer,
    meter: &Meter<'_>,
    database: &Database,
    receipt: &mut Receipt,
) -> Result<()> {
    let tables: u64 = database.tables.len() as u64;
    context.job.log(
        Level::Info,
        format!(
            "database {:?}: {tables} tables, {} sequences, {} large objects",
            database.name, database.sequences, database.large_objects
        ),
    );
    meter.phase("schema");
    let index = context.image.index(database.ordinal).await?;
    let expected = expected(database, &index)?;
    let archive = fetch(context, &format!("{}/schema.dump", database.ordinal)).await?;
    let pg = PgRestore { programs: context.programs, server, host: context.host };
    let other = if database.name == "template1" { "postgres" } else { "template1" };
    load::drop_initial(&server.connect(other).await?, &database.name).await?;
    context.job.finish(pg.create(&archive, other).silent()?).await?;

    meter.phase("rows");
    meter.begin(tables, database.tables.iter().map(|t| t.bytes).sum(), 0);
    let client = connect(server, &database.name).await?;
    let targets = catalog::tables(&client).await?;
    rows::load(context, server, meter, database, &index, &targets).await?;
    load::set_sequences(&client, &expected.sequences).await?;
    if database.large_objects > 0 {
        meter.phase("large objects");
        large_objects(context, &pg, database).await?;
    }

    meter.phase("indexes");
    context.job.finish(pg.finish(&archive, &database.name, context.streams).silent()?).await?;
    std::fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))?;

    meter.phase("compare");
    let analyze = async {
        // An index expression that fails here must not make a complete restore fail.
        if let Err(error) = connect(server, &database.name).await?.batch_execute("analyze").await {
            let error = anyhow::Error::from(error);
            context.job.warn(&error.context(format!("cannot analyze database {:?}", database.name)));
        }
        Ok(())
    };
    let targets = catalog::tables(&client).await?;
    let (counted, ()) = tokio::try_join!(count_all(context, server, &database.name, targets), analyze)?;
    compare(&client, &database.name, &counted, &expected, receipt).await
}

/// The content that the manifest and the index of the image list.
///
/// # Errors
/// The manifest and the index differ.
fn expected(database: &Database, index: &Index) -> Result<Expected> {
    let mut found: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    for line in &index.tables {
        let sum = found.entry((line.schema.clone(), line.name.clone())).or_default();
        *sum = (sum.0.saturating_add(line.rows), sum.1.saturating_add(line.bytes));
    }
    let listed: BTreeMap<_, _> =
        database.tables.iter().map(|t| ((t.schema.clone(), t.name.clone()), (t.rows, t.bytes))).collect();
    if found != listed || index.sequences.len() as u64 != database.sequences {
        let failure = Failure::new(FailureCode::ObjectDamaged, "the index differs from the manifest");
        return Err(failure.on(Index::key(database.ordinal)).into());
    }
    let sequences = index
        .sequences
        .iter()
        .map(|s| SequenceRow {
            schema: s.schema.clone(),
            name: s.name.clone(),
            last_value: s.last_value,
            is_called: s.is_called,
        })
        .collect();
    let rows = found.into_iter().map(|(table, (rows, _))| (table, rows)).collect();
    Ok(Expected { rows, sequences, large_objects: database.large_objects })
}

/// Downloads an archive to a file that pg_restore reads and verifies its SHA-256.
async fn fetch(context: &RestoreContext<'_>, key: &str) -> Result<PathBuf> {
    let path = context.dirs.archive();
    let mut file =
        tokio::fs::File::create(&path).await.with_context(|| format!("cannot write {}", path.display()))?;
    let mut object = context.image.object(key).await?;
    while let Some(bytes) = object.next().await? {
        file.write_all(&bytes).await?;
    }
    file.flush().await?;
    RunAs::own(context.target.run_as, &path)?;
    Ok(path)
}

async fn large_objects(context: &RestoreContext<'_>, pg: &PgRestore<'_>, database: &Database) -> Result<()> {
    let mut object = context.image.object(&format!("{}/large-objects.dump", database.ordinal)).await?;
    let (running, mut input) = pg.large_objects(&database.name).writing()?;
    let mut write_error = None;
    while let Some(bytes) = object.next().await? {
        // A program that ended early reports the cause. The rest of the object is read to find out whether it is damaged.
        if write_error.is_none() {
            write_error = input.write_all(&bytes).await.err();
        }
    }
    drop(input);
    context.job.finish(running).await?;
    write_error.map_or(Ok(()), |error| Err(error.into()))
}

/// Counts the rows of the tables over several connections.
async fn count_all(
    context: &RestoreContext<'_>,
    server: &ScratchServer,
    database: &str,
    tables: Vec<TableRow>,
) -> Result<Vec<(TableRow, u64)>> {
    let streams = context.streams.min(tables.len());
    let queue = Queue::new(tables);
    let counted = try_join_all((0..streams).map(|_| async {
        let client = connect(server, database).await?;
        let mut counted = Vec::new();
        while let Some(table) = queue.next() {
            let rows = count(&client, &table).await?;
            counted.push((table, rows));
        }
        Ok::<_, anyhow::Error>(counted)
    }))
    .await?;
    Ok(counted.into_iter().flatten().collect())
}
