//! What the frame around every page shows.

use leptos::prelude::*;
use model::{Actor, Run};
use serde::{Deserialize, Serialize};

use crate::error::Result;
#[cfg(feature = "ssr")]
use crate::error::UiError;

/// What the frame around every page shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayoutData {
    /// Who is logged in.
    pub actor: Actor,
    /// How many instances there are.
    pub instances: i64,
    /// How many images there are.
    pub images: i64,
    /// How many runs wait for a person.
    pub needs_you: i64,
    /// The live runs.
    pub running: Vec<Run>,
}

/// Who is logged in.
#[server(prefix = "/api/fn", endpoint = "me")]
pub async fn get_current_user() -> Result<Actor> {
    Ok(super::caller(model::Role::Viewer)?.1)
}

/// What the frame around every page shows.
#[server(prefix = "/api/fn", endpoint = "frame")]
pub async fn get_layout() -> Result<LayoutData> {
    let (services, actor) = super::caller(model::Role::Viewer)?;
    let overview = control::overview::get(&services).await.map_err(UiError::from)?;
    Ok(LayoutData {
        actor,
        instances: overview.counts.instances,
        images: overview.counts.images,
        needs_you: overview.counts.runs_needing_you,
        running: overview.running,
    })
}
