//! Copies a running server into an image: one snapshot a database, rows by connections of its own, the rest by
//! PostgreSQL's programs, the manifest last. It does not know who asked for it.

mod database;
mod dump;
mod pieces;
mod progress;
mod pump;
mod rows;
mod snapshot;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use chrono::Utc;
use image::{ImageWriter, Store};
use model::image::FORMAT_VERSION;
use model::{
    Connection, Database, ExitClass, ImageId, ImageKind, ImageType, Level, Location, Manifest, Outcome,
    Source,
};
use tokio_postgres::Client;

pub(crate) use pieces::Queue;
pub(crate) use progress::Meter;
use pump::Packed;
pub(crate) use pump::drain;

use crate::catalog::{self, PORTABLE_SETTINGS, Server};
use crate::connect::connect;
use crate::failure::fail;
use crate::job::Job;
use crate::programs::{FOR_BACKUP, Programs, Wanted};
use crate::work_dir::WorkDir;
use dump::Libpq;

/// The most connections that copy rows: each takes some memory.
pub(crate) const MOST_STREAMS: usize = 8;

/// What to copy, and where to.
#[derive(Clone, Debug)]
pub(crate) struct Backup {
    pub(crate) image: ImageId,
    pub(crate) to: Location,
    pub(crate) source: Connection,
    pub(crate) image_type: ImageType,
    pub(crate) databases: Vec<String>,
    pub(crate) streams: usize,
    pub(crate) bin_dir: Option<String>,
}

/// Everything that the parts of a backup share.
struct Cx<'a> {
    job: &'a Job,
    what: &'a Backup,
    image: ImageWriter,
    programs: Programs,
    libpq: Libpq<'a>,
    server: Server,
    password: Option<&'a str>,
}

impl Cx<'_> {
    async fn connect(&self, database: &str) -> Result<Client> {
        open(self.what, self.password, database).await
    }
}

/// Connects to the source; neither its user's nor its database's settings bend what is read.
async fn open(what: &Backup, password: Option<&str>, database: &str) -> Result<Client> {
    let client = connect(&what.source, password, database).await?;
    client.batch_execute(PORTABLE_SETTINGS).await.context("cannot prepare a connection")?;
    Ok(client)
}

/// Makes the image. Whatever fails, there is no manifest, and what was written is taken away by [`discard`].
pub(crate) async fn backup(job: &Job, what: &Backup, store: &Store) -> Result<Outcome> {
    let password = job.password();
    let work_dir = WorkDir::make(job.run(), None)?;
    let passfile = password.map(|password| work_dir.passfile(password)).transpose()?;
    let first = open(what, password, &what.source.database).await?;
    let server = catalog::server(&first).await?;
    let programs =
        Programs::find(what.bin_dir.as_deref(), Wanted { major: server.major, programs: FOR_BACKUP }).await?;
    job.log(
        Level::Info,
        format!(
            "PostgreSQL {} at {}:{}, copied with pg_dump {}",
            server.version, what.source.host, what.source.port, programs.version
        ),
    );
    warn(job, &server);
    let cx = Cx {
        job,
        what,
        image: ImageWriter::new(store.clone(), what.to.prefix.as_str(), what.image),
        programs,
        libpq: Libpq { source: &what.source, passfile: passfile.as_deref() },
        server,
        password,
    };
    let mut databases = choose(&cx, &first).await?;
    drop(first);
    globals(&cx).await?;
    let tell = |progress| job.progress(progress);
    let meter = Meter::new(&tell, "rows", databases.iter().map(|d| d.bytes.cast_unsigned()).sum());
    for (ordinal, database) in (0..).zip(&mut databases) {
        database.ordinal = ordinal;
        let copied = database::copy(&cx, &meter, database).await?;
        database.extensions = copied.extensions;
        database.tables = copied.tables;
        database.sequences = copied.sequences;
        database.large_objects = copied.large_objects;
    }
    meter.phase("commit");
    commit(&cx, databases).await
}

fn warn(job: &Job, server: &Server) {
    if !server.superuser {
        job.log(Level::Warn, "the user is no superuser: the image holds roles without their passwords, and only what this user may read".to_owned());
    } else if !server.reads_all {
        job.log(
            Level::Warn,
            "the user may not pass row security: tables under it cannot be copied".to_owned(),
        );
    }
    if !server.tablespaces.is_empty() {
        let names = server.tablespaces.join(", ");
        job.log(Level::Warn, format!("the server has tablespaces ({names}): the image cannot be restored by Toygres as long as objects use them"));
    }
}

/// The databases to copy: those that were named, or all that can be connected to.
async fn choose(cx: &Cx<'_>, client: &Client) -> Result<Vec<Database>> {
    let wanted = &cx.what.databases;
    let all = catalog::databases(client).await?;
    for name in wanted {
        if !all.open.iter().any(|d| d.name == *name) {
            return Err(fail(
                ExitClass::Configuration,
                format!("there is no database {name:?} that allows connections on the server"),
            ));
        }
    }
    let mut chosen = Vec::new();
    for database in all.open {
        let take = match database.name.as_str() {
            name if !wanted.is_empty() => wanted.iter().any(|w| w == name),
            "template1" => catalog::is_customised(&cx.connect("template1").await?).await?,
            _ => true,
        };
        if take {
            chosen.push(database);
        }
    }
    for name in all.closed.iter().filter(|_| wanted.is_empty()) {
        cx.job.log(Level::Warn, format!("database {name:?} allows no connections and is left out"));
    }
    if chosen.is_empty() {
        return Err(fail(ExitClass::Configuration, "the server has no database that allows connections"));
    }
    Ok(chosen)
}

async fn globals(cx: &Cx<'_>) -> Result<()> {
    let (running, mut text) = cx.libpq.globals(&cx.programs, cx.server.superuser).reading()?;
    let mut packed = Packed::new(cx.image.object(image::GLOBALS, "sql", Some("zstd")).await?)?;
    drain(&mut text, async |bytes| packed.write(bytes).await).await?;
    cx.job.tool_said(&running.finish().await.context("cannot read the roles")?);
    packed.finish().await
}

async fn commit(cx: &Cx<'_>, databases: Vec<Database>) -> Result<Outcome> {
    let version = cx.programs.version.clone();
    let mut tools = BTreeMap::from([
        ("toygres-agent".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("pg_dump".to_owned(), version.clone()),
    ]);
    let dumpall = if cx.server.superuser {
        version
    } else {
        format!("{version}, without passwords: the user was no superuser")
    };
    tools.insert("pg_dumpall".to_owned(), dumpall);
    let source = Source {
        version: cx.server.version.clone(),
        major: cx.server.major,
        image_type: cx.what.image_type,
        preload: cx.server.preload.clone(),
        bytes: databases.iter().map(|d| d.bytes).sum(),
        bootstrap: Some(cx.server.bootstrap.clone()),
    };
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        image: cx.what.image,
        kind: ImageKind::Logical,
        created_at: Utc::now(),
        source,
        databases,
        objects: Vec::new(),
        tools,
    };
    let (manifest, manifest_sha256) = cx.image.commit(manifest).await?;
    Ok(Outcome::Backup {
        manifest_sha256,
        version: manifest.source.version.clone(),
        major: manifest.source.major,
        databases: u32::try_from(manifest.databases.len()).unwrap_or(u32::MAX),
        tables: manifest.tables() as u64,
        rows: manifest.rows(),
        source_bytes: manifest.source.bytes.cast_unsigned(),
        stored_bytes: manifest.stored_bytes(),
    })
}
