//! Login, logout, sudo and password-change endpoints. A browser gets redirects, a program gets JSON.

use std::time::Duration;

use axum::Form;
use axum::Json;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request, State};
use axum::http::header::{ACCEPT, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{self, HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use control::users::Client;
use serde::Deserialize;
use serde_json::json;
use tower_sessions::Session;
use utoipa::ToSchema;

use app::url::{query, safe_path};

use crate::auth::{CurrentUser, client_address};
use crate::device;
use crate::errors::{ErrorBody, ErrorResponse};
use crate::first_password;
use crate::rest::{Body, CommandErrors};
use crate::session::{self, ACCOUNT, EPOCH, NOW, SUDO_UNTIL};
use crate::state::AppState;

/// How long sudo mode lasts, in seconds.
const SUDO_SECONDS: i64 = 300;
/// The largest login form, in bytes.
const MAX_LOGIN_FORM: usize = 16 * 1024;
/// How long a client may take to send the login form.
const FORM_TIMEOUT: Duration = Duration::from_secs(15);

/// The form of `POST /login`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct LoginForm {
    username: String,
    #[schema(format = Password)]
    password: String,
    /// The path to redirect a browser to.
    #[serde(default)]
    next: String,
}

/// The confirmation of the password.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SudoForm {
    #[schema(format = Password)]
    password: String,
    /// The path to redirect a browser to.
    #[serde(default)]
    next: String,
}

/// The form of `POST /password`.
#[derive(Deserialize)]
pub(crate) struct PasswordForm {
    old: String,
    new: String,
    #[serde(default)]
    next: String,
}

/// Whether the client is a browser that opens a page.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// Log in
///
/// Sets the session cookie.
#[utoipa::path(post, path = "/login", tag = "session",
    request_body(content = LoginForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "Logged in"), (status = 303, description = "Logged in, for a browser"),
        (status = 400, body = ErrorBody, description = "Invalid form"),
        (status = 401, body = ErrorBody, description = "Incorrect user name or password"),
        (status = 429, body = ErrorBody, description = "Too many attempts"),
        (status = 503, body = ErrorBody, description = "The state database is unavailable")))]
pub(crate) async fn login(
    State(app): State<AppState>,
    session: Session,
    mut request: Request,
) -> Result<Response, ErrorResponse> {
    let is_page = wants_page(request.headers());
    let client = client(&app, request.extensions(), request.headers());
    DefaultBodyLimit::max(MAX_LOGIN_FORM).apply(&mut request);
    let form = tokio::time::timeout(FORM_TIMEOUT, Form::from_request(request, &())).await;
    let Ok(Ok(Form(LoginForm { username, password, next }))) = form else {
        return Err(ErrorResponse::new(
            StatusCode::BAD_REQUEST,
            "invalid",
            "Send username and password as a form.",
        ));
    };
    let next = safe_path(&next);
    let login = match control::users::authenticate(&app.services, &username, &password, &client).await {
        Ok(login) => login,
        Err(error) if is_page && !matches!(error, control::Error::Internal(_)) => {
            let name: String = username.chars().filter(|c| !c.is_control()).take(100).collect();
            let query = query([("error", error.code()), ("username", &name), ("next", next)]);
            return Ok(Redirect::to(&format!("/login?{query}")).into_response());
        }
        Err(control::Error::Invalid { message, .. }) => {
            return Err(ErrorResponse::new(StatusCode::BAD_REQUEST, "invalid", message));
        }
        Err(error) => return Err(error.into()),
    };
    let record = login.account;
    // The id changes at login, so that a planted one is useless.
    if session.id().is_some() {
        session.flush().await?;
    }
    session.insert(ACCOUNT, record.actor.user).await?;
    session.insert(EPOCH, record.auth_epoch).await?;
    let cookie = AppendHeaders([
        (SET_COOKIE, session::save(&session, app.https).await?),
        (SET_COOKIE, device::cookie(login.device, app.https)),
    ]);
    if is_page {
        let to = match record.must_change_password {
            true => format!("/password?{}", query([("next", next)])),
            false => next.to_owned(),
        };
        return Ok((cookie, Redirect::to(&to)).into_response());
    }
    let body = json!({ "username": record.actor.name, "role": record.actor.role, "must_change_password": record.must_change_password });
    Ok((cookie, Json(body)).into_response())
}

/// Log out
///
/// Ends the session and removes its cookie.
#[utoipa::path(post, path = "/logout", tag = "session",
    responses((status = 200, description = "Logged out"), (status = 303, description = "Logged out, for a browser"),
        (status = 503, body = ErrorBody, description = "The state database is unavailable")))]
