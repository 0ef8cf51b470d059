//! Creates roles, memberships and settings in the scratch server, and sets the superuser's password.

use std::collections::HashSet;

use anyhow::{Context as _, Result};
use model::{Failure, FailureCode};
use postgres_protocol::password::scram_sha_256;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::globals::Global;
use crate::sql::{literal, quoted};
use crate::sqlstate;

/// Creates the roles and their memberships. [`apply_settings`] sets their parameters.
pub(crate) async fn apply(client: &Client, globals: &[Global], bootstrap: &str) -> Result<()> {
    let rows = client
        .query("select rolname::text from pg_catalog.pg_roles", &[])
        .await
        .context("cannot list the roles")?;
    let mut existing: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    for global in globals {
        match global {
            // A role that was dropped at the end of the backup is in the image twice.
            Global::CreateRole { role, sql } => {
                if existing.insert(role.clone()) {
                    run(client, sql, role).await?;
                }
            }
            Global::AlterRole { role, sql } => {
                run(client, sql, role).await?;
                if role == bootstrap {
                    // The image has no superuser if another role made the backup; this server has no other superuser.
                    run(client, &format!("alter role {} superuser login", quoted(bootstrap)), role).await?;
                }
            }
            Global::Other(sql) => run(client, sql, "").await?,
            Global::RoleSetting(_) => {}
        }
    }
    Ok(())
}

/// Sets the parameters of the roles.
pub(crate) async fn apply_settings(client: &Client, globals: &[Global]) -> Result<()> {
    for global in globals {
        if let Global::RoleSetting(sql) = global {
            run(client, sql, "").await?;
        }
    }
    Ok(())
}

/// Executes a statement. It may contain a verifier, so that an error has the role and the server's message only.
async fn run(client: &Client, sql: &str, role: &str) -> Result<()> {
    let Err(error) = client.batch_execute(sql).await else { return Ok(()) };
    let Some(refusal) = error.as_db_error() else { return Err(error).context("cannot restore the roles") };
    // An outage of the server is no conflict.
    let outage = sqlstate::code_of(refusal).filter(|code| !code.is_permanent());
    let failure = Failure::new(outage.unwrap_or(FailureCode::RoleConflict), refusal.message());
    Err(if role.is_empty() { failure } else { failure.on(role) }.into())
}

/// Makes `name` a superuser that may log in, and creates the role if the image does not contain it.
pub(crate) async fn ensure_superuser(client: &Client, name: &str) -> Result<()> {
    let exists =
        client.query_opt("select from pg_catalog.pg_roles where rolname = $1", &[&name]).await?.is_some();
    let verb = if exists { "alter" } else { "create" };
    run(client, &format!("{verb} role {} superuser login", quoted(name)), name).await
}

/// Sets the password of a role. The server, which executes what the image contains, gets the verifier only.
pub(crate) async fn set_password(client: &Client, name: &str, password: &str) -> Result<()> {
    run(client, &password_statement(name, password), name).await
}

fn password_statement(name: &str, password: &str) -> String {
    format!("alter role {} password {}", quoted(name), literal(&scram_sha_256(password.as_bytes())))
}

/// Whether the server rejected the password.
pub(crate) fn is_wrong_password(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_itself_is_not_sent() {
        let statement = password_statement("a", "canary-77");
        assert!(statement.starts_with("alter role \"a\" password 'SCRAM-SHA-256$"), "{statement}");
        assert!(!statement.contains("canary-77"));
    }
}
