//! Server functions about instances.

use leptos::prelude::*;
use model::Instance;

use crate::error::Result;

/// All instances.
#[server(prefix = "/api/fn", endpoint = "instances")]
pub async fn list_instances() -> Result<Vec<Instance>> {
    let (services, _) = super::caller(model::Role::Viewer)?;
    Ok(control::instances::list(&services).await?)
}
