//! `/api/instances`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use model::instance::{ExternalInstance, NewInstance};
use model::restore::RestorePlan;
use model::{ImageId, Instance};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Accepted, Body, CommandErrors, Confirmation, Path, Query, QueryErrors, accepted};
use crate::auth::CurrentUser;
use crate::errors::ErrorResponse;
use crate::state::AppState;

/// List instances
#[utoipa::path(get, path = "/api/instances", tag = "instances",
    responses((status = 200, body = Vec<Instance>), QueryErrors))]
pub(crate) async fn list(
    State(app): State<AppState>,
    _: CurrentUser,
) -> Result<Json<Vec<Instance>>, ErrorResponse> {
    Ok(Json(control::instances::list(&app.services).await?))
}

/// Get an instance
///
/// By name or id.
#[utoipa::path(get, path = "/api/instances/{name}", tag = "instances", params(("name" = String, Path)),
    responses((status = 200, body = Instance), QueryErrors))]
pub(crate) async fn get(
    State(app): State<AppState>,
    _: CurrentUser,
    Path(name): Path<String>,
) -> Result<Json<Instance>, ErrorResponse> {
    Ok(Json(control::instances::get(&app.services, &name).await?))
}

/// Create an instance
///
/// With `source_image_id`, the instance is restored from that image.
#[utoipa::path(post, path = "/api/instances", tag = "instances", request_body = NewInstance,
    responses((status = 202, body = Accepted, description = "Started"), CommandErrors))]
pub(crate) async fn create(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Body(new): Body<NewInstance>,
) -> Result<Response, ErrorResponse> {
    Ok(accepted(control::commands::create_instance(&app.services, &actor, new).await?))
}

/// Connect an existing server
///
/// Adds the server as an external instance after a successful connection.
#[utoipa::path(post, path = "/api/instances/external", tag = "instances", request_body = ExternalInstance,
    responses((status = 200, body = Instance), CommandErrors))]
pub(crate) async fn connect(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Body(new): Body<ExternalInstance>,
) -> Result<Json<Instance>, ErrorResponse> {
    Ok(Json(control::commands::connect_instance(&app.services, &actor, new).await?))
}

/// Delete an instance
///
/// Deletes a managed instance with its data, and removes an external one from Toygres. Requires sudo mode and the
/// instance's name.
#[utoipa::path(delete, path = "/api/instances/{name}", tag = "instances", params(("name" = String, Path), Confirmation),
    responses((status = 202, body = Accepted, description = "Started"), CommandErrors))]
pub(crate) async fn delete(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Path(name): Path<String>,
    Query(confirmation): Query<Confirmation>,
) -> Result<Response, ErrorResponse> {
    let confirm = &confirmation.confirm;
    Ok(accepted(control::commands::delete_instance(&app.services, &actor, &name, confirm).await?))
}

/// Start an instance
#[utoipa::path(post, path = "/api/instances/{name}/start", tag = "instances", params(("name" = String, Path)),
    responses((status = 202, body = Accepted, description = "Started"), CommandErrors))]
pub(crate) async fn start(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Path(name): Path<String>,
) -> Result<Response, ErrorResponse> {
    Ok(accepted(control::commands::start_instance(&app.services, &actor, &name).await?))
}

/// Stop an instance
///
/// Disconnects all clients. No data is deleted.
#[utoipa::path(post, path = "/api/instances/{name}/stop", tag = "instances", params(("name" = String, Path)),
    responses((status = 202, body = Accepted, description = "Started"), CommandErrors))]
pub(crate) async fn stop(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Path(name): Path<String>,
) -> Result<Response, ErrorResponse> {
    Ok(accepted(control::commands::stop_instance(&app.services, &actor, &name).await?))
}

/// The settings of the new instance.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PlanQuery {
    /// The image to restore.
    #[param(value_type = uuid::Uuid)]
    image: ImageId,
    /// The major version; the image's if not given.
    major: Option<i32>,
    /// The size of the volume in bytes; derived from the image if not given.
    volume_bytes: Option<i64>,
    /// The DNS label of the instance's address.
    dns_label: Option<String>,
}

/// Check a restore
///
/// What a restore of an image into a new instance of this name would do, and which problems prevent it. Requires the role
/// operator.
#[utoipa::path(get, path = "/api/instances/{name}/restore-plan", tag = "instances",
    params(("name" = String, Path), PlanQuery),
    responses((status = 200, body = RestorePlan), CommandErrors))]
pub(crate) async fn plan(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Path(name): Path<String>,
    Query(query): Query<PlanQuery>,
) -> Result<Json<RestorePlan>, ErrorResponse> {
    let target = control::Target {
        name: &name,
        major: query.major,
        volume_bytes: query.volume_bytes,
        dns_label: query.dns_label.as_deref(),
    };
    Ok(Json(control::restore_plan::check(&app.services, &actor, query.image, target).await?))
}
