//! Backs up a running server into an image: one snapshot for each database, rows over connections of its own, everything else
//! by PostgreSQL's programs, the manifest last.

mod chunks;
mod context;
mod database;
mod dump;
mod rows;
mod selection;
mod snapshot;
mod space;
mod zstd_stream;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::Utc;
use image::{ImageWriter, Store};
use model::image::FORMAT_VERSION;
use model::{ImageKind, Level, Manifest, Outcome, Source};

pub(crate) use context::BackupTask;

use crate::catalog::{self, Server};
use crate::connect::{address, addresses, connect_within};
use crate::job::Job;
use crate::programs::{FOR_BACKUP, Programs};
use crate::progress::Meter;
use crate::sql::quoted;
use crate::tools::for_each_part;
use crate::work_dir::WorkDir;
use context::BackupContext;
use dump::Libpq;
use selection::{Selection, select};
use zstd_stream::ZstdWriter;

/// How long the first connection is tried. A network policy, a load balancer or a server in recovery may take minutes.
const FIRST_CONNECTION: Duration = Duration::from_secs(360);

/// Creates the image. On failure there is no manifest, and the caller deletes the objects that were written.
pub(crate) async fn backup(job: &Job, task: &BackupTask, store: &Store) -> Result<Outcome> {
    let work_dir = WorkDir::create(job.run(), None)?;
    let passfile = job.password().map(|password| work_dir.passfile(password)).transpose()?;
    let source = &task.source;
    let first = connect_within(job, source, &source.database, FIRST_CONNECTION, true).await?;
    let server = catalog::server(&first).await?;
    let programs = Programs::find(task.bin_dir.as_deref(), server.major, FOR_BACKUP).await?;
    programs.check_fixed(job, task.fixed_clients)?;
    job.log(
        Level::Info,
        format!(
            "PostgreSQL {} at {}, copied with pg_dump {}",
            server.version,
            address(&task.source),
            programs.version
        ),
    );
    log_limitations(job, &server);
    let context = BackupContext {
        job,
        task,
        image: ImageWriter::new(store.clone(), task.to.prefix.as_str(), task.image),
        programs,
        libpq: Libpq { source, passfile: passfile.as_deref(), addresses: addresses(job, source).await? },
        server,
    };
    let mut selection = select(&context, &first).await?;
    drop(first);
    check_globals(&context).await?;
    let report = |progress| job.progress(progress);
    let bytes: u64 = selection.databases.iter().map(|d| d.bytes.cast_unsigned()).sum();
    space::check(store, bytes, task.previous.as_ref()).await?;
    let meter = Meter::new(&report, "rows", bytes);
    let mut roles = BTreeSet::new();
    for (ordinal, database) in (0..).zip(&mut selection.databases) {
        database.ordinal = ordinal;
        let copied = database::copy(&context, &meter, database).await?;
        roles.extend(copied.roles);
        database.extensions = copied.extensions;
        database.tables = copied.tables;
        database.sequences = copied.sequences;
        database.large_objects = copied.large_objects;
        database.tablespaces = copied.tablespaces;
    }
    meter.phase("roles");
    dump_globals(&context, &roles).await?;
    meter.phase("commit");
    commit(&context, selection).await
}

/// Logs what the image will lack.
fn log_limitations(job: &Job, server: &Server) {
    if !server.superuser {
        job.log(
            Level::Warn,
            "the role is not a superuser: the image contains roles without passwords, and only what this role may read",
        );
    } else if !server.reads_all {
        job.log(Level::Warn, "the role is subject to row-level security: such tables cannot be copied");
    }
}

/// Dumps the roles without a result, so that a role that may not do so is refused before the rows are copied.
async fn check_globals(context: &BackupContext<'_>) -> Result<()> {
    let tool = context.libpq.globals(&context.programs, context.server.superuser);
    context.job.finish(tool.silent()?).await.context("cannot dump the roles")
}

/// Dumps the roles after all snapshots were taken, so that a role that was created in the meantime is in the image. `copied` are the
/// roles that the snapshots contain. Those that no longer exist are added by name: they may own copied objects.
async fn dump_globals(context: &BackupContext<'_>, copied: &BTreeSet<Vec<u8>>) -> Result<()> {
    let tool = context.libpq.globals(&context.programs, context.server.superuser);
    let (running, mut text) = tool.reading()?;
    let mut object = ZstdWriter::new(context.image.object(image::GLOBALS, "sql", Some("zstd")).await?)?;
    for_each_part(&mut text, async |bytes| object.write(bytes).await).await?;
    context.job.finish(running).await.context("cannot dump the roles")?;
    let client = context.connect(&context.task.source.database).await?;
    let existing = catalog::roles(&client).await?;
    for role in copied.difference(&existing) {
        let role = String::from_utf8_lossy(role);
        context.job.log(Level::Warn, format!("role {role:?} was dropped or renamed during the backup"));
        object.write(format!("CREATE ROLE {};\n", quoted(&role)).as_bytes()).await?;
    }
    object.finish().await
}

async fn commit(context: &BackupContext<'_>, selection: Selection) -> Result<Outcome> {
    let Selection { databases, source_databases, left_out } = selection;
    let version = context.programs.version.clone();
    let mut tools = BTreeMap::from([
        ("toygres-agent".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("pg_dump".to_owned(), version.clone()),
    ]);
    let dumpall = if context.server.superuser {
        version
    } else {
        format!("{version}, without passwords: the role was not a superuser")
    };
    tools.insert("pg_dumpall".to_owned(), dumpall);
    let source = Source {
        version: context.server.version.clone(),
        major: context.server.major,
        image_type: context.task.image_type,
        preload: context.server.preload.clone(),
        bytes: databases.iter().map(|d| d.bytes).sum(),
        bootstrap: Some(context.server.bootstrap.clone()),
        left_out,
    };
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        image: context.task.image,
        kind: ImageKind::Logical,
        created_at: Utc::now(),
        source,
        databases,
        objects: Vec::new(),
        tools,
    };
    for remark in manifest.remarks() {
        context.job.log(Level::Warn, remark.text());
    }
    let (manifest, manifest_sha256) = context.image.commit(manifest).await?;
    Ok(Outcome::Backup {
        manifest_sha256,
        version: manifest.source.version.clone(),
        major: manifest.source.major,
        databases: u32::try_from(manifest.databases.len()).unwrap_or(u32::MAX),
        source_databases: u32::try_from(source_databases).unwrap_or(u32::MAX),
        tables: manifest.tables() as u64,
        rows: manifest.rows(),
        source_bytes: manifest.source.bytes.cast_unsigned(),
        stored_bytes: manifest.stored_bytes(),
    })
}
