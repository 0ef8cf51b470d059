//! The connection test: connects as clients do, by DNS and network, and reads the server's properties. It changes nothing.

use std::time::Duration;

use anyhow::{Context as _, Result};
use model::{Connection, Outcome};
use tokio_postgres::Client;

use crate::connect::{address, connect_within, has_host_name};
use crate::job::Job;

/// The maximum number of names in each list of the result.
const LISTED: usize = 50;

/// Connects and reads the server's properties. While a host name does not lead to a server, it retries for `dns_seconds`; any
/// other failure, such as a wrong password, ends the probe at once.
pub(crate) async fn probe(job: &Job, target: &Connection, dns_seconds: u64) -> Result<Outcome> {
    let patience = Duration::from_secs(dns_seconds);
    let client = connect_within(job, target, &target.database, patience, has_host_name(target)).await?;
    properties(&client).await.with_context(|| format!("connected to {}", address(target)))
}

async fn properties(client: &Client) -> Result<Outcome> {
    let server = client
        .query_one(
            "select pg_catalog.current_setting('server_version'), pg_catalog.current_setting('server_version_num')::int4 / 10000, \
               (select rolsuper from pg_catalog.pg_roles where rolname = current_user), \
               coalesce((select pg_catalog.sum(pg_catalog.pg_database_size(oid)) from pg_catalog.pg_database \
                 where pg_catalog.has_database_privilege(oid, 'connect')), 0)::int8",
            &[],
        )
        .await
        .context("cannot read the server's version")?;
    let list = async |sql: &str| -> Result<Vec<String>> {
        let rows = client.query(sql, &[]).await.context("cannot list databases and background workers")?;
        Ok(rows.iter().take(LISTED).map(|row| row.get(0)).collect())
    };
    Ok(Outcome::Probe {
        version: server.get(0),
        major: server.get(1),
        superuser: server.get(2),
        bytes: server.get(3),
        databases: list(
            "select datname::text from pg_catalog.pg_database where not datistemplate order by 1",
        )
        .await?,
        workers: list(
            "select distinct backend_type from pg_catalog.pg_stat_activity where backend_type is not null \
               and backend_type not in ('client backend', 'autovacuum worker', 'parallel worker') order by 1",
        )
        .await?,
    })
}
