//! `/api/platform`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Accepted, Body, CommandErrors, accepted};
use crate::auth::CurrentUser;
use crate::errors::ErrorResponse;
use crate::state::AppState;

/// A test of the platform.
#[derive(Default, Deserialize, ToSchema)]
pub(crate) struct NewTest {
    /// The number of log lines that the job writes; 10 if not given.
    lines: Option<u64>,
}

/// Test the platform
///
/// Runs a job that writes log lines, which shows that jobs start, are followed and end.
#[utoipa::path(post, path = "/api/platform/test", tag = "platform", request_body = NewTest,
    responses((status = 202, body = Accepted, description = "Started"), CommandErrors))]
pub(crate) async fn test(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    Body(new): Body<NewTest>,
) -> Result<Response, ErrorResponse> {
    Ok(accepted(control::commands::test_platform(&app.services, &actor, new.lines).await?))
}
