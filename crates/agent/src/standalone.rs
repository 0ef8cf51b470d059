//! The commands that a user starts on an image: inspect, verify, restore. They print text and need no Toygres server.

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};
use image::{ImageReader, Store, StoreOptions};
use model::{AgentTask, ExitClass, Failure, FailureCode, Location, Manifest, Outcome, Work};
use secrecy::SecretString;
use uuid::Uuid;

use crate::cli::{ImageArgs, RestoreArgs};
use crate::events::OutputMode;
use crate::failure::failure_of;
use crate::image_url::location_of;
use crate::run::execute;
use crate::secret::Secrets;
use crate::signals::cancelled_by_signals;

/// The environment variable of the password for a restore.
const ENV_PASSWORD: &str = "TOYGRES_PASSWORD";

/// Prints what an image contains.
pub(crate) async fn inspect(args: &ImageArgs) -> ExitClass {
    let shown = async {
        let image = open(&location_of(&args.url)?).await?;
        let text = if args.json {
            serde_json::to_string_pretty(&image.manifest)?
        } else {
            describe(&image.manifest)
        };
        print(&text);
        Ok(())
    };
    match shown.await {
        Ok(()) => ExitClass::Ok,
        Err(error) => refused(&error),
    }
}

/// Verifies an image.
pub(crate) async fn verify(args: &ImageArgs) -> ExitClass {
    match location_of(&args.url) {
        Ok(from) => run(Work::Verify { from, manifest_sha256: None }, None, args.json).await,
        Err(error) => refused(&error),
    }
}

/// Creates a data directory from an image.
pub(crate) async fn restore(args: &RestoreArgs) -> ExitClass {
    match prepare(args).await {
        Ok((work, password)) => run(work, Some(password), args.image.json).await,
        Err(error) => refused(&error),
    }
}

async fn prepare(args: &RestoreArgs) -> Result<(Work, SecretString)> {
    let from = location_of(&args.image.url)?;
    let image = open(&from).await?;
    let path = |path: &std::path::Path| -> Result<String> {
        let path = std::path::absolute(path)?;
        let text = path.to_str().map(str::to_owned);
        text.with_context(|| format!("the path {} is not UTF-8", path.display()))
    };
    let superuser = args.superuser.clone().or_else(|| image.manifest.source.bootstrap.clone());
    let superuser = superuser.unwrap_or_else(|| "postgres".to_owned());
    let password = password(args, &superuser)?;
    let work = Work::Restore {
        from,
        manifest_sha256: None,
        data_dir: path(&args.data_dir)?,
        superuser,
        preload: None,
        streams: args.streams,
        bin_dir: args.bin_dir.as_deref().map(path).transpose()?,
        fixed_clients: false,
    };
    Ok((work, password))
}

async fn run(work: Work, password: Option<SecretString>, json: bool) -> ExitClass {
    let (run, step) = (Uuid::now_v7(), "standalone".to_owned());
    let task = AgentTask { run, step, attempt: 1, work, log: None, network: None };
    let mode = if json { OutputMode::Json } else { OutputMode::Text };
    let secrets = Secrets { password, store: StoreOptions::default() };
    let result = execute(&task, secrets, None, mode, cancelled_by_signals()).await;
    if json {
        return result.class();
    }
    match (&result.failure, &result.outcome) {
        (Some(failure), _) => explain(failure),
        (None, Some(outcome)) => print(&summary(outcome)),
        (None, None) => {}
    }
    result.class()
}

fn summary(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Verify { objects, bytes } => {
            format!("The image is intact: {objects} objects, {bytes} bytes.")
        }
        Outcome::Restore { receipt, version, .. } => format!(
            "Restored: PostgreSQL {version}, {} tables with {} rows, {} sequences, {} large objects. The content is identical to the image.",
            receipt.tables, receipt.rows, receipt.sequences, receipt.large_objects
        ),
        Outcome::Backup { .. } | Outcome::Probe { .. } | Outcome::ProbeStore | Outcome::EmitLines { .. } => {
            String::new()
        }
    }
}

async fn open(at: &Location) -> Result<ImageReader> {
    Ok(ImageReader::open(Store::existing(&at.store, &StoreOptions::default())?, &at.prefix).await?)
}

fn describe(manifest: &Manifest) -> String {
    use std::fmt::Write as _;

    let mut text = format!(
        "image      {}\ncreated    {}\nsource     PostgreSQL {} ({})\nsize       {} bytes at the source, {} bytes stored in {} objects\nrows       {} in {} tables\n",
        manifest.image,
        manifest.created_at.to_rfc3339(),
        manifest.source.version,
        manifest.source.image_type,
        manifest.source.bytes,
        manifest.stored_bytes(),
        manifest.objects.len(),
        manifest.rows(),
        manifest.tables(),
    );
    for database in &manifest.databases {
        let rows: u64 = database.tables.iter().map(|table| table.rows).sum();
        let extensions: Vec<String> =
            database.extensions.iter().map(|e| format!("{} {}", e.name, e.version)).collect();
        let _ = write!(
            text,
            "\ndatabase   {:?} of {:?}, {}, {}\n  {} tables, {rows} rows, {} sequences, {} large objects\n  extensions: {}\n",
            database.name,
            database.owner,
            database.encoding,
            database.locale.as_ref().unwrap_or(&database.collate),
            database.tables.len(),
            database.sequences,
            database.large_objects,
            extensions.join(", "),
        );
        for table in &database.tables {
            let _ = writeln!(
                text,
                "  {:>12} rows {:>14} bytes  {:?}.{:?}",
                table.rows, table.bytes, table.schema, table.name
            );
        }
    }
    for (tool, version) in &manifest.tools {
        let _ = write!(text, "\nwritten by {tool} {version}");
    }
    text
}

/// The superuser's password: from a file, from the environment, or from a prompt.
fn password(args: &RestoreArgs, superuser: &str) -> Result<SecretString> {
    if let Some(path) = &args.password_file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(FailureCode::PasswordMissing, error.to_string()).on(path.display().to_string())
        })?;
        return Ok(text.trim_end_matches(['\n', '\r']).into());
    }
    if let Ok(password) = std::env::var(ENV_PASSWORD) {
        return Ok(password.into());
    }
    if !std::io::stdin().is_terminal() {
        let detail = format!(
            "neither --password-file nor {ENV_PASSWORD} is set, and standard input is not a terminal"
        );
        return Err(Failure::new(FailureCode::PasswordMissing, detail).on(superuser).into());
    }
    let prompt = format!("Password of {superuser:?} in the restored server: ");
    Ok(rpassword::prompt_password(prompt).context("cannot read the password")?.into())
}

/// Prints an error that occurred before the work began.
fn refused(error: &anyhow::Error) -> ExitClass {
    let secrets = Secrets::default();
    let failure = failure_of(error, FailureCode::Other, &secrets.redactor());
    let _ = writeln!(std::io::stderr(), "error: {failure}");
    explain(&failure);
    failure.code.into()
}

/// Prints cause and fix of a failure that was logged.
fn explain(failure: &Failure) {
    let explanation = failure.code.explanation();
    let _ = writeln!(std::io::stderr(), "Cause: {}\nFix: {}", explanation.cause, explanation.fix);
}

/// Prints to standard output. A closed standard output is ignored.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}
