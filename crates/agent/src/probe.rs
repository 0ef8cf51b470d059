//! The connection test: the real way, through DNS and the network, to a server's facts. It changes nothing there.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use model::{Connection, ExitClass, Level, Outcome};
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::connect::{connect, place};
use crate::failure::{class_of, fail, sentence};
use crate::job::Job;

/// How often to try while a name is not there yet.
const EVERY: Duration = Duration::from_secs(2);
/// How many names a result lists.
const LISTED: usize = 50;

/// Goes on resolving and connecting until `dns_seconds` are over; whatever is no matter of reaching the server ends it at
/// once, a wrong password above all.
pub(crate) async fn probe(job: &Job, target: &Connection, dns_seconds: u64) -> Result<Outcome> {
    let deadline = Instant::now() + Duration::from_secs(dns_seconds);
    let mut said = String::new();
    loop {
        let error = match reach(job, target).await {
            Ok(client) => {
                return facts(&client).await.with_context(|| format!("connected to {}", place(target)));
            }
            Err(error) => error,
        };
        if class_of(&error) != ExitClass::Unreachable
            || !is_name(&target.host)
            || Instant::now() + EVERY > deadline
        {
            return Err(error);
        }
        let words = sentence(&error);
        if words != said {
            job.log(Level::Info, format!("not yet: {words}"));
            said = words;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Whether a name stands there, for which DNS may be late; addresses and sockets are there or not.
fn is_name(host: &str) -> bool {
    !host.starts_with('/') && host.parse::<IpAddr>().is_err()
}

async fn reach(job: &Job, target: &Connection) -> Result<Client> {
    if is_name(&target.host) {
        let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
        if found.map_or(true, |mut addresses| addresses.next().is_none()) {
            let words = format!(
                "{} does not resolve; is it spelt right? A new load balancer's name takes a minute or two to appear in the DNS",
                target.host
            );
            return Err(fail(ExitClass::Unreachable, words));
        }
    }
    connect(target, job.password(), &target.database).await
}

async fn facts(client: &Client) -> Result<Outcome> {
    let server = client
        .query_one(
            "select current_setting('server_version'), current_setting('server_version_num')::int4 / 10000, \
               (select rolsuper from pg_catalog.pg_roles where rolname = current_user), \
               coalesce((select sum(pg_catalog.pg_database_size(oid)) from pg_catalog.pg_database \
                 where pg_catalog.has_database_privilege(oid, 'connect')), 0)::int8",
            &[],
        )
        .await
        .context("cannot ask the server for its version")?;
    let list = async |sql: &str| -> Result<Vec<String>> {
        let rows = client.query(sql, &[]).await.context("cannot list databases and workers")?;
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
