//! `/api/audit`.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use model::Actor;
use model::user::AuditRow;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{CommandErrors, Query};
use crate::auth::CurrentUser;
use crate::errors::ErrorResponse;
use crate::state::AppState;

/// Rows that are read at a time for an export.
const ROWS: i64 = 1000;

/// Which entries to return.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Only entries after this number.
    after: i64,
    /// `jsonl`: all entries, one JSON object a line.
    format: String,
}

/// Get the audit log
///
/// The oldest 1,000 entries after `after`, or all of them as JSON lines. Requires the role admin.
#[utoipa::path(get, path = "/api/audit", tag = "operations", params(AuditQuery),
    responses((status = 200, body = Vec<AuditRow>), CommandErrors))]
pub(crate) async fn list(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Query(query): Query<AuditQuery>,
) -> Result<Response, ErrorResponse> {
    let rows = control::commands::export_audit(&app.services, &actor, query.after, ROWS).await?;
    match query.format.as_str() {
        "jsonl" => Ok(export(app, actor, rows)),
        _ => Ok(Json(rows).into_response()),
    }
}

/// All entries from `first` on, streamed because they can be larger than memory.
fn export(app: AppState, actor: Actor, first: Vec<AuditRow>) -> Response {
    let lines = futures::stream::try_unfold(first, move |rows| {
        let (app, actor) = (app.clone(), actor.clone());
        async move {
            let Some(last) = rows.last().map(|row| row.id) else { return Ok::<_, std::io::Error>(None) };
            let mut text = String::new();
            for row in &rows {
                text.push_str(&serde_json::to_string(row)?);
                text.push('\n');
            }
            let next = control::commands::export_audit(&app.services, &actor, last, ROWS).await;
            Ok(Some((text, next.map_err(std::io::Error::other)?)))
        }
    });
    let kind = (header::CONTENT_TYPE, "application/jsonl; charset=utf-8");
    ([kind], axum::body::Body::from_stream(lines)).into_response()
}
