//! `/api/unused-objects`.

use axum::Json;
use axum::extract::State;
use model::UnusedPrefix;

use super::QueryErrors;
use crate::auth::CurrentUser;
use crate::errors::ErrorResponse;
use crate::state::AppState;

/// The most prefixes in a response.
const LIMIT: i64 = 1000;

/// List unused objects
///
/// The objects in all stores that no image uses, by prefix, the largest 1,000 first. A prefix is listed if it was seen twice, at
/// least a day apart. Toygres does not delete these objects: they may belong to images that this state database does not know.
#[utoipa::path(get, path = "/api/unused-objects", tag = "images",
    responses((status = 200, body = Vec<UnusedPrefix>), QueryErrors))]
pub(crate) async fn unused(
    State(app): State<AppState>,
    _: CurrentUser,
) -> Result<Json<Vec<UnusedPrefix>>, ErrorResponse> {
    Ok(Json(control::stores::unused_prefixes(&app.services, LIMIT).await?))
}
