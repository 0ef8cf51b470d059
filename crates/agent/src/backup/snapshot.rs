//! One consistent view of a database, held open and lent to every connection and program that copies from it. The
//! tables are locked before the view is taken, so that none of them can be dropped, emptied or rewritten in between.

use anyhow::{Context as _, Result};
use model::ExitClass;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::catalog::{self, TableRow, literal, qualified};
use crate::failure::fail;

/// How long to wait for a lock that somebody else holds. Whoever waits behind us waits as long, hence not longer.
pub(crate) const LOCK_WAIT_MS: u32 = 30_000;
/// How often to begin anew when tables come and go meanwhile.
const TRIES: usize = 5;
/// How many tables one statement locks.
const LOCKS_AT_ONCE: usize = 500;

/// An exported snapshot, valid as long as this is kept.
pub(crate) struct Snapshot {
    /// The connection whose transaction the snapshot belongs to.
    pub(crate) keeper: Client,
    /// What `set transaction snapshot` and `pg_dump --snapshot` take.
    pub(crate) name: String,
    /// Every table whose rows are to be copied, all of them locked against change of their shape.
    pub(crate) tables: Vec<TableRow>,
}

impl Snapshot {
    /// Locks the tables, takes the snapshot, and looks whether both speak of the same tables.
    pub(crate) async fn take(keeper: Client) -> Result<Self> {
        // Listing tables waits for locks, too: it looks at how large they are.
        keeper.batch_execute(&format!("set lock_timeout = {LOCK_WAIT_MS}")).await?;
        for _ in 0..TRIES {
            let before = catalog::tables(&keeper).await?;
            keeper.batch_execute("begin isolation level repeatable read, read only").await?;
            if !lock(&keeper, &before).await? {
                keeper.batch_execute("rollback").await?;
                continue;
            }
            let name: String = keeper
                .query_one("select pg_catalog.pg_export_snapshot()", &[])
                .await
                .map_err(no_export)?
                .get(0);
            let tables = catalog::tables(&keeper).await?;
            if same(&before, &tables) {
                return Ok(Self { keeper, name, tables });
            }
            keeper.batch_execute("rollback").await?;
        }
        Err(fail(
            ExitClass::Transient,
            "tables are being made and dropped too quickly to take a consistent view of them",
        ))
    }

    /// Makes another connection see what this snapshot sees.
    pub(crate) async fn lend(&self, client: &Client) -> Result<()> {
        let sql = format!(
            "begin isolation level repeatable read, read only; set transaction snapshot {}",
            literal(&self.name)
        );
        client.batch_execute(&sql).await.context("cannot join the snapshot")
    }

    /// Ends it. An error if the connection that kept it and the locks was lost meanwhile: a table might have been emptied
    /// before it was copied.
    pub(crate) async fn release(self) -> Result<()> {
        let kept = self.keeper.batch_execute("commit").await;
        kept.map_err(|error| {
            fail(
                ExitClass::Transient,
                format!("the connection that kept the tables locked was lost: {error}"),
            )
        })
    }
}

/// Locks every table against being dropped, rewritten or emptied, not against reading and writing. False if one is gone.
async fn lock(client: &Client, tables: &[TableRow]) -> Result<bool> {
    for some in tables.chunks(LOCKS_AT_ONCE) {
        let names: Vec<String> =
            some.iter().map(|t| format!("only {}", qualified(&t.schema, &t.name))).collect();
        let sql = format!("lock table {} in access share mode", names.join(", "));
        let Err(error) = client.batch_execute(&sql).await else { continue };
        return match error.code() {
            Some(
                &SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME | &SqlState::WRONG_OBJECT_TYPE,
            ) => Ok(false),
            Some(&SqlState::LOCK_NOT_AVAILABLE) => Err(fail(
                ExitClass::Transient,
                format!(
                    "somebody holds a lock on a table for longer than {} s (an ALTER, TRUNCATE or VACUUM FULL under way): try again later",
                    LOCK_WAIT_MS / 1000
                ),
            )),
            Some(&SqlState::OUT_OF_MEMORY) => Err(fail(
                ExitClass::Configuration,
                "the server has no room for a lock on every table: raise max_locks_per_transaction there",
            )),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Err(fail(
                ExitClass::Configuration,
                format!(
                    "the user may not read every table ({}): back up as a superuser, or grant pg_read_all_data",
                    server_words(&error)
                ),
            )),
            _ => Err(error).context("cannot lock the tables"),
        };
    }
    Ok(true)
}

fn same(before: &[TableRow], now: &[TableRow]) -> bool {
    let key = |t: &TableRow| (t.oid, t.schema.clone(), t.name.clone());
    let mut before: Vec<_> = before.iter().map(key).collect();
    let mut now: Vec<_> = now.iter().map(key).collect();
    before.sort_unstable();
    now.sort_unstable();
    before == now
}

fn server_words(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |e| e.message().to_owned())
}

fn no_export(error: tokio_postgres::Error) -> anyhow::Error {
    anyhow::Error::from(error)
        .context("the server cannot share a snapshot (is a connection pooler in between?)")
}
