//! Fills a fresh data directory from an image with a private server, compares it with what the image says, and only then
//! hands it over. It does not know who asked for it, nor how the instance will be run.

mod database;
mod globals;
mod load;
mod place;
mod receipt;
mod roles;
mod rows;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use image::{ImageReader, Store};
use model::{Database, ExitClass, Level, Location, Manifest, Outcome, Receipt};
use tokio_postgres::Client;

use crate::backup::{MOST_STREAMS, Meter};
use crate::failure::{fail, fail_with};
use crate::job::Job;
use crate::private::{Plan, PrivateServer, Purpose};
use crate::programs::{FOR_RESTORE, Programs, Wanted};
use crate::work_dir::WorkDir;
use globals::Global;
use place::Place;

/// What to restore, and where to.
#[derive(Clone, Debug)]
pub(crate) struct Restore {
    pub(crate) from: Location,
    pub(crate) data_dir: String,
    pub(crate) superuser: String,
    pub(crate) streams: usize,
    pub(crate) bin_dir: Option<String>,
}

/// Everything that the parts of a restore share.
struct Cx<'a> {
    job: &'a Job,
    what: &'a Restore,
    image: &'a ImageReader,
    programs: &'a Programs,
    place: &'a Place,
    work_dir: &'a WorkDir,
    streams: usize,
    bootstrap: &'a str,
}

/// Restores. Whatever fails or is cancelled, nothing is left: no server, no directory.
pub(crate) async fn restore(job: &Job, what: &Restore, store: Store) -> Result<Outcome> {
    let image = ImageReader::open(store, &what.from.prefix).await?;
    let place = Place::new(Path::new(&what.data_dir), job.run())?;
    if let Some(outcome) = place.done_before(&image.manifest_sha256) {
        job.log(Level::Info, "an earlier attempt of this run came to its end already".to_owned());
        return Ok(outcome);
    }
    let source = &image.manifest.source;
    let programs =
        Programs::find(what.bin_dir.as_deref(), Wanted { major: source.major, programs: FOR_RESTORE })
            .await?;
    job.log(
        Level::Info,
        format!(
            "image {} of PostgreSQL {}, restored with {}",
            image.manifest.image, source.version, programs.version
        ),
    );
    let globals = read_globals(&image).await?;
    place.prepare().await?;
    let work_dir = WorkDir::make(job.run(), place.run_as)?;
    let bootstrap = source.bootstrap.as_deref().unwrap_or(&what.superuser);
    let streams = what.streams.clamp(1, MOST_STREAMS);
    let mut server = PrivateServer::new(Plan {
        programs: programs.clone(),
        data_dir: place.building.clone(),
        work_dir: work_dir.path().to_owned(),
        run_as: place.run_as,
        bootstrap: bootstrap.to_owned(),
        preload: source.preload.clone(),
        settings: settings_for(&image.manifest),
        connections: streams,
    });
    let cx = Cx {
        job,
        what,
        image: &image,
        programs: &programs,
        place: &place,
        work_dir: &work_dir,
        streams,
        bootstrap,
    };
    let built = tokio::select! {
        cancelled = job.cancelled() => Err(cancelled),
        built = build(&cx, &mut server, &globals) => built,
    };
    server.stop_now().await;
    let handed_over =
        built.and_then(|outcome| place.hand_over(&image.manifest_sha256, &outcome).map(|()| outcome));
    if handed_over.is_err()
        && let Err(error) = place.clear().await
    {
        job.log(Level::Warn, format!("what was built could not be taken away: {error:#}"));
    }
    handed_over
}

async fn read_globals(image: &ImageReader) -> Result<Vec<Global>> {
    let packed = image.read(image::GLOBALS).await?;
    let text = zstd::decode_all(&packed[..]).context("cannot unpack the image's roles")?;
    let text = String::from_utf8(text)
        .map_err(|_| fail(ExitClass::Configuration, "the image's roles have names that are not UTF-8"))?;
    globals::read(&text)
}

/// What an extension asks to be set before it lets itself be created.
fn settings_for(manifest: &Manifest) -> Vec<(String, String)> {
    let cron = manifest.databases.iter().find(|d| d.extensions.iter().any(|e| e.name == "pg_cron"));
    cron.map(|d| ("cron.database_name".to_owned(), d.name.clone())).into_iter().collect()
}

