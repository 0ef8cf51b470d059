//! Server functions of runs: list, get with log, cancel, retry, accept.

use leptos::prelude::*;
use model::page::Page;
use model::run::RunDetail;
use model::{LogFilter, LogPage, LogStretch, Run, RunId};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// The number of log lines in a page.
#[cfg(feature = "ssr")]
const LINES: i64 = 500;

/// The filter and page of the list, as in its address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFilter {
    /// A state, or empty.
    pub state: String,
    /// A workflow, or empty.
    pub workflow: String,
    /// The id of an instance, or empty.
    pub instance: String,
    /// The id of an image, or empty.
    pub image: String,
    /// A search text, or empty.
    pub search: String,
    /// The page, from 1.
    pub page: i64,
}

/// A run with the log lines that its page starts with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// The run.
    pub detail: RunDetail,
    /// The filter of its log.
    pub filter: LogFilter,
    /// A range of the matching lines.
    pub log: LogPage,
}

/// A page of runs.
#[server(prefix = "/api/fn", endpoint = "runs")]
pub async fn list_runs(filter: RunFilter) -> Result<Page<Run>> {
    let (services, _) = super::caller(model::Role::Viewer)?;
    let query = control::runs::RunQuery {
        state: filter.state.parse().ok(),
        workflow: filter.workflow.parse().ok(),
        instance: filter.instance.parse().ok(),
        image: filter.image.parse().ok(),
        search: Some(filter.search),
        page: filter.page,
        per_page: 25,
        active: false,
    };
    Ok(control::runs::list(&services, query).await?)
}

/// One run with a range of its log.
#[server(prefix = "/api/fn", endpoint = "run", input = leptos::server_fn::codec::Json)]
pub async fn get_run(id: RunId, filter: LogFilter, stretch: LogStretch) -> Result<RunView> {
    let (services, _) = super::caller(model::Role::Viewer)?;
    let detail = control::runs::get(&services, id).await?;
    let log = control::runs::log_page(&services, id, &filter, stretch, LINES).await?;
    Ok(RunView { detail, filter, log })
}

/// A range of a run's log.
#[server(prefix = "/api/fn", endpoint = "log", input = leptos::server_fn::codec::Json)]
pub async fn get_log(id: RunId, filter: LogFilter, stretch: LogStretch) -> Result<LogPage> {
    let (services, _) = super::caller(model::Role::Viewer)?;
    Ok(control::runs::log_page(&services, id, &filter, stretch, LINES).await?)
}

/// Starts a test job on the platform and redirects to its run.
#[server(prefix = "/api/fn", endpoint = "test-platform")]
pub async fn test_platform() -> Result<()> {
    let (services, actor) = super::caller(model::Role::Operator)?;
    let started = control::commands::test_platform(&services, &actor, None).await?;
    leptos_axum::redirect(&format!("/runs/{}", started.run_id));
    Ok(())
}

/// Cancels a run, which rolls it back.
#[server(prefix = "/api/fn", endpoint = "cancel-run")]
pub async fn cancel_run(id: RunId) -> Result<()> {
    let (services, actor) = super::caller(model::Role::Operator)?;
    control::commands::cancel_run(&services, &actor, id).await?;
    leptos_axum::redirect(&format!("/runs/{id}"));
    Ok(())
}

/// Retries a run, or the rollback of a stuck one, and redirects to the run.
#[server(prefix = "/api/fn", endpoint = "retry-run")]
pub async fn retry_run(id: RunId) -> Result<()> {
    let (services, actor) = super::caller(model::Role::Operator)?;
    let run = control::commands::retry_run(&services, &actor, id).await?;
    leptos_axum::redirect(&format!("/runs/{run}"));
    Ok(())
}

/// Marks the rollback of a stuck run as done by hand. Requires sudo mode and the name of the run's instance or image.
#[server(prefix = "/api/fn", endpoint = "accept-run")]
pub async fn accept_run(id: RunId, #[server(default)] confirm: String) -> Result<()> {
    let (services, actor) = super::caller(model::Role::Admin)?;
    let accepted = control::commands::accept_run(&services, &actor, id, &confirm).await;
    super::redirect_to_sudo(accepted).map_err(|error| error.with_input([("confirm", &*confirm)]))?;
    leptos_axum::redirect(&format!("/runs/{id}"));
    Ok(())
}
