//! Restores an image into a new data directory with a scratch server, compares the result with the image, and completes the data
//! directory only if they are equal.

mod connection;
mod context;
mod database;
pub(crate) mod globals;
mod load;
mod login;
mod receipt;
mod roles;
mod rows;
mod target;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use image::{ImageReader, Store};
use model::{Database, Failure, FailureCode, Level, Manifest, Outcome, Receipt, Source};
use tokio_postgres::Client;

pub(crate) use context::RestoreTask;

use crate::failure::{FailureWithOutcome, fail};
use crate::job::Job;
use crate::program_host::ProgramHost;
use crate::programs::{FOR_RESTORE, Programs};
use crate::progress::Meter;
use crate::queue::MAX_STREAMS;
use crate::scratch_server::{Purpose, ScratchConfig, ScratchServer};
use context::RestoreContext;
use globals::Global;
use target::RestoreTarget;

/// Restores an image. After a failure or a cancellation, neither a server nor a directory is left.
pub(crate) async fn restore(job: &Job, task: &RestoreTask, store: Store) -> Result<Outcome> {
    let image =
        ImageReader::open_as_written(store, &task.from.prefix, task.manifest_sha256.as_deref()).await?;
    let target = RestoreTarget::new(Path::new(&task.data_dir), job.run())?;
    if let Some(outcome) = target.completed(&image.manifest_sha256) {
        job.log(Level::Info, "an earlier attempt of this run completed the restore");
        return Ok(outcome);
    }
    let source = &image.manifest.source;
    let programs = Programs::find(task.bin_dir.as_deref(), source.major, FOR_RESTORE).await?;
    programs.check_fixed(job, task.fixed_clients)?;
    job.log(
        Level::Info,
        format!(
            "image {} of PostgreSQL {}, restored with {}",
            image.manifest.image, source.version, programs.version
        ),
    );
    for remark in image.manifest.remarks() {
        job.log(Level::Warn, remark.text());
    }
    let globals = read_globals(&image).await?;
    target.prepare().await?;
    let host = ProgramHost::new(job.shared_dirs(), target.run_as);
    let dirs = host.create_dirs(job.run())?;
    let bootstrap = source.bootstrap.as_deref().unwrap_or(&task.superuser);
    let streams = task.streams.clamp(1, MAX_STREAMS);
    let mut server = ScratchServer::new(ScratchConfig {
        programs: programs.clone(),
        data_dir: target.building.clone(),
        socket_dir: dirs.sockets()?,
        log: dirs.log(),
        host: host.clone(),
        run_as: target.run_as,
        bootstrap: bootstrap.to_owned(),
        preload: task.preload.clone().unwrap_or_else(|| source.preload.clone()),
        settings: settings_for(&image.manifest),
        connections: streams,
        redactor: job.redactor().clone(),
    });
    let context = RestoreContext {
        job,
        task,
        image: &image,
        programs: &programs,
        target: &target,
        host: &host,
        dirs: &dirs,
        streams,
        bootstrap,
    };
    let built = tokio::select! {
        cancelled = job.cancelled() => Err(cancelled),
        built = build(&context, &mut server, &globals) => built,
    };
    server.stop_now().await;
    let completed =
        built.and_then(|outcome| target.complete(&image.manifest_sha256, &outcome).map(|()| outcome));
    if completed.is_err()
        && let Err(error) = target.clear().await
    {
        job.warn(&error.context("cannot remove the incomplete data directory"));
    }
    completed
}

async fn read_globals(image: &ImageReader) -> Result<Vec<Global>> {
    let text = String::from_utf8(image.globals().await?).map_err(|_| {
        fail(FailureCode::ImageUnsupported, "the image's roles have names that are not UTF-8")
    })?;
    Ok(globals::read(&text)?)
}

/// The parameters that extensions of the image require before they can be created.
fn settings_for(manifest: &Manifest) -> Vec<(String, String)> {
    let cron = manifest.databases.iter().find(|d| d.extensions.iter().any(|e| e.name == "pg_cron"));
    cron.map(|d| ("cron.database_name".to_owned(), d.name.clone())).into_iter().collect()
}

/// Fills the data directory. At the end the server is stopped and all files are on disk.
async fn build(
    context: &RestoreContext<'_>,
    server: &mut ScratchServer,
    globals: &[Global],
) -> Result<Outcome> {
    let manifest = &context.image.manifest;
    let report = |progress| context.job.progress(progress);
    let meter = Meter::new(&report, "initdb", 0);
    meter.phase("initdb");
    server.init(locale_model(manifest)?).await?;
    server.start(Purpose::Load).await?;
    let client = server.connect("template1").await?;
    check_extensions(&client, manifest).await?;
    roles::apply(&client, globals, context.bootstrap).await?;
    roles::ensure_superuser(&client, &context.task.superuser).await?;
    drop(client);
    let mut receipt = Receipt::default();
    for database in &manifest.databases {
        database::restore(context, server, &meter, database, &mut receipt)
            .await
            .with_context(|| format!("database {:?}", database.name))?;
    }
    let outcome = outcome_of(context.job, receipt, manifest)?;
    let client = server.connect("template1").await?;
    roles::apply_settings(&client, globals).await?;
    drop(client);
    meter.phase("sync");
    login::verify(context, server).await?;
    server.sync().await?;
    Ok(outcome)
}

/// The outcome of a restore that is equal to the image.
///
/// # Errors
/// The receipt has differences. The failure carries the outcome.
fn outcome_of(job: &Job, receipt: Receipt, manifest: &Manifest) -> Result<Outcome, FailureWithOutcome> {
    let differences = (receipt.difference_count > 0).then(|| receipt.differences.join("; "));
    let content = format!(
        "{} tables with {} rows, {} sequences, {} large objects",
        receipt.tables, receipt.rows, receipt.sequences, receipt.large_objects
    );
    let Source { version, major, .. } = &manifest.source;
    let outcome = Outcome::Restore { receipt, version: version.clone(), major: *major };
    if let Some(differences) = differences {
        let failure = Failure::new(FailureCode::RestoreDiffers, differences);
        return Err(FailureWithOutcome { failure, outcome: Box::new(outcome) });
    }
    job.log(Level::Info, format!("{content}: identical to the image"));
    Ok(outcome)
}

/// Checks that this installation has every extension of the image.
async fn check_extensions(client: &Client, manifest: &Manifest) -> Result<()> {
    let rows = client.query("select name::text from pg_catalog.pg_available_extensions", &[]).await?;
    let available: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let required = manifest.databases.iter().flat_map(|d| &d.extensions).map(|e| e.name.as_str());
    let missing: BTreeSet<&str> = required.filter(|name| !available.contains(*name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.into_iter().collect::<Vec<&str>>().join(", ");
    let detail = format!("extensions of the image are not available in this installation: {names}");
    Err(Failure::new(FailureCode::ExtensionMissing, detail).on(names).into())
}

/// The database whose encoding and locale initdb uses.
fn locale_model(manifest: &Manifest) -> Result<&Database> {
    let all = &manifest.databases;
    let named = |name: &str| all.iter().find(|d| d.name == name);
    named("template1")
        .or_else(|| named("postgres"))
        .or_else(|| all.first())
        .ok_or_else(|| fail(FailureCode::ImageUnsupported, "the image contains no database"))
}
