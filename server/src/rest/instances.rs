//! `/api/instances`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use model::instance::{ExternalInstance, NewInstance};
use model::restore::RestorePlan;
use model::{ImageId, Instance};
use serde::Deserialize;

use super::{Body, Confirm, Path, Query, accepted};
use crate::auth::Somebody;
use crate::errors::{ErrorBody, Refusal};
use crate::router::App;

/// All instances.
#[utoipa::path(get, path = "/api/instances", tag = "instances", responses((status = 200, body = Vec<Instance>), (status = 401, body = ErrorBody)))]
pub(crate) async fn list(State(app): State<App>, _: Somebody) -> Result<Json<Vec<Instance>>, Refusal> {
    Ok(Json(control::instances::list(&app.services).await?))
}

/// One instance, by name or id.
#[utoipa::path(get, path = "/api/instances/{name}", tag = "instances", params(("name" = String, Path)),
    responses((status = 200, body = Instance), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<App>,
    _: Somebody,
    Path(name): Path<String>,
) -> Result<Json<Instance>, Refusal> {
    Ok(Json(control::instances::get(&app.services, &name).await?))
}

/// Makes an instance; with `source_image_id` it is restored from that image.
#[utoipa::path(post, path = "/api/instances", tag = "instances", request_body = NewInstance,
    responses((status = 202, body = super::Accepted), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn create(
    State(app): State<App>,
    Somebody(actor): Somebody,
    Body(new): Body<NewInstance>,
) -> Result<Response, Refusal> {
    Ok(accepted(control::instances::create(&app.services, &actor, new).await?))
}

/// Adds a server that exists already, after connecting to it.
#[utoipa::path(post, path = "/api/instances/external", tag = "instances", request_body = ExternalInstance,
    responses((status = 200, body = Instance), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn add(
    State(app): State<App>,
    Somebody(actor): Somebody,
    Body(new): Body<ExternalInstance>,
) -> Result<Json<Instance>, Refusal> {
    Ok(Json(control::instances::add_external(&app.services, &actor, new).await?))
}

/// Deletes an instance with its data; an external one is only forgotten. Needs sudo mode and the name again.
#[utoipa::path(delete, path = "/api/instances/{name}", tag = "instances", params(("name" = String, Path), ("confirm" = String, Query, description = "The instance's name")),
    responses((status = 202, body = super::Accepted), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn delete(
    State(app): State<App>,
    Somebody(actor): Somebody,
    Path(name): Path<String>,
    Query(confirm): Query<Confirm>,
) -> Result<Response, Refusal> {
    Ok(accepted(control::instances::delete(&app.services, &actor, &name, &confirm.confirm).await?))
}

/// Starts an instance that was stopped.
#[utoipa::path(post, path = "/api/instances/{name}/start", tag = "instances", params(("name" = String, Path)),
    responses((status = 202, body = super::Accepted), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn start(
    State(app): State<App>,
    Somebody(actor): Somebody,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    Ok(accepted(control::instances::start(&app.services, &actor, &name).await?))
}

/// Stops an instance.
#[utoipa::path(post, path = "/api/instances/{name}/stop", tag = "instances", params(("name" = String, Path)),
    responses((status = 202, body = super::Accepted), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn stop(
    State(app): State<App>,
    Somebody(actor): Somebody,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    Ok(accepted(control::instances::stop(&app.services, &actor, &name).await?))
}

/// The query of a plan.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanQuery {
    image: ImageId,
    major: Option<i32>,
    volume_bytes: Option<i64>,
    dns_label: Option<String>,
}

/// What a restore of an image into an instance of this name would do, and what stands in its way.
#[utoipa::path(get, path = "/api/instances/{name}/restore-plan", tag = "instances", params(("name" = String, Path), ("image" = uuid::Uuid, Query),
        ("major" = Option<i32>, Query), ("volume_bytes" = Option<i64>, Query), ("dns_label" = Option<String>, Query)),
    responses((status = 200, body = RestorePlan), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
pub(crate) async fn plan(
    State(app): State<App>,
    _: Somebody,
    Path(name): Path<String>,
    Query(query): Query<PlanQuery>,
) -> Result<Json<RestorePlan>, Refusal> {
    let target = control::Target {
        name: &name,
        major: query.major,
        volume_bytes: query.volume_bytes,
        dns_label: query.dns_label.as_deref(),
    };
    Ok(Json(control::instances::restore_plan(&app.services, query.image, target).await?))
}
