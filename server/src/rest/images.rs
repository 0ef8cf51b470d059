//! `/api/images`.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderName;
use axum::response::{IntoResponse, Response};
use control::images::ImageQuery;
use model::image::NewImage;
use model::{Image, ImageDetail, ImageId, ImageStatus, InstanceId};
use serde::Deserialize;

use super::{Body, Confirm, Path, Query, accepted};
use crate::auth::Somebody;
use crate::errors::{ErrorBody, Refusal};
use crate::router::App;

/// Which images.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ListQuery {
    q: Option<String>,
    status: Option<ImageStatus>,
    instance: Option<InstanceId>,
    sort: String,
    page: i64,
    per_page: i64,
}

/// The catalogue, the newest first; how many there are in all is in `X-Total-Count`.
#[utoipa::path(get, path = "/api/images", tag = "images",
    params(("q" = Option<String>, Query), ("status" = Option<ImageStatus>, Query), ("instance" = Option<uuid::Uuid>, Query),
        ("sort" = Option<String>, Query, description = "created, name, instance, size, rows; with a hyphen before it the greatest first"),
        ("page" = Option<i64>, Query), ("per_page" = Option<i64>, Query)),
    responses((status = 200, body = Vec<Image>), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)))]
pub(crate) async fn list(
    State(app): State<App>,
    _: Somebody,
    Query(query): Query<ListQuery>,
) -> Result<Response, Refusal> {
    let query = ImageQuery {
        search: query.q,
        status: query.status,
        instance: query.instance,
        descending: query.sort.starts_with('-'),
        sort: query.sort.trim_start_matches('-').to_owned(),
        page: query.page,
        per_page: if query.per_page == 0 { 200 } else { query.per_page },
    };
    let page = control::images::list(&app.services, query).await?;
    Ok(([(HeaderName::from_static("x-total-count"), page.total.to_string())], Json(page.rows))
        .into_response())
}

/// One image with its manifest.
#[utoipa::path(get, path = "/api/images/{id}", tag = "images", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = ImageDetail), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(crate) async fn get(
    State(app): State<App>,
    _: Somebody,
    Path(id): Path<ImageId>,
) -> Result<Json<ImageDetail>, Refusal> {
    Ok(Json(control::images::get(&app.services, id).await?))
}

/// Copies an instance into an image.
#[utoipa::path(post, path = "/api/images", tag = "images", request_body = NewImage,
    responses((status = 202, body = super::Accepted), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn create(
    State(app): State<App>,
    Somebody(actor): Somebody,
    Body(new): Body<NewImage>,
) -> Result<Response, Refusal> {
    Ok(accepted(control::images::create(&app.services, &actor, new).await?))
}

/// Reads every byte of an image back.
#[utoipa::path(post, path = "/api/images/{id}/verify", tag = "images", params(("id" = uuid::Uuid, Path)),
    responses((status = 202, body = super::Accepted), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(crate) async fn verify(
    State(app): State<App>,
    Somebody(actor): Somebody,
    Path(id): Path<ImageId>,
) -> Result<Response, Refusal> {
    Ok(accepted(control::images::verify(&app.services, &actor, id).await?))
}

/// Deletes an image. Needs sudo mode and the name again.
#[utoipa::path(delete, path = "/api/images/{id}", tag = "images", params(("id" = uuid::Uuid, Path), ("confirm" = String, Query, description = "The image's name")),
    responses((status = 202, body = super::Accepted), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn delete(
    State(app): State<App>,
    Somebody(actor): Somebody,
    Path(id): Path<ImageId>,
    Query(confirm): Query<Confirm>,
) -> Result<Response, Refusal> {
    Ok(accepted(control::images::delete(&app.services, &actor, id, &confirm.confirm).await?))
}
