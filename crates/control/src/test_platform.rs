//! The place where instances and jobs live: trying whether jobs run there.

use model::{Actor, Role, RunId};
use serde_json::json;

use crate::audit;
use crate::error::{Error, Result, Started};
use crate::instances::start_run;
use crate::services::Services;
use crate::users::require_role;
use crate::workflows::TestPlatform;

/// The most lines that a test job may say.
const MOST_LINES: u64 = 1_000_000;
/// How many it says unless told.
const LINES: u64 = 10;

/// Starts a job that does nothing but talk: shows that jobs start, are followed, and end.
///
/// # Errors
/// The caller may not, or wants more lines than there is room for.
pub async fn test(services: &Services, actor: &Actor, lines: Option<u64>) -> Result<Started<RunId>> {
    let place = services.platform().place().to_owned();
    audit::audited(
        services.db(),
        actor,
        "platform.test",
        &place,
        |started: &Started<_>| Some(started.run_id),
        async {
            require_role(actor, Role::Operator)?;
            let lines = lines.unwrap_or(LINES);
            if lines > MOST_LINES {
                return Err(Error::invalid("lines", format!("A test job says at most {MOST_LINES} lines.")));
            }
            let run = RunId::new();
            let mut tx = services.db().begin().await?;
            let labels = json!({ "title": format!("Test jobs in {place}"), "started_by": actor.name });
            start_run(services, &mut tx, &TestPlatform { lines }, run, labels).await?;
            tx.commit().await?;
            Ok(Started { id: run, name: place.clone(), status: "running", run_id: run })
        },
    )
    .await
}
