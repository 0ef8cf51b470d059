//! The command lines of pg_restore against the private server, and the statements around them. It reads no image.

use std::path::Path;

use anyhow::{Context as _, Result};
use tokio_postgres::Client;

use crate::catalog::{SequenceRow, TableRow, literal, qualified, quoted};
use crate::private::PrivateServer;
use crate::programs::Programs;
use crate::run_as::RunAs;
use crate::tools::Tool;

/// How many sequences one statement sets.
const SEQUENCES_AT_ONCE: usize = 200;

/// pg_restore against a private server.
pub(crate) struct PgRestore<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) server: &'a PrivateServer,
    pub(crate) run_as: Option<RunAs>,
}

impl PgRestore<'_> {
    /// Makes the database that the archive names, with its owner, access, comment and settings, and what comes before rows.
    /// It connects to `first` only to say so; the database's name is in the archive.
    pub(crate) fn create(&self, archive: &Path, first: &str) -> Tool {
        self.tool()
            .args(["--create", "--section=pre-data", &format!("--dbname={first}")])
            .args(["--", &archive.display().to_string()])
    }

    /// What comes after rows: indexes, constraints, triggers, materialised views.
    pub(crate) fn finish(&self, archive: &Path, database: &str, jobs: usize) -> Tool {
        self.tool()
            .args([
                "--section=post-data",
                &format!("--jobs={}", jobs.max(1)),
                &format!("--dbname={}", conninfo(database)),
            ])
            .args(["--", &archive.display().to_string()])
    }

    /// Large objects' contents, from its input.
    pub(crate) fn large_objects(&self, database: &str) -> Tool {
        self.tool().args(["--section=data", &format!("--dbname={}", conninfo(database))])
    }

    fn tool(&self) -> Tool {
        Tool::new(&self.programs.path("pg_restore"), self.run_as)
            .args(["--exit-on-error", "--no-password", "--format=custom"])
            .envs(self.server.libpq_env())
    }
}

/// A database's name where libpq expects a connection string.
fn conninfo(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', r"\\").replace('\'', r"\'"))
}

/// Takes away the database of this name that initdb made, so that the image's own can be created.
pub(crate) async fn drop_initial(client: &Client, database: &str) -> Result<()> {
    if database == "template1" {
        client.batch_execute("alter database template1 is_template false").await?;
    }
    client
        .batch_execute(&format!("drop database if exists {}", quoted(database)))
        .await
        .with_context(|| format!("cannot make room for database {database}"))
}

/// The statement that takes a piece of a table in. `alone` is true where nobody else fills the table meanwhile and it
/// is new: its rows are then written frozen and without WAL.
pub(crate) fn copy_in(table: &TableRow, columns: &[String], encoding: &str, alone: bool) -> String {
    let columns: Vec<String> = columns.iter().map(|c| quoted(c)).collect();
    let list = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
    let (schema, name) = table.root.clone().unwrap_or_else(|| (table.schema.clone(), table.name.clone()));
    let freeze = if alone { ", freeze" } else { "" };
    format!(
        "copy {}{list} from stdin with (format text, encoding '{encoding}'{freeze})",
        qualified(&schema, &name)
    )
}

/// Sets every sequence to its value.
pub(crate) async fn set_sequences(client: &Client, sequences: &[SequenceRow]) -> Result<()> {
    for some in sequences.chunks(SEQUENCES_AT_ONCE) {
        let calls: Vec<String> = some
            .iter()
            .map(|s| {
                format!(
                    "select pg_catalog.setval({}, {}, {})",
                    literal(&qualified(&s.schema, &s.name)),
                    s.last_value,
                    s.is_called
                )
            })
            .collect();
        client.batch_execute(&calls.join("; ")).await.context("cannot set the sequences")?;
    }
    Ok(())
}
