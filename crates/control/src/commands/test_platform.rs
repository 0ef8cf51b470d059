//! Starting a test job, which shows that jobs start, are followed and end on the platform.

use model::{Actor, Role, RunId};

use crate::audit::entry;
use crate::error::{Error, Result, Started};
use crate::runs::start::{RunLabels, start_run};
use crate::services::Services;
use crate::users::require_role;
use crate::workflows::TestPlatform;

/// The most lines that a test job writes.
const MAX_LINES: u64 = 1_000_000;
/// The number of lines when none is given.
const DEFAULT_LINES: u64 = 10;

/// Starts a job that writes log lines.
///
/// # Errors
/// The role does not allow it, or more lines than the maximum are requested.
pub async fn test_platform(services: &Services, actor: &Actor, lines: Option<u64>) -> Result<Started<RunId>> {
    let place = services.platform().place().to_owned();
    let entry = entry(actor, "platform.test", &*place);
    entry
        .perform(services.db(), async {
            require_role(actor, Role::Operator)?;
            let lines = lines.unwrap_or(DEFAULT_LINES);
            if lines > MAX_LINES {
                return Err(Error::invalid("lines", format!("A test job writes at most {MAX_LINES} lines.")));
            }
            let run = RunId::new();
            let mut tx = services.db().begin().await?;
            let labels = RunLabels {
                title: format!("Test jobs in {place}"),
                started_by: actor.name.clone(),
                ..RunLabels::default()
            };
            start_run(services, &mut tx, &TestPlatform { lines }, run, &labels).await?;
            entry.succeed(&mut tx, Some(run)).await?;
            tx.commit().await?;
            Ok(Started { id: run, name: place.clone(), status: "running", run_id: run })
        })
        .await
}
