//! The data of the overview.

use leptos::prelude::*;
use model::PlatformInfo;
use model::overview::Overview;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// The data of the overview, including what its first-start page needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverviewPage {
    /// Instances, active runs, and what needs attention.
    pub overview: Overview,
    /// The platform of the instances.
    pub place: PlatformInfo,
    /// Whether a default store exists.
    pub has_store: bool,
    /// The installed PostgreSQL versions; empty if there are instances.
    pub versions: Vec<String>,
}

/// The data of the overview.
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
