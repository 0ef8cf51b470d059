//! Restores one database: schema, rows, sequences, large objects, indexes and constraints; then counts it all anew. It
//! knows nothing of roles and of the other databases.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use image::Index;
use model::{Database, ExitClass, Level, Receipt};
use tokio::io::AsyncWriteExt as _;
use tokio_postgres::Client;

use super::load::{self, PgRestore};
use super::receipt::{Expected, compare, count};
use super::{Cx, rows};
use crate::backup::{Meter, Queue};
use crate::catalog::{self, PORTABLE_SETTINGS, SequenceRow, TableRow};
use crate::failure::fail;
use crate::private::PrivateServer;
use crate::run_as::RunAs;

/// Restores a database and adds its comparison to the receipt.
pub(super) async fn restore(
    cx: &Cx<'_>,
    server: &PrivateServer,
    meter: &Meter<'_>,
    database: &Database,
    receipt: &mut Receipt,
) -> Result<()> {
    let tables: u64 = database.tables.len() as u64;
    cx.job.log(
        Level::Info,
        format!(
            "database {:?}: {tables} tables, {} sequences, {} large objects",
            database.name, database.sequences, database.large_objects
        ),
    );
    meter.phase("schema");
    let index = cx.image.index(database.ordinal).await?;
    let expected = expected(database, &index)?;
    let archive = fetch(cx, &format!("{}/schema.dump", database.ordinal)).await?;
    let pg = PgRestore { programs: cx.programs, server, run_as: cx.place.run_as };
    let other = if database.name == "template1" { "postgres" } else { "template1" };
    load::drop_initial(&server.connect(other).await?, &database.name).await?;
    cx.job.tool_said(&pg.create(&archive, other).silent()?.finish().await?);

    meter.phase("rows");
    meter.begin(tables, database.tables.iter().map(|t| t.bytes).sum(), 0);
    let client = connect(server, &database.name).await?;
    let targets = catalog::tables(&client).await?;
    rows::load(cx, server, meter, database, &index, &targets).await?;
    load::set_sequences(&client, &expected.sequences).await?;
    if database.large_objects > 0 {
        meter.phase("large objects");
        large_objects(cx, &pg, database).await?;
    }

    meter.phase("indexes");
    cx.job.tool_said(&pg.finish(&archive, &database.name, cx.streams).silent()?.finish().await?);
    std::fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))?;

    meter.phase("compare");
    let analyze = async {
        // Statistics make queries quick; a failing index expression must not make a restore fail that holds everything.
        if let Err(error) = connect(server, &database.name).await?.batch_execute("analyze").await {
            cx.job.log(Level::Warn, format!("ANALYZE of database {:?} failed: {error}", database.name));
        }
        Ok(())
    };
    let targets = catalog::tables(&client).await?;
    let (counted, ()) = tokio::try_join!(count_all(cx, server, &database.name, targets), analyze)?;
    compare(&client, &database.name, &counted, &expected, receipt).await
}

/// A connection that is bent by no setting of the image's roles and databases.
pub(super) async fn connect(server: &PrivateServer, database: &str) -> Result<Client> {
    let client = server.connect(database).await?;
    client.batch_execute(PORTABLE_SETTINGS).await?;
    Ok(client)
}

/// What the image says about the database; its manifest and its index must say the same.
fn expected(database: &Database, index: &Index) -> Result<Expected> {
    let mut rows: BTreeMap<(String, String), u64> = BTreeMap::new();
    for line in &index.tables {
        *rows.entry((line.schema.clone(), line.name.clone())).or_default() += line.rows;
    }
    let said: BTreeMap<_, _> =
        database.tables.iter().map(|t| ((t.schema.clone(), t.name.clone()), t.rows)).collect();
    if rows != said || index.sequences.len() as u64 != database.sequences {
        return Err(fail(
            ExitClass::Verification,
            "the image's manifest and index do not say the same: it is damaged",
        ));
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
    Ok(Expected { rows, sequences, large_objects: database.large_objects })
}

/// Brings an archive to the work directory, where it is only used once its SHA-256 was found right.
async fn fetch(cx: &Cx<'_>, key: &str) -> Result<PathBuf> {
    let path: PathBuf = Path::new(cx.work_dir.path()).join("archive");
    let mut file =
        tokio::fs::File::create(&path).await.with_context(|| format!("cannot write {}", path.display()))?;
    let mut object = cx.image.object(key).await?;
    while let Some(bytes) = object.next().await? {
        file.write_all(&bytes).await?;
    }
    file.flush().await?;
    RunAs::own(cx.place.run_as, &path)?;
    Ok(path)
}

async fn large_objects(cx: &Cx<'_>, pg: &PgRestore<'_>, database: &Database) -> Result<()> {
    let mut object = cx.image.object(&format!("{}/large-objects.dump", database.ordinal)).await?;
    let (running, mut input) = pg.large_objects(&database.name).writing()?;
    let mut broken = None;
    while let Some(bytes) = object.next().await? {
        // A program that ended early says why itself; what is left is still read, as damage would explain it better.
        if broken.is_none() {
            broken = input.write_all(&bytes).await.err();
        }
    }
    drop(input);
    cx.job.tool_said(&running.finish().await?);
    broken.map_or(Ok(()), |error| Err(error.into()))
}

/// Counts every table's rows over several connections.
async fn count_all(
    cx: &Cx<'_>,
    server: &PrivateServer,
    database: &str,
    tables: Vec<TableRow>,
) -> Result<Vec<(TableRow, u64)>> {
    let streams = cx.streams.min(tables.len());
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
