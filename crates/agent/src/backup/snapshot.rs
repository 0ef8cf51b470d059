//! An exported snapshot of a database, which all connections and programs of its backup use. The tables are locked before the
//! snapshot is taken, so that none of them can be dropped, truncated or rewritten in between.

use anyhow::{Context as _, Result};
use model::FailureCode;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::catalog::{self, TableRow};
use crate::failure::fail;
use crate::sql::{literal, qualified};

/// How long to wait for a lock, in milliseconds. Sessions that queue behind this request wait as long.
pub(crate) const LOCK_WAIT_MS: u32 = 30_000;
/// How often the snapshot is tried while tables are created and dropped.
const ATTEMPTS: usize = 5;
/// The number of tables that one statement locks.
const LOCKS_AT_ONCE: usize = 500;

/// An exported snapshot. It is valid until this value is dropped.
pub(crate) struct Snapshot {
    /// The connection whose transaction holds the snapshot and the locks.
    pub(crate) keeper: Client,
    /// Its name for `set transaction snapshot` and `pg_dump --snapshot`.
    pub(crate) name: String,
    /// The tables whose rows are copied, locked in the mode ACCESS SHARE.
    pub(crate) tables: Vec<TableRow>,
}

impl Snapshot {
    /// Locks the tables, takes the snapshot, and checks that it contains the same tables.
    ///
    /// # Errors
    /// A lock is not granted in time, the role lacks a privilege, or tables are created and dropped too often.
    pub(crate) async fn take(keeper: Client) -> Result<Self> {
        // Listing the tables waits for locks too, because it reads their sizes.
        keeper.batch_execute(&format!("set lock_timeout = {LOCK_WAIT_MS}")).await?;
        for _ in 0..ATTEMPTS {
            let before = catalog::tables(&keeper).await?;
            keeper.batch_execute("begin isolation level repeatable read, read only").await?;
            if !lock(&keeper, &before).await? {
                keeper.batch_execute("rollback").await?;
                continue;
            }
            let name: String = keeper
                .query_one("select pg_catalog.pg_export_snapshot()", &[])
                .await
                .context("cannot export a snapshot")?
                .get(0);
            let tables = catalog::tables(&keeper).await?;
            if same(&before, &tables) {
                return Ok(Self { keeper, name, tables });
            }
            keeper.batch_execute("rollback").await?;
        }
        Err(fail(
            FailureCode::DumpFailed,
            format!("tables were created or dropped during each of {ATTEMPTS} attempts to take a snapshot"),
        ))
    }

    /// Makes another connection use this snapshot.
    pub(crate) async fn import(&self, client: &Client) -> Result<()> {
        let sql = format!(
            "begin isolation level repeatable read, read only; set transaction snapshot {}",
            literal(&self.name)
        );
        client.batch_execute(&sql).await.context("cannot import the snapshot")
    }

    /// Ends the transaction.
    ///
    /// # Errors
    /// The connection was lost, and the locks with it: a table may have been truncated before it was copied.
    pub(crate) async fn release(self) -> Result<()> {
        let committed = self.keeper.batch_execute("commit").await;
        committed.context("the connection that held the snapshot and the locks failed")
    }
}

/// Locks the tables against being dropped, rewritten or truncated, not against reads and writes. False if one no longer exists.
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
