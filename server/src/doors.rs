//! The forms of the way in and out: log in, log out, the password again, another password. A browser is shown a page, a
//! program gets JSON.

use axum::Form;
use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use serde::Deserialize;
use serde_json::json;
use tower_sessions::Session;
use utoipa::ToSchema;

use crate::auth::{Somebody, escaped, peer};
use crate::errors::Refusal;
use crate::router::App;
use crate::serve::forget_first_password;
use crate::session::{ACCOUNT, EPOCH, SUDO_UNTIL};

/// How long sudo mode lasts, in seconds.
const SUDO: i64 = 300;

/// The form of `POST /login`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct LoginForm {
    username: String,
    #[schema(format = Password)]
    password: String,
    #[serde(default)]
    next: String,
}

/// The password again.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SudoForm {
    #[schema(format = Password)]
    password: String,
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

/// Whether a browser asks, and shows what is answered.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// A path of this site, whatever was sent.
fn safe(next: &str) -> &str {
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && !next.chars().any(char::is_control);
    if ours && !next.starts_with("/login") { next } else { "/" }
}

fn of_session(error: tower_sessions::session::Error) -> Refusal {
    tracing::warn!(%error, "a session cannot be written");
    control::Error::Unavailable("Toygres' own database does not answer. Try again in a moment.".to_owned())
        .into()
}

/// `POST /login`.
#[utoipa::path(post, path = "/login", tag = "session", request_body(content = LoginForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "Logged in: the cookie is set"), (status = 303, description = "The same, for a browser"),
        (status = 401, body = crate::errors::ErrorBody), (status = 429, body = crate::errors::ErrorBody)))]
pub(crate) async fn login(
    State(app): State<App>,
    session: Session,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let page = wants_page(&parts.headers);
    let address = peer(&app, &parts.extensions, &parts.headers);
    let form = Form::<LoginForm>::from_request(Request::from_parts(parts, body), &()).await;
    let Ok(Form(LoginForm { username, password, next })) = form else {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "invalid",
            "Send username and password as a form.",
        ));
    };
    let record = match control::users::authenticate(&app.services, &username, &password, &address.to_string())
        .await
    {
        Ok(record) => record,
        Err(error) if page => {
            let name: String = username.chars().filter(|c| !c.is_control()).take(100).collect();
            let code = error.code();
            if let control::Error::Internal(_) = &error {
                return Err(error.into());
            }
            let to = format!("/login?error={code}&username={}&next={}", escaped(&name), escaped(safe(&next)));
            return Ok(Redirect::to(&to).into_response());
        }
        Err(error) => return Err(error.into()),
    };
    // A new id: one that somebody had planted before is worth nothing.
    session.flush().await.map_err(of_session)?;
    session.insert(ACCOUNT, record.actor.user).await.map_err(of_session)?;
    session.insert(EPOCH, record.auth_epoch).await.map_err(of_session)?;
    session.save().await.map_err(of_session)?;
    if page {
        let to = if record.must_change_password {
            format!("/password?next={}", escaped(safe(&next)))
        } else {
            safe(&next).to_owned()
        };
        return Ok(Redirect::to(&to).into_response());
    }
    let body = json!({ "username": record.actor.name, "role": record.actor.role, "must_change_password": record.must_change_password });
    Ok(Json(body).into_response())
}

/// `POST /logout`.
#[utoipa::path(post, path = "/logout", tag = "session", responses((status = 200, description = "Logged out"), (status = 303, description = "The same, for a browser")))]
pub(crate) async fn logout(session: Session, headers: HeaderMap) -> Result<Response, Refusal> {
    session.flush().await.map_err(of_session)?;
    Ok(if wants_page(&headers) {
        Redirect::to("/login").into_response()
    } else {
        Json(json!({})).into_response()
    })
}

async fn enter_sudo(
    app: &App,
    session: &Session,
    actor: &model::Actor,
    password: &str,
) -> Result<i64, control::Error> {
    control::users::verify_password(&app.services, actor.user, password).await?;
    let until = Utc::now().timestamp() + SUDO;
    let entered = async {
        session.cycle_id().await?;
        session.insert(SUDO_UNTIL, until).await?;
        session.save().await
    };
    entered.await.map_err(|error: tower_sessions::session::Error| control::Error::Internal(error.into()))?;
    Ok(until)
}

/// `POST /sudo`: the form of the page.
pub(crate) async fn sudo(
    State(app): State<App>,
    Somebody(actor): Somebody,
    session: Session,
    Form(form): Form<SudoForm>,
) -> Result<Redirect, Refusal> {
    let next = safe(&form.next);
    match enter_sudo(&app, &session, &actor, &form.password).await {
        Ok(_) => Ok(Redirect::to(next)),
        Err(control::Error::Internal(cause)) => Err(control::Error::Internal(cause).into()),
        Err(error) => Ok(Redirect::to(&format!("/sudo?error={}&next={}", error.code(), escaped(next)))),
    }
}

/// `POST /api/sudo`.
#[utoipa::path(post, path = "/api/sudo", tag = "session", request_body = SudoForm,
    responses((status = 200, description = "In sudo mode; until when"), (status = 400, body = crate::errors::ErrorBody), (status = 413, body = crate::errors::ErrorBody), (status = 415, body = crate::errors::ErrorBody), (status = 422, body = crate::errors::ErrorBody), (status = 401, body = crate::errors::ErrorBody), (status = 429, body = crate::errors::ErrorBody)))]
pub(crate) async fn api_sudo(
    State(app): State<App>,
    Somebody(actor): Somebody,
    session: Session,
    body: Result<Json<SudoForm>, axum::extract::rejection::JsonRejection>,
) -> Result<Json<serde_json::Value>, Refusal> {
    let Json(form) = body?;
    let until = enter_sudo(&app, &session, &actor, &form.password).await?;
    Ok(Json(json!({ "sudo_until": chrono::DateTime::from_timestamp(until, 0) })))
}

/// `POST /password`: the caller's own.
pub(crate) async fn password(
    State(app): State<App>,
    Somebody(actor): Somebody,
    session: Session,
    Form(form): Form<PasswordForm>,
) -> Result<Redirect, Refusal> {
    let next = safe(&form.next);
    match control::users::change_own_password(&app.services, &actor, &form.old, &form.new).await {
        Ok(epoch) => {
            session.cycle_id().await.map_err(of_session)?;
            session.insert(EPOCH, epoch).await.map_err(of_session)?;
            session.save().await.map_err(of_session)?;
            app.data_dir.as_deref().map(forget_first_password);
            Ok(Redirect::to(if next == "/password" { "/" } else { next }))
        }
        Err(control::Error::Internal(cause)) => Err(control::Error::Internal(cause).into()),
        Err(error) => {
            let (code, field) = match &error {
                control::Error::Invalid { field: "old", .. } => ("unauthenticated", "old"),
                control::Error::Invalid { field: "new", .. } => ("same", "new"),
                control::Error::Invalid { .. } => ("short", "new"),
                other => (other.code(), "old"),
            };
            Ok(Redirect::to(&format!("/password?error={code}&field={field}&next={}", escaped(next))))
        }
    }
}
