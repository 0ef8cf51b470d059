//! `.sqlx/`: PostgreSQL's description of every checked query, committed so that builds need no database.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, bail};

use super::compiler;
use crate::command::{self, cargo, root, step};
use crate::packages::{self, Need};
use crate::scratch::Scratch;

/// The root files of the crates that may contain SQL.
const CRATES: [&str; 3] = ["crates/workflow/src/lib.rs", "crates/control/src/lib.rs", "server/src/main.rs"];

/// Rewrites `.sqlx/`.
pub(crate) fn write() -> anyhow::Result<()> {
    let described = describe(cargo().args(["check", "--workspace", "--all-targets", "--quiet"]))?;
    let dir = root().join(".sqlx");
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir(&dir)?;
    for (name, text) in &described {
        std::fs::write(dir.join(name), text)?;
    }
    step(&format!("{} queries described in .sqlx/", described.len()));
    Ok(())
}

/// Compares `.sqlx/` with the queries. The crates are compiled by Clippy, whose results its own check uses again.
///
/// # Errors
/// A file is missing, superfluous or out of date.
pub(super) fn check() -> anyhow::Result<()> {
    if describe(&mut compiler::clippy_command())? != read(&root().join(".sqlx"))? {
        bail!(".sqlx/ is out of date. Run `cargo xtask queries` and commit the result.");
    }
    Ok(())
}

/// Compiles the crates against a scratch database that has all migrations: sqlx's macros write the descriptions.
fn describe(compile: &mut Command) -> anyhow::Result<BTreeMap<String, String>> {
    packages::install(&[Need::Postgres])?;
    let scratch = Scratch::start()?;
    let mut migrations: Vec<PathBuf> = std::fs::read_dir(root().join("migrations"))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    migrations.sort();
    for file in migrations {
        apply(&scratch, &std::fs::read(&file)?).with_context(|| format!("apply {}", file.display()))?;
    }
    let out = tempfile::tempdir()?;
    let _touched = CRATES.map(|file| Touched::new(root().join(file)));
    compile
        .env("DATABASE_URL", scratch.url())
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", out.path());
    command::run(compile)?;
    read(out.path())
}

/// A source file with a new modification time, so that cargo runs its macros again. The old time returns when it is dropped:
/// other builds stay fresh.
struct Touched {
    path: PathBuf,
    modified: Option<SystemTime>,
}

impl Touched {
    fn new(path: PathBuf) -> Self {
        let touched = Self { modified: path.metadata().and_then(|meta| meta.modified()).ok(), path };
        touched.set(SystemTime::now());
        touched
    }

    /// A file whose time cannot be set is compiled only if it changed.
    fn set(&self, time: SystemTime) {
        if let Ok(file) = std::fs::File::options().append(true).open(&self.path) {
            let _ = file.set_modified(time);
        }
    }
}

impl Drop for Touched {
    fn drop(&mut self) {
        if let Some(modified) = self.modified {
            self.set(modified);
        }
    }
}

fn apply(scratch: &Scratch, sql: &[u8]) -> anyhow::Result<()> {
    let mut psql = scratch.program("psql")?;
    psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &scratch.url()]).stdin(Stdio::piped());
    let mut child = psql.spawn()?;
    child.stdin.take().context("psql has no standard input")?.write_all(sql)?;
    let status = child.wait()?;
    if !status.success() {
        bail!("psql failed: {status}");
    }
    Ok(())
}

/// The descriptions in a directory by their file names.
fn read(dir: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?;
    entries
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json"))
        .map(|entry| {
            Ok((entry.file_name().to_string_lossy().into_owned(), std::fs::read_to_string(entry.path())?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touched_file_gets_its_time_back() -> anyhow::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        let long_ago = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        file.as_file().set_modified(long_ago)?;
        let touched = Touched::new(file.path().to_owned());
        assert!(file.path().metadata()?.modified()? > long_ago);
        drop(touched);
        assert_eq!(file.path().metadata()?.modified()?, long_ago);
        Ok(())
    }

    #[test]
    fn only_descriptions_are_read() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("query-1.json"), "{}")?;
        std::fs::write(dir.path().join("notes.txt"), "")?;
        assert_eq!(read(dir.path())?, BTreeMap::from([("query-1.json".to_owned(), "{}".to_owned())]));
        Ok(())
    }
}