async fn build(cx: &Cx<'_>, server: &mut PrivateServer, globals: &[Global]) -> Result<Outcome> {
    let manifest = &cx.image.manifest;
    let tell = |progress| cx.job.progress(progress);
    let meter = Meter::new(&tell, "initdb", 0);
    meter.phase("initdb");
    server.init(template(manifest)?).await?;
    server.start(Purpose::Load).await?;
    let client = server.connect("template1").await?;
    check_extensions(&client, manifest).await?;
    roles::apply(&client, globals, cx.bootstrap).await?;
    roles::ensure_superuser(&client, &cx.what.superuser).await?;
    drop(client);
    let mut receipt = Receipt::default();
    for database in &manifest.databases {
        database::restore(cx, server, &meter, database, &mut receipt)
            .await
            .with_context(|| format!("database {:?}", database.name))?;
    }
    if receipt.difference_count > 0 {
        let words =
            format!("what was restored is not what the image says: {}", receipt.differences.join("; "));
        let outcome = Outcome::Restore {
            receipt,
            version: manifest.source.version.clone(),
            major: manifest.source.major,
        };
        return Err(fail_with(ExitClass::Verification, words, outcome));
    }
    let client = server.connect("template1").await?;
    roles::apply_settings(&client, globals).await?;
    drop(client);
    meter.phase("sync");
    prove_password(cx, server).await?;
    let Receipt { tables, rows, sequences, large_objects, .. } = receipt;
    let words = format!(
        "{tables} tables with {rows} rows, {sequences} sequences, {large_objects} large objects: all as in the image"
    );
    cx.job.log(Level::Info, words);
    Ok(Outcome::Restore { receipt, version: manifest.source.version.clone(), major: manifest.source.major })
}

/// Whether this installation offers every extension of the image.
async fn check_extensions(client: &Client, manifest: &Manifest) -> Result<()> {
    let rows = client.query("select name::text from pg_catalog.pg_available_extensions", &[]).await?;
    let there: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let wanted = manifest.databases.iter().flat_map(|d| &d.extensions).map(|e| e.name.as_str());
    let missing: BTreeSet<&str> = wanted.filter(|name| !there.contains(*name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.into_iter().collect();
    let words = format!(
        "PostgreSQL here lacks extensions of the image: {}; install them for this version",
        names.join(", ")
    );
    Err(fail(ExitClass::Configuration, words))
}

/// The database whose encoding and locale the new cluster gets.
fn template(manifest: &Manifest) -> Result<&Database> {
    let all = &manifest.databases;
    let named = |name: &str| all.iter().find(|d| d.name == name);
    named("template1")
        .or_else(|| named("postgres"))
        .or_else(|| all.first())
        .ok_or_else(|| fail(ExitClass::Configuration, "the image holds no database"))
}

/// Stops the server, brings it to disk, and shows that the superuser gets in with the password that the platform has.
/// Where the image brought another one (its source asked for none), that password is set.
async fn prove_password(cx: &Cx<'_>, server: &mut PrivateServer) -> Result<()> {
    server.stop().await?;
    if let Some(password) = cx.job.password()
        && !gets_in(cx, server, password).await?
    {
        cx.job.log(
            Level::Warn,
            format!(
                "the image has another password for {:?} than was given: the given one is set",
                cx.what.superuser
            ),
        );
        server.start(Purpose::Load).await?;
        let client = server.connect("template1").await?;
        roles::set_password(&client, &cx.what.superuser, password).await?;
        drop(client);
        server.stop().await?;
        if !gets_in(cx, server, password).await? {
            let words = format!(
                "{:?} cannot log in to the restored server (has its password expired?)",
                cx.what.superuser
            );
            return Err(fail(ExitClass::Configuration, words));
        }
    }
    server.sync().await
}

async fn gets_in(cx: &Cx<'_>, server: &mut PrivateServer, password: &str) -> Result<bool> {
    server.start(Purpose::Prove).await?;
    let attempt = server.connect_as(&cx.what.superuser, Some(password), "template1").await;
    server.stop().await?;
    match attempt {
        Ok(_) => Ok(true),
        Err(error) if roles::is_wrong_password(&error) => Ok(false),
        Err(error) => Err(error).context("cannot log in to the restored server"),
    }
}
