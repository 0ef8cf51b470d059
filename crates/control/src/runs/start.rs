//! Starting a run in the caller's transaction, with the labels that lists and pages show.

use model::{ImageId, InstanceId, RunId};
use serde::Serialize;
use workflow::{StartOptions, Workflow};

use crate::error::{Error, Result};
use crate::services::Services;

/// What the product records about a run; the engine does not interpret it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct RunLabels {
    /// The title, such as "Back up orders".
    pub(crate) title: String,
    /// The name of the user, or `system`.
    pub(crate) started_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<InstanceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<ImageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image_name: Option<String>,
    /// The request, without secrets, so that the operation can be repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<serde_json::Value>,
}

/// Starts a run in the platform's pool.
///
/// # Errors
/// [`Error::Conflict`] names the run that holds a lock which this one needs.
pub(crate) async fn start_run<W: Workflow>(
    services: &Services,
    tx: &mut sqlx::Transaction<'_, sqlx::Postgres>,
    input: &W,
    run: RunId,
    labels: &RunLabels,
) -> Result<()> {
    let labels = serde_json::to_value(labels)?;
    let options = StartOptions { id: Some(run.0), pool: services.platform_id().to_string(), labels };
    match workflow::start(tx, input, options).await {
        Ok(_) => Ok(()),
        Err(workflow::StartError::Locked { run: holder, .. }) => {
            let title = sqlx::query_scalar!(
                r#"select labels ->> 'title' as title from toygres.run where id = $1"#,
                holder.0
            )
            .fetch_optional(&mut **tx)
            .await?
            .flatten()
            .unwrap_or_else(|| holder.to_string());
            Err(Error::Conflict(format!(
                "Another run is using it: {title}. Wait until it ends, or cancel it."
            )))
        }
        Err(workflow::StartError::Database(error)) => Err(error.into()),
        Err(error) => Err(Error::Internal(error.into())),
    }
}
