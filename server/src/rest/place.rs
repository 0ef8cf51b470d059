//! REST: the place where instances and jobs live.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Body, accepted};
use crate::auth::Somebody;
use crate::errors::{ErrorBody, Refusal};
use crate::router::App;

/// A test of jobs.
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct NewTest {
    /// How many lines the job says; 10 if not given.
    lines: Option<u64>,
}

/// Runs a job that does nothing but talk: shows that jobs start, are followed, and end.
#[utoipa::path(post, path = "/api/platform/test", tag = "platform", request_body = NewTest,
    responses((status = 202, body = super::Accepted), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody)))]
pub(crate) async fn test(
    State(app): State<App>,
    Somebody(actor): Somebody,
    Body(new): Body<NewTest>,
) -> Result<Response, Refusal> {
    Ok(accepted(control::place::test(&app.services, &actor, new.lines).await?))
}
