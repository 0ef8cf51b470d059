//! The command lines of pg_restore for the scratch server, and the statements of a restore. It reads no image.

use std::path::Path;

use anyhow::{Context as _, Result};
use model::FailureCode;
use tokio_postgres::Client;

use crate::catalog::{SequenceRow, TableRow};
use crate::program_host::ProgramHost;
use crate::programs::Programs;
use crate::scratch_server::ScratchServer;
use crate::sql::{literal, qualified, quoted};
use crate::tools::Tool;

/// The number of sequences that are set at once.
const SEQUENCES_AT_ONCE: usize = 200;

/// pg_restore with a connection to the scratch server.
pub(crate) struct PgRestore<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) server: &'a ScratchServer,
    pub(crate) host: &'a ProgramHost,
}

impl PgRestore<'_> {
    /// Creates the database of the archive, with owner, privileges, comment and settings, and the section pre-data. It connects to
    /// the database `first` to do so.
    pub(crate) fn create(&self, archive: &Path, first: &str) -> Tool {
        self.tool(Some(archive))
            .args(["--create", "--section=pre-data", &format!("--dbname={first}")])
            .args(["--", &archive.display().to_string()])
    }

    /// Restores the section post-data: indexes, constraints, triggers; and materialized views.
    pub(crate) fn finish(&self, archive: &Path, database: &str, jobs: usize) -> Tool {
        self.tool(Some(archive))
            .args([
                "--section=post-data",
                &format!("--jobs={}", jobs.max(1)),
                &format!("--dbname={}", conninfo(database)),
            ])
            .args(["--", &archive.display().to_string()])
    }

    /// Restores the contents of large objects from its input.
    pub(crate) fn large_objects(&self, database: &str) -> Tool {
        self.tool(None).args(["--section=data", &format!("--dbname={}", conninfo(database))])
    }

    fn tool(&self, archive: Option<&Path>) -> Tool {
        let mut within = self.server.confinement_of_clients();
        within.read.extend(archive.map(Path::to_owned));
        self.host
            .program(self.programs, "pg_restore", FailureCode::RestoreFailed, &within)
            .args(["--exit-on-error", "--no-tablespaces", "--no-password", "--format=custom"])
            .envs(self.server.libpq_env())
    }
}

/// A connection string with the name of a database.
fn conninfo(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', r"\\").replace('\'', r"\'"))
}

/// Drops the database of this name that initdb created, so that the image's database can be created.
pub(crate) async fn drop_initial(client: &Client, database: &str) -> Result<()> {
    if database == "template1" {
        client.batch_execute("alter database template1 is_template false").await?;
    }
    client
        .batch_execute(&format!("drop database if exists {}", quoted(database)))
        .await
        .with_context(|| format!("cannot drop the initial database {database:?}"))
}

/// The statement that loads rows into a table. `freeze` requires that the same transaction created or truncated the table: the
/// rows are then written frozen and without WAL.
pub(crate) fn copy_in(table: &TableRow, columns: &[String], encoding: &str, freeze: bool) -> String {
    let columns: Vec<String> = columns.iter().map(|c| quoted(c)).collect();
    let list = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
    let (schema, name) = table.root.clone().unwrap_or_else(|| (table.schema.clone(), table.name.clone()));
    let freeze = if freeze { ", freeze" } else { "" };
    format!(
        "copy {}{list} from stdin with (format text, encoding '{encoding}'{freeze})",
        qualified(&schema, &name)
    )
}

/// Sets the values of sequences.
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
