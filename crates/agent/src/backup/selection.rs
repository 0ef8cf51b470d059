//! Which databases of the source are copied.

use anyhow::Result;
use model::{Database, Failure, FailureCode, LeftOut, LeftOutReason};
use tokio_postgres::Client;

use super::context::BackupContext;
use crate::catalog::{self, Databases};
use crate::connect::connect;

/// The databases of a backup.
pub(super) struct Selection {
    /// Those that are copied.
    pub(super) databases: Vec<Database>,
    /// The number of databases at the source that can be copied, without an unmodified template1.
    pub(super) source_databases: usize,
    /// Those that cannot be copied, if all were to be.
    pub(super) left_out: Vec<LeftOut>,
}

/// The databases to copy: those that the task names, or all that the account can enter.
pub(super) async fn select(context: &BackupContext<'_>, client: &Client) -> Result<Selection> {
    let named = &context.task.databases;
    let Databases { open, mut left_out } = catalog::databases(client).await?;
    if let Some(missing) = named.iter().find(|name| open.iter().all(|d| d.name != **name)) {
        return Err(missing_failure(missing, &left_out).into());
    }
    let mut databases = Vec::new();
    if named.is_empty() {
        databases = enter_all(context, open, &mut left_out).await?;
    } else {
        left_out.clear();
        let is_counted = |name: &str| name != "template1" || named.iter().any(|one| one == name);
        databases.extend(open.into_iter().filter(|database| is_counted(&database.name)));
    }
    let source_databases = databases.len();
    databases.retain(|database| named.is_empty() || named.contains(&database.name));
    if databases.is_empty() {
        let detail = "the server has no database that the account can connect to";
        return Err(Failure::new(FailureCode::Refused, detail).into());
    }
    Ok(Selection { databases, source_databases, left_out })
}

/// The databases that admit the account, without a template1 that is what initdb creates. The others are added to `left_out`.
async fn enter_all(
    context: &BackupContext<'_>,
    open: Vec<Database>,
    left_out: &mut Vec<LeftOut>,
) -> Result<Vec<Database>> {
    let mut entered = Vec::new();
    for database in open {
        match connect(context.job, &context.task.source, &database.name).await {
            Ok(client) => {
                if database.name != "template1" || catalog::is_customised(&client).await? {
                    entered.push(database);
                }
            }
            Err(failure) if failure.code == FailureCode::ConnectionNotAdmitted => {
                left_out.push(LeftOut { database: database.name, reason: LeftOutReason::NotAdmitted });
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(entered)
}

/// Why a database that the task names cannot be copied.
fn missing_failure(name: &str, left_out: &[LeftOut]) -> Failure {
    let reason = left_out.iter().find(|one| one.database == name).map(|one| one.reason);
    let failure = match reason {
        Some(LeftOutReason::NoPrivilege) => {
            let detail = format!("the account may not connect to the database {name:?}");
            Failure::new(FailureCode::PermissionDenied, detail)
        }
        _ => {
            let detail = format!("the server has no database {name:?} that accepts connections");
            Failure::new(FailureCode::DatabaseMissing, detail)
        }
    };
    failure.on(name)
}
