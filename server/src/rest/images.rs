//! `/api/images`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use control::images::ImageQuery;
use model::image::NewImage;
use model::{Image, ImageDetail, ImageId, ImageStatus, InstanceId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Accepted, Body, CommandErrors, Confirmation, Path, Query, QueryErrors, accepted, paged};
use crate::auth::CurrentUser;
use crate::errors::ErrorResponse;
use crate::state::AppState;

/// Which images to list.
#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only images whose name, description or instance name contains this text.
    q: Option<String>,
    /// Only images with this status.
    status: Option<ImageStatus>,
    /// Only images of this instance.
    #[param(value_type = Option<uuid::Uuid>)]
    instance: Option<InstanceId>,
    /// `created`, `name`, `instance`, `size` or `rows`; a leading hyphen means descending.
    sort: String,
    /// The page, from 1.
    page: i64,
    /// Images per page; 200 if not given.
    per_page: i64,
}

/// List images
///
/// Newest first. The header `X-Total-Count` is the total number of images.
#[utoipa::path(get, path = "/api/images", tag = "images", params(ListQuery),
    responses((status = 200, body = Vec<Image>), QueryErrors))]
pub(crate) async fn list(
    State(app): State<AppState>,
    _: CurrentUser,
    Query(query): Query<ListQuery>,
) -> Result<Response, ErrorResponse> {
    let query = ImageQuery {
        search: query.q,
        status: query.status,
        instance: query.instance,
        descending: query.sort.starts_with('-'),
        sort: query.sort.trim_start_matches('-').to_owned(),
        page: query.page,
        per_page: if query.per_page == 0 { 200 } else { query.per_page },
    };
    Ok(paged(control::images::list(&app.services, query).await?))
}

/// Get an image
///
/// Includes the manifest.
#[utoipa::path(get, path = "/api/images/{id}", tag = "images", params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = ImageDetail), QueryErrors))]
pub(crate) async fn get(
    State(app): State<AppState>,
    _: CurrentUser,
    Path(id): Path<ImageId>,
) -> Result<Json<ImageDetail>, ErrorResponse> {
    Ok(Json(control::images::get(&app.services, id).await?))
}

/// Back up an instance
///
/// Creates an image of the instance.
#[utoipa::path(post, path = "/api/images", tag = "images", request_body = NewImage,
    responses((status = 202, body = Accepted, description = "Started"), CommandErrors))]
pub(crate) async fn create(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Body(new): Body<NewImage>,
) -> Result<Response, ErrorResponse> {
    Ok(accepted(control::commands::back_up(&app.services, &actor, new).await?))
}

/// Verify an image
///
/// Reads every byte of the image and compares it with its SHA-256.
#[utoipa::path(post, path = "/api/images/{id}/verify", tag = "images", params(("id" = uuid::Uuid, Path)),
    responses((status = 202, body = Accepted, description = "Started"), CommandErrors))]
pub(crate) async fn verify(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Path(id): Path<ImageId>,
) -> Result<Response, ErrorResponse> {
    Ok(accepted(control::commands::verify_image(&app.services, &actor, id).await?))
}

/// Delete an image
///
/// Requires sudo mode and the image's name.
#[utoipa::path(delete, path = "/api/images/{id}", tag = "images", params(("id" = uuid::Uuid, Path), Confirmation),
    responses((status = 202, body = Accepted, description = "Started"), CommandErrors))]
pub(crate) async fn delete(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Path(id): Path<ImageId>,
    Query(confirmation): Query<Confirmation>,
) -> Result<Response, ErrorResponse> {
    let started = control::commands::delete_image(&app.services, &actor, id, &confirmation.confirm).await?;
    Ok(accepted(started))
}
