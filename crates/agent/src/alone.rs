//! The agent started by hand on an image: inspect, verify, restore, with words instead of events. It knows no server.

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};
use image::{ImageReader, Store, StoreOptions};
use model::{AgentTask, ExitClass, Location, Manifest, Outcome, Work};
use uuid::Uuid;

use crate::cli::{ImageArgs, RestoreArgs};
use crate::events::Show;
use crate::failure::{class_of, fail, sentence};
use crate::run::{cancelled_by_signals, complain, location_of, work};
use crate::secret::{Secret, Secrets};

/// The environment variable that a restore takes the password from.
const ENV_PASSWORD: &str = "TOYGRES_PASSWORD";

/// Shows what an image holds.
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
    ended(shown.await)
}

/// Reads an image back.
pub(crate) async fn verify(args: &ImageArgs) -> ExitClass {
    match location_of(&args.url) {
        Ok(from) => do_it(Work::Verify { from }, None, args.json).await,
        Err(error) => ended(Err(error)),
    }
}

/// Makes a data directory of an image.
pub(crate) async fn restore(args: &RestoreArgs) -> ExitClass {
    match prepare(args).await {
        Ok((work, password)) => do_it(work, Some(password), args.image.json).await,
        Err(error) => ended(Err(error)),
    }
}

async fn prepare(args: &RestoreArgs) -> Result<(Work, Secret)> {
    let from = location_of(&args.image.url)?;
    let image = open(&from).await?;
    let path = |path: &std::path::Path| -> Result<String> {
        let path = std::path::absolute(path)?;
        path.to_str().map(str::to_owned).with_context(|| format!("{} is no text", path.display()))
    };
    let superuser = args.superuser.clone().or_else(|| image.manifest.source.bootstrap.clone());
    let superuser = superuser.unwrap_or_else(|| "postgres".to_owned());
    let password = password(args, &superuser)?;
    let work = Work::Restore {
        from,
        data_dir: path(&args.data_dir)?,
        superuser,
        streams: args.streams,
        bin_dir: args.bin_dir.as_deref().map(path).transpose()?,
    };
    Ok((work, password))
}

async fn do_it(work_to_do: Work, password: Option<Secret>, json: bool) -> ExitClass {
    let task =
        AgentTask { run: Uuid::now_v7(), step: "alone".to_owned(), attempt: 1, work: work_to_do, log: None };
    let show = if json { Show::Json } else { Show::Words };
    let secrets = Secrets { password, store: StoreOptions::default() };
    let result = work(&task, secrets, show, cancelled_by_signals()).await;
    if !json && let Some(outcome) = &result.outcome {
        print(&match outcome {
            Outcome::Verify { objects, bytes } => {
                format!("The image is whole: {objects} objects, {bytes} bytes read.")
            }
            Outcome::Restore { receipt, version, .. } => format!(
                "Restored: PostgreSQL {version}, {} tables with {} rows, {} sequences, {} large objects, all as in the image.",
                receipt.tables, receipt.rows, receipt.sequences, receipt.large_objects
            ),
            Outcome::Backup { .. } | Outcome::Probe { .. } | Outcome::ProbeStore | Outcome::Talk { .. } => {
                String::new()
            }
        });
    }
    result.class
}

async fn open(at: &Location) -> Result<ImageReader> {
    Ok(ImageReader::open(Store::existing(&at.store, &StoreOptions::default())?, &at.prefix).await?)
}

fn describe(manifest: &Manifest) -> String {
    use std::fmt::Write as _;

    let mut text = format!(
        "image      {}\nmade       {}\nsource     PostgreSQL {} ({})\nsize       {} bytes there, {} bytes here in {} objects\nrows       {} in {} tables\n",
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

/// From the file that was named, the environment, or whoever sits there.
fn password(args: &RestoreArgs, superuser: &str) -> Result<Secret> {
    let one_line = |text: String| Secret::new(text.trim_end_matches(['\n', '\r']).to_owned());
    if let Some(path) = &args.password_file {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        return Ok(one_line(text.map_err(|error| fail(ExitClass::Configuration, sentence(&error)))?));
    }
    if let Ok(password) = std::env::var(ENV_PASSWORD) {
        return Ok(Secret::new(password));
    }
    if !std::io::stdin().is_terminal() {
        let words =
            format!("the password of {superuser:?} is needed: give --password-file or {ENV_PASSWORD}");
        return Err(fail(ExitClass::Configuration, words));
    }
    ask(&format!("Password of {superuser:?} in the restored server: ")).map(one_line)
}

/// Asks on the terminal without showing what is typed.
fn ask(question: &str) -> Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

    let stdin = std::io::stdin();
    let shown = tcgetattr(&stdin)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    let _ = write!(std::io::stderr(), "{question}");
    tcsetattr(&stdin, OptionalActions::Flush, &hidden)?;
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Flush, &shown)?;
    let _ = writeln!(std::io::stderr());
    read.context("cannot read the password")?;
    Ok(line)
}

fn ended(done: Result<()>) -> ExitClass {
    match done {
        Ok(()) => ExitClass::Ok,
        Err(error) => {
            complain(&sentence(&error));
            class_of(&error)
        }
    }
}

/// Whoever read our output may be gone.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}
