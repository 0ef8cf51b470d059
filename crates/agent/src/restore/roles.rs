//! Applies roles, memberships and settings to the private server, and sees to it that the superuser gets in with the
//! password that the platform knows. It reads no image.

use std::collections::HashSet;

use anyhow::{Context as _, Result};
use model::ExitClass;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::globals::{Global, names};
use crate::catalog::{literal, quoted};
use crate::failure::fail;

/// Makes the roles and what binds them; their settings wait for [`apply_settings`].
pub(crate) async fn apply(client: &Client, globals: &[Global], bootstrap: &str) -> Result<()> {
    let rows = client
        .query("select rolname::text from pg_catalog.pg_roles", &[])
        .await
        .context("cannot list the roles")?;
    let there: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    for global in globals {
        match global {
            Global::CreateRole { role, .. } if there.iter().any(|name| names(role, name)) => {}
            Global::AlterRole { role, sql } => {
                run(client, sql, role).await?;
                if names(role, bootstrap) {
                    // The image may have been made by a user who was none; this server has no other superuser.
                    run(client, &format!("alter role {} superuser login", quoted(bootstrap)), role).await?;
                }
            }
            Global::CreateRole { role, sql } => run(client, sql, role).await?,
            Global::Other(sql) => run(client, sql, "").await?,
            Global::RoleSetting(_) => {}
        }
    }
    Ok(())
}

/// Gives the roles their settings.
pub(crate) async fn apply_settings(client: &Client, globals: &[Global]) -> Result<()> {
    for global in globals {
        if let Global::RoleSetting(sql) = global {
            run(client, sql, "").await?;
        }
    }
    Ok(())
}

/// The statement may hold a verifier, so that an error names the role at most.
async fn run(client: &Client, sql: &str, role: &str) -> Result<()> {
    client.batch_execute(sql).await.map_err(|error| {
        let words = error.as_db_error().map_or_else(|| error.to_string(), |e| e.message().to_owned());
        let role = role.trim_start_matches('"');
        fail(ExitClass::Configuration, format!("the image's roles cannot be restored ({role}): {words}"))
    })
}

/// Makes sure that `name` is a superuser who may log in, also where the image did not bring one.
pub(crate) async fn ensure_superuser(client: &Client, name: &str) -> Result<()> {
    let there =
        client.query_opt("select from pg_catalog.pg_roles where rolname = $1", &[&name]).await?.is_some();
    let verb = if there { "alter" } else { "create" };
    run(client, &format!("{verb} role {} superuser login", quoted(name)), name).await
}

/// Gives a role a new password; the server hashes it and logs no statements.
pub(crate) async fn set_password(client: &Client, name: &str, password: &str) -> Result<()> {
    let sql = format!(
        "set password_encryption = 'scram-sha-256'; alter role {} password {}",
        quoted(name),
        literal(password)
    );
    run(client, &sql, name).await
}

/// Whether an attempt to log in was refused for its password.
pub(crate) fn is_wrong_password(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION))
}