pub(crate) async fn logout(
    State(app): State<AppState>,
    caller: Option<CurrentUser>,
    session: Session,
    headers: HeaderMap,
) -> Result<Response, ErrorResponse> {
    session.flush().await?;
    if let Some(CurrentUser(actor)) = caller {
        control::audit::record_outcome(&app.services, &actor, "logout", "session", "ok").await?;
    }
    let cookie = [(SET_COOKIE, session::removal_cookie(app.https))];
    Ok(match wants_page(&headers) {
        true => (cookie, Redirect::to("/login")).into_response(),
        false => (cookie, Json(json!({}))).into_response(),
    })
}

/// The session in sudo mode: its end in seconds since 1970, and the cookie with its new id.
struct Sudo {
    until: i64,
    cookie: String,
}

async fn enter_sudo(
    app: &AppState,
    session: &Session,
    actor: &model::Actor,
    password: &str,
    client: &Client,
) -> Result<Sudo, control::Error> {
    control::users::confirm_password(&app.services, actor, password, client).await?;
    let now: Option<i64> = session.get(NOW).await.map_err(|error| session::unavailable(&error))?;
    let until = now.unwrap_or_default() + SUDO_SECONDS;
    let entered = async {
        // The user may have logged out while the password was verified.
        if !session::renew(session, app.services.db()).await? {
            return Ok(None);
        }
        session.insert(SUDO_UNTIL, until).await?;
        session::save(session, app.https).await.map(Some)
    };
    match entered.await {
        Ok(Some(cookie)) => Ok(Sudo { until, cookie }),
        Ok(None) => Err(control::Error::Unauthenticated("The session has ended. Log in.")),
        Err(error) => Err(session::unavailable(&error)),
    }
}

/// The extractor of [`Client`].
pub(crate) struct Source(Client);

impl FromRequestParts<AppState> for Source {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Self::Rejection> {
        Ok(Self(client(app, &parts.extensions, &parts.headers)))
    }
}

/// Where a request comes from.
fn client(app: &AppState, extensions: &http::Extensions, headers: &HeaderMap) -> Client {
    Client { address: client_address(app, extensions, headers), device: device::token(headers, app.https) }
}

/// Confirms the password, from the form of the page.
pub(crate) async fn sudo(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    session: Session,
    Source(client): Source,
    Form(form): Form<SudoForm>,
) -> Result<Response, ErrorResponse> {
    let next = safe_path(&form.next);
    match enter_sudo(&app, &session, &actor, &form.password, &client).await {
        Ok(sudo) => Ok(([(SET_COOKIE, sudo.cookie)], Redirect::to(next)).into_response()),
        Err(error @ control::Error::Internal(_)) => Err(error.into()),
        Err(error) => {
            let query = query([("error", error.code()), ("next", next)]);
            Ok(Redirect::to(&format!("/sudo?{query}")).into_response())
        }
    }
}

/// Confirm the password
///
/// Allows destructive and revealing actions for 5 minutes. Sets a new session cookie.
#[utoipa::path(post, path = "/api/sudo", tag = "session", request_body = SudoForm,
    responses((status = 200, description = "In sudo mode, and until when"), CommandErrors,
        (status = 429, body = ErrorBody, description = "Too many attempts")))]
pub(crate) async fn api_sudo(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    session: Session,
    Source(client): Source,
    Body(form): Body<SudoForm>,
) -> Result<Response, ErrorResponse> {
    let sudo = enter_sudo(&app, &session, &actor, &form.password, &client).await?;
    let body = json!({ "sudo_until": chrono::DateTime::from_timestamp(sudo.until, 0) });
    Ok(([(SET_COOKIE, sudo.cookie)], Json(body)).into_response())
}

/// Changes the caller's own password, from the form of the page.
pub(crate) async fn password(
    State(app): State<AppState>,
    CurrentUser(actor): CurrentUser,
    session: Session,
    Source(client): Source,
    Form(form): Form<PasswordForm>,
) -> Result<Response, ErrorResponse> {
    let next = safe_path(&form.next);
    match control::users::change_own_password(&app.services, &actor, &form.old, &form.new, &client).await {
        Ok(epoch) => {
            if !session::renew(&session, app.services.db()).await? {
                return Ok(Redirect::to("/login").into_response());
            }
            session.insert(EPOCH, epoch).await?;
            let cookie = [(SET_COOKIE, session::save(&session, app.https).await?)];
            app.data_dir.as_deref().map(first_password::delete);
            let to = if next == "/password" { "/" } else { next };
            Ok((cookie, Redirect::to(to)).into_response())
        }
        Err(error @ control::Error::Internal(_)) => Err(error.into()),
        Err(error) => {
            let (code, field) = match &error {
                control::Error::Invalid { field: "old", .. } => ("unauthenticated", "old"),
                control::Error::Invalid { field: "new", .. } => ("same", "new"),
                control::Error::Invalid { .. } => ("short", "new"),
                other => (other.code(), "old"),
            };
            let query = query([("error", code), ("field", field), ("next", next)]);
            Ok(Redirect::to(&format!("/password?{query}")).into_response())
        }
    }
}
