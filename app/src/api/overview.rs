//! What the overview shows.

use leptos::prelude::*;
use model::Place;
use model::overview::Overview;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// What the overview shows, and at the very start what there is to begin with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverviewPage {
    /// What is healthy, what runs, what needs a person.
    pub overview: Overview,
    /// Where instances will live.
    pub place: Place,
    /// Whether there is a store that new images go to.
    pub has_store: bool,
    /// The PostgreSQL versions that can be started there; fetched only while there is no instance.
    pub versions: Vec<String>,
}

/// What the overview shows.
#[server(prefix = "/api/fn", endpoint = "overview")]
pub async fn get_overview() -> Result<OverviewPage> {
    let (services, _) = super::caller(model::Role::Viewer)?;
    let overview = control::overview::get(&services).await?;
    let versions = if overview.instances.is_empty() {
        control::instances::versions(&services)
            .await?
            .into_iter()
            .map(|installed| installed.version)
            .collect()
    } else {
        Vec::new()
    };
    let has_store = control::stores::has_default(&services).await?;
    Ok(OverviewPage { overview, place: services.place(), has_store, versions })
}
