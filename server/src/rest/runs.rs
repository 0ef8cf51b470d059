//! `/api/runs`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use control::runs::RunQuery;
use model::log::changes_display;
use model::run::RunDetail;
use model::{ImageId, InstanceId, Level, LogFilter, LogLine, LogStretch, Run, RunId, RunState, WorkflowName};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{CommandErrors, Confirmation, Path, Query, QueryErrors, paged};
use crate::auth::CurrentUser;
use crate::errors::ErrorResponse;
use crate::state::AppState;

/// Lines that are read at a time for a download.
const DOWNLOAD_LINES: i64 = control::runs::MAX_LINES;

/// Which runs to list.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only runs in this state.
    state: Option<RunState>,
    /// Only runs of this workflow.
    workflow: Option<WorkflowName>,
    /// Only runs of this instance.
    #[param(value_type = Option<uuid::Uuid>)]
    instance: Option<InstanceId>,
    /// Only runs of this image.
    #[param(value_type = Option<uuid::Uuid>)]
    image: Option<ImageId>,
    /// Only runs that are running or rolling back.
    active: bool,
    /// Only runs whose title contains this text.
    q: Option<String>,
    /// The page, from 1.
    page: i64,
    /// Runs per page.
    per_page: i64,
}

/// List runs
///
/// Newest first. The header `X-Total-Count` is the total number of runs.
#[utoipa::path(get, path = "/api/runs", tag = "runs", params(ListQuery),
    responses((status = 200, body = Vec<Run>), QueryErrors))]
pub(crate) async fn list(
    State(app): State<AppState>,
    _: CurrentUser,
    Query(query): Query<ListQuery>,
) -> Result<Response, ErrorResponse> {
    let query = RunQuery {
        state: query.state,
        workflow: query.workflow,
        instance: query.instance,
        image: query.image,
        search: query.q,
        page: query.page,
        per_page: query.per_page,
        active: query.active,
    };
    Ok(paged(control::runs::list(&app.services, query).await?))
}

/// Get a run
///
/// Includes its steps.
#[utoipa::path(get, path = "/api/runs/{id}", tag = "runs", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = RunDetail), QueryErrors))]
pub(crate) async fn get(
    State(app): State<AppState>,
    _: CurrentUser,
    Path(id): Path<RunId>,
) -> Result<Json<RunDetail>, ErrorResponse> {
    Ok(Json(control::runs::get(&app.services, id).await?))
}

/// Which log lines to return.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// The first lines after this number.
    after: i64,
    /// The last lines before this number; overrides `after`.
    before: Option<i64>,
    /// The number of lines, from 1 to 1,000; 1,000 if not given.
    limit: Option<i64>,
    /// Only lines whose message contains this text, ignoring case.
    search: String,
    /// Only lines of this level and above.
    level: Option<Level>,
    /// `text`: all lines as a text file.
    format: String,
}

/// Get the log of a run
///
/// The header `X-Total-Count` is the number of all lines that match `search` and `level`.
#[utoipa::path(get, path = "/api/runs/{id}/log", tag = "runs", params(("id" = uuid::Uuid, Path), LogQuery),
    responses((status = 200, body = Vec<LogLine>), QueryErrors))]
pub(crate) async fn log(
    State(app): State<AppState>,
    _: CurrentUser,
    Path(id): Path<RunId>,
    Query(query): Query<LogQuery>,
) -> Result<Response, ErrorResponse> {
    if query.format == "text" {
        return download(app, id, query.after).await;
    }
    let filter = LogFilter { search: query.search, level: query.level.unwrap_or(Level::Debug) };
    let stretch = query.before.map_or(LogStretch::After(query.after.max(0)), LogStretch::Before);
    let limit = query.limit.unwrap_or(control::runs::MAX_LINES);
    let page = control::runs::log_page(&app.services, id, &filter, stretch, limit).await?;
    let total = (HeaderName::from_static("x-total-count"), page.matches.to_string());
    Ok(([total], Json(page.lines)).into_response())
}

/// The log as a text file, streamed because it can be larger than memory.
async fn download(app: AppState, id: RunId, after: i64) -> Result<Response, ErrorResponse> {
    control::runs::get(&app.services, id).await?;
    let chunks = futures::stream::try_unfold(after, move |after| {
        let app = app.clone();
        async move {
            let lines = control::runs::log(&app.services, id, after, DOWNLOAD_LINES)
                .await
                .map_err(std::io::Error::other)?;
            let Some(last) = lines.last().map(|line| line.n) else { return Ok::<_, std::io::Error>(None) };
            let text: String = lines.iter().map(format_line).collect();
            Ok(Some((text, last)))
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"run-{id}.log\"")),
    ];
    Ok((headers, axum::body::Body::from_stream(chunks)).into_response())
}

fn format_line(line: &LogLine) -> String {
    format!(
        "{} {} {:5} {} {}\n",
        line.n,
        line.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        line.level,
        escaped(&line.step),
        escaped(&line.message)
    )
}

/// The text with escapes for line breaks, terminal sequences and changes of direction, which lines of earlier versions may
/// contain: none of them adds or changes a line of the file.
fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if changes_display(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// A run.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunRef {
    /// Its id.
    run_id: uuid::Uuid,
}

/// Cancel a run
///
/// The run rolls back.
#[utoipa::path(post, path = "/api/runs/{id}/cancel", tag = "runs", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = RunRef, description = "The run that continues"), CommandErrors))]
pub(crate) async fn cancel(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Path(id): Path<RunId>,
) -> Result<Json<RunRef>, ErrorResponse> {
    control::commands::cancel_run(&app.services, &actor, id).await?;
    Ok(Json(RunRef { run_id: id.0 }))
}

/// Retry a run
///
/// Retries the rollback of a stuck run, or repeats a failed or cancelled run as a new one.
#[utoipa::path(post, path = "/api/runs/{id}/retry", tag = "runs", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = RunRef, description = "The run that continues"), CommandErrors))]
pub(crate) async fn retry(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Path(id): Path<RunId>,
) -> Result<Json<RunRef>, ErrorResponse> {
    let run = control::commands::retry_run(&app.services, &actor, id).await?;
    Ok(Json(RunRef { run_id: run.0 }))
}

/// Mark a stuck step as undone
///
/// For a step that a person rolled back by hand; the steps before it are rolled back. Requires sudo mode and the name of the
/// run's instance or image.
#[utoipa::path(post, path = "/api/runs/{id}/accept", tag = "runs", params(("id" = uuid::Uuid, Path), Confirmation),
    responses((status = 200, body = RunRef, description = "The run that continues"), CommandErrors))]
pub(crate) async fn accept(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Path(id): Path<RunId>,
    Query(confirmation): Query<Confirmation>,
) -> Result<Json<RunRef>, ErrorResponse> {
    control::commands::accept_run(&app.services, &actor, id, &confirmation.confirm).await?;
    Ok(Json(RunRef { run_id: id.0 }))
}
