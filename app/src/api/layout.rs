//! The data of the layout.

use leptos::prelude::*;
use model::{Actor, Run};
use serde::{Deserialize, Serialize};

use crate::error::Result;
#[cfg(feature = "ssr")]
use crate::error::UiError;

/// The data of the layout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayoutData {
    /// The current user.
    pub actor: Actor,
    /// The number of instances.
    pub instances: i64,
    /// The number of images.
    pub images: i64,
    /// The number of runs that need attention.
    pub needs_attention: i64,
    /// The active runs.
    pub running: Vec<Run>,
}

/// The current user.
#[server(prefix = "/api/fn", endpoint = "me")]
pub async fn get_current_user() -> Result<Actor> {
    Ok(super::caller(model::Role::Viewer)?.1)
}

/// The data of the layout.
#[server(prefix = "/api/fn", endpoint = "frame")]
pub async fn get_layout() -> Result<LayoutData> {
    let (services, actor) = super::caller(model::Role::Viewer)?;
    let overview = control::overview::get(&services).await.map_err(UiError::from)?;
    Ok(LayoutData {
        actor,
        instances: overview.counts.instances,
        images: overview.counts.images,
        needs_attention: overview.counts.runs_needing_attention,
        running: overview.running,
    })
}
