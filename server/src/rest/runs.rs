//! `/api/runs`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use control::runs::RunQuery;
use model::run::RunDetail;
use model::{ImageId, InstanceId, Level, LogFilter, LogLine, LogStretch, Run, RunId, RunState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Path, Query};
use crate::auth::Somebody;
use crate::errors::{ErrorBody, Refusal};
use crate::router::App;

/// Which runs.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ListQuery {
    state: Option<RunState>,
    workflow: Option<String>,
    instance: Option<InstanceId>,
    image: Option<ImageId>,
    active: bool,
    q: Option<String>,
    page: i64,
    per_page: i64,
}

/// Runs, the newest first; how many there are in all is in `X-Total-Count`.
#[utoipa::path(get, path = "/api/runs", tag = "runs",
    params(("state" = Option<RunState>, Query), ("workflow" = Option<String>, Query), ("instance" = Option<uuid::Uuid>, Query), ("image" = Option<uuid::Uuid>, Query),
        ("active" = Option<bool>, Query), ("q" = Option<String>, Query), ("page" = Option<i64>, Query), ("per_page" = Option<i64>, Query)),
    responses((status = 200, body = Vec<Run>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    _: Somebody,
    Query(query): Query<ListQuery>,
) -> Result<Response, Refusal> {
    let query = RunQuery {
        state: query.state,
        workflow: query.workflow.map(|name| name.replace('\0', "")),
        instance: query.instance,
        image: query.image,
        search: query.q,
        page: query.page,
        per_page: query.per_page,
        active: query.active,
    };
    let page = control::runs::list(&app.services, query).await?;
    Ok(([(HeaderName::from_static("x-total-count"), page.total.to_string())], Json(page.rows))
        .into_response())
}

/// One run with its steps.
#[utoipa::path(get, path = "/api/runs/{id}", tag = "runs", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = RunDetail), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<App>,
    _: Somebody,
    Path(id): Path<RunId>,
) -> Result<Json<RunDetail>, Refusal> {
    Ok(Json(control::runs::get(&app.services, id).await?))
}

/// Which lines, and how.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogQuery {
    after: i64,
    before: Option<i64>,
    limit: Option<i64>,
    search: String,
    level: Option<Level>,
    format: String,
}

/// Lines of a run's log: the first ones after a number, or the last ones before one; only those that pass, if a text or
/// a level is given. How many pass in all is in `X-Total-Count`. With `format=text` all of them, as a file.
#[utoipa::path(get, path = "/api/runs/{id}/log", tag = "runs",
    params(("id" = uuid::Uuid, Path), ("after" = Option<i64>, Query), ("before" = Option<i64>, Query),
        ("limit" = Option<i64>, Query, description = "1 to 10,000; 1,000 if not given"),
        ("search" = Option<String>, Query, description = "only lines with this in their text, in any case of letters"),
        ("level" = Option<Level>, Query, description = "only lines that are at least as grave"),
        ("format" = Option<String>, Query, description = "text: all lines as a file")),
    responses((status = 200, body = Vec<LogLine>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn log(
    State(app): State<App>,
    _: Somebody,
    Path(id): Path<RunId>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Refusal> {
    if query.format != "text" {
        let filter = LogFilter { search: query.search, level: query.level.unwrap_or(Level::Debug) };
        let stretch = query.before.map_or(LogStretch::After(query.after.max(0)), LogStretch::Before);
        let limit = query.limit.unwrap_or(1000);
        let page = control::runs::log_page(&app.services, id, &filter, stretch, limit).await?;
        let total = (HeaderName::from_static("x-total-count"), page.matches.to_string());
        return Ok(([total], Json(page.lines)).into_response());
    }
    control::runs::get(&app.services, id).await?;
    // A page of lines at a time: a log may be larger than memory is meant to be.
    let pages = futures::stream::try_unfold(query.after, move |after| {
        let app = app.clone();
        async move {
            let lines =
                control::runs::log(&app.services, id, after, 2000).await.map_err(std::io::Error::other)?;
            let Some(last) = lines.last().map(|line| line.n) else { return Ok::<_, std::io::Error>(None) };
            let text: String = lines.iter().map(as_text).collect();
            Ok(Some((text, last)))
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"run-{id}.log\"")),
    ];
    Ok((headers, axum::body::Body::from_stream(pages)).into_response())
}

fn as_text(line: &LogLine) -> String {
    format!(
        "{} {} {:5} {} {}\n",
        line.n,
        line.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        line.level,
        line.step,
        line.message
    )
}

/// The run that goes on.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunRef {
    /// Its id.
    run_id: uuid::Uuid,
}

/// Asks a run to turn back.
#[utoipa::path(post, path = "/api/runs/{id}/cancel", tag = "runs", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = RunRef), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn cancel(
    State(app): State<App>,
    Somebody(actor): Somebody,
    Path(id): Path<RunId>,
) -> Result<Json<RunRef>, Refusal> {
    control::runs::cancel(&app.services, &actor, id).await?;
    Ok(Json(RunRef { run_id: id.0 }))
}

/// Tries again: the undo of a stuck run, or in a new run what a failed one was to do.
#[utoipa::path(post, path = "/api/runs/{id}/retry", tag = "runs", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = RunRef), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn retry(
    State(app): State<App>,
    Somebody(actor): Somebody,
    Path(id): Path<RunId>,
) -> Result<Json<RunRef>, Refusal> {
    let run = control::runs::retry(&app.services, &actor, id).await?;
    Ok(Json(RunRef { run_id: run.0 }))
}

/// Takes the undo that a stuck run could not do as done by a person.
#[utoipa::path(post, path = "/api/runs/{id}/accept", tag = "runs", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = RunRef), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn accept(
    State(app): State<App>,
    Somebody(actor): Somebody,
    Path(id): Path<RunId>,
) -> Result<Json<RunRef>, Refusal> {
    control::runs::accept(&app.services, &actor, id).await?;
    Ok(Json(RunRef { run_id: id.0 }))
}
