//! Who is asking, and whether the request may come from where it comes from. It decides nothing about what is asked for.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use model::{Actor, UserId};
use tower_sessions::Session;

use crate::errors::Refusal;
use crate::router::App;
use crate::session::{ACCOUNT, EPOCH, SUDO_UNTIL};

/// Whoever asks; none when nobody is logged in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    pub(crate) actor: Option<Actor>,
    pub(crate) must_change_password: bool,
}

/// An argument of handlers that need somebody.
pub(crate) struct Somebody(pub(crate) Actor);

impl<S: Sync> FromRequestParts<S> for Somebody {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let caller = parts.extensions.get::<Caller>().and_then(|caller| caller.actor.clone());
        caller.map(Self).ok_or_else(Refusal::no_session)
    }
}

/// The address that a request came from; a proxy's word counts only if the proxy is known.
pub(crate) fn peer(app: &App, parts: &http::Extensions, headers: &HeaderMap) -> IpAddr {
    let direct =
        parts.get::<ConnectInfo<SocketAddr>>().map_or(IpAddr::from([127, 0, 0, 1]), |info| info.0.ip());
    if !app.proxies.contains(&direct) {
        return direct;
    }
    let forwarded = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
    // The last one that no known proxy wrote: what comes before it is the client's own claim.
    let mut hops =
        forwarded.unwrap_or_default().rsplit(',').filter_map(|hop| hop.trim().parse::<IpAddr>().ok());
    hops.find(|hop| !app.proxies.contains(hop)).unwrap_or(direct)
}

/// Finds out who asks: by bearer token, or by session.
pub(crate) async fn who(
    State(app): State<App>,
    session: Session,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match identify(&app, &session, request.headers()).await {
        Ok(caller) => caller,
        Err(refusal) => return refusal.into_response(),
    };
    if let Some(refused) = gate(&caller, &request) {
        return refused;
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

async fn identify(app: &App, session: &Session, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let bearer =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if let Some(token) = bearer {
        let actor = control::tokens::authenticate(&app.services, token.trim()).await?;
        return Ok(Caller { actor: Some(actor), must_change_password: false });
    }
    let unavailable = |error: tower_sessions::session::Error| {
        tracing::warn!(%error, "sessions cannot be read");
        Refusal::from(control::Error::Unavailable(
            "Toygres' own database does not answer. Try again in a moment.".to_owned(),
        ))
    };
    let Some(user) = session.get::<UserId>(ACCOUNT).await.map_err(unavailable)? else {
        return Ok(Caller::default());
    };
    let epoch: Option<i64> = session.get(EPOCH).await.map_err(unavailable)?;
    let Some(account) = control::users::by_id(&app.services, user).await? else {
        return Ok(Caller::default());
    };
    if Some(account.auth_epoch) != epoch {
        return Ok(Caller::default());
    }
    let until: i64 = session.get(SUDO_UNTIL).await.map_err(unavailable)?.unwrap_or(0);
    let actor = Actor { sudo: until > Utc::now().timestamp(), ..account.actor };
    Ok(Caller { actor: Some(actor), must_change_password: account.must_change_password })
}

/// What a request without the right to be here gets: 401 or 403 under /api, a way on for a page.
fn gate(caller: &Caller, request: &Request) -> Option<Response> {
    let path = request.uri().path();
    if path == "/login" || path == "/robots.txt" {
        return None;
    }
    let api = path.starts_with("/api/") || path == "/metrics";
    match &caller.actor {
        // A server function says itself where to log in.
        None if path.starts_with("/api/fn/") => None,
        None if api => Some(Refusal::no_session().into_response()),
        None => {
            let wanted = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            Some(Redirect::to(&format!("/login?next={}", escaped(wanted))).into_response())
        }
        Some(_) if caller.must_change_password && !before_the_change(path) => Some(if api {
            let words = "Change the one-time password first: open /password.";
            Refusal::new(StatusCode::FORBIDDEN, "password_must_change", words).into_response()
        } else {
            Redirect::to("/password").into_response()
        }),
        Some(_) => None,
    }
}

/// What somebody with a one-time password may do: change it, leave, and what that page itself asks for.
fn before_the_change(path: &str) -> bool {
    ["/password", "/logout", "/api/fn/me", "/api/fn/frame", "/api/events"].contains(&path)
}

/// A text as a value in a query.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                char::from(b).to_string()
            }
            b => format!("%{b:02X}"),
        })
        .collect()
}

/// Refuses what another site makes a browser send. A browser of these years says where a request comes from; what says
/// nothing is no browser, and gets only what a form of another site could not send.
pub(crate) async fn same_origin(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.method() == Method::GET || request.method() == Method::HEAD || is_ours(&app, &request) {
        return next.run(request).await;
    }
    let words = "This request does not come from a page of Toygres. Open the page and press the button there; programs send JSON or a bearer token.";
    Refusal::new(StatusCode::FORBIDDEN, "cross_site", words).into_response()
}

fn is_ours(app: &App, request: &Request) -> bool {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let site = header("sec-fetch-site");
    let origin = header("origin");
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        return false;
    }
    if origin.is_some_and(|origin| !app.origins(request.headers()).iter().any(|ours| ours == origin)) {
        return false;
    }
    if site.is_some() || origin.is_some() {
        return true;
    }
    let path = request.uri().path();
    let json = header("content-type")
        .is_some_and(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json"));
    let bearer = header("authorization").is_some_and(|value| value.starts_with("Bearer "));
    // DELETE is no form's method; without a body it has no type either.
    let bare_delete = request.method() == Method::DELETE;
    path == "/login"
        || bearer
        || (path.starts_with("/api/") && !path.starts_with("/api/fn/") && (json || bare_delete))
}
