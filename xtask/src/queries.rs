//! `.sqlx/`: what PostgreSQL says of every checked query, committed so that builds need no database.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::command::{self, cargo, root, say};
use crate::scratch::Scratch;

/// The crates that may hold SQL.
const CRATES: [&str; 3] = ["workflow", "control", "server"];

/// Writes `.sqlx/` anew.
pub(crate) fn write() -> anyhow::Result<()> {
    let fresh = describe()?;
    let dir = root().join(".sqlx");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir(&dir)?;
    for (name, text) in &fresh {
        std::fs::write(dir.join(name), text)?;
    }
    say(&format!("{} queries described in .sqlx/", fresh.len()));
    Ok(())
}

/// Fails when `.sqlx/` is not what [`write`] would write.
pub(crate) fn check() -> anyhow::Result<()> {
    if describe()? != read(&root().join(".sqlx"))? {
        bail!(".sqlx/ is not up to date. Call `cargo xtask queries` and commit what it writes.");
    }
    Ok(())
}

/// Compiles the crates against a scratch database that has all migrations; sqlx's macros write what they learn.
fn describe() -> anyhow::Result<BTreeMap<String, String>> {
    say("Describing the checked queries against a scratch PostgreSQL");
    let scratch = Scratch::start()?;
    let mut files: Vec<_> = std::fs::read_dir(root().join("migrations"))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "sql"))
        .collect();
    files.sort();
    for file in files {
        let text = std::fs::read(&file)?;
        apply(&scratch, &text).with_context(|| format!("apply {}", file.display()))?;
    }
    let out = tempfile::tempdir()?;
    for name in CRATES {
        let lib = ["crates", "."]
            .iter()
            .map(|dir| root().join(dir).join(name).join("src"))
            .find(|dir| dir.exists());
        let src = lib.with_context(|| format!("find crate {name}"))?;
        // A touched source makes cargo run the macros again.
        for entry in ["lib.rs", "main.rs"] {
            if let Ok(file) = std::fs::File::options().append(true).open(src.join(entry)) {
                file.set_modified(std::time::SystemTime::now())?;
            }
        }
    }
    command::run(
        cargo()
            .args(["check", "--quiet", "--all-targets", "-p", "workflow", "-p", "control", "-p", "server"])
            .env("DATABASE_URL", scratch.url())
            .env("SQLX_OFFLINE", "false")
            .env("SQLX_OFFLINE_DIR", out.path()),
    )?;
    read(out.path())
}

fn apply(scratch: &Scratch, sql: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    let mut psql: Command = scratch.program("psql")?;
    let mut child = psql
        .args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &scratch.url()])
        .stdin(std::process::Stdio::piped())
        .spawn()?;
    child.stdin.take().context("psql's input")?.write_all(sql)?;
    let status = child.wait()?;
    if !status.success() {
        bail!("psql ended with {status}");
    }
    Ok(())
}

fn read(dir: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?;
    entries
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|ext| ext == "json"))
        .map(|entry| {
            Ok((entry.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(entry.path())?))
        })
        .collect()
}
