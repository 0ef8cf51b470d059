//! Server functions of the restore wizard: what would happen, and doing it.

use leptos::prelude::*;
use model::restore::RestorePlan;
use model::{ImageDetail, ImageId};
use serde::{Deserialize, Serialize};

use crate::error::Result;
#[cfg(feature = "ssr")]
use crate::error::UiError;

/// The wizard's page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestoreView {
    /// The image.
    pub image: ImageDetail,
    /// The name that the address has, or one that is free.
    pub name: String,
    /// What would happen, once a name was given.
    pub plan: Option<RestorePlan>,
}

/// What a restore of an image would do; with a name, what stands in its way.
#[server(prefix = "/api/fn", endpoint = "restore-plan")]
pub async fn get_restore(id: ImageId, name: String) -> Result<RestoreView> {
    let (services, _) = super::caller(model::Role::Viewer)?;
    let image = control::images::get(&services, id).await?;
    if name.is_empty() {
        let names = control::instances::list(&services).await?;
        let stem: String = image.image.instance_name.chars().take(52).collect();
        let free = (1..1000)
            .map(|n| if n == 1 { format!("{stem}-restored") } else { format!("{stem}-restored-{n}") })
            .find(|name| !names.iter().any(|instance| instance.name == *name));
        return Ok(RestoreView { image, name: free.unwrap_or_default(), plan: None });
    }
    let plan = control::instances::restore_plan(&services, id, &name).await?;
    Ok(RestoreView { image, name, plan: Some(plan) })
}

/// Starts the restore, then shows the run.
#[server(prefix = "/api/fn", endpoint = "restore-image")]
pub async fn restore_image(id: ImageId, name: String) -> Result<()> {
    let (services, actor) = super::caller(model::Role::Operator)?;
    let new =
        model::instance::NewInstance { name: name.clone(), source_image_id: Some(id), ..Default::default() };
    let started = control::instances::create(&services, &actor, new)
        .await
        .map_err(|error| UiError::from(error).typed([("name", &*name)]))?;
    leptos_axum::redirect(&format!("/runs/{}", started.run_id));
    Ok(())
}
