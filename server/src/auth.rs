//! Identifies the caller of a request and rejects requests from other sites. Permissions of the caller are checked by
//! `control`.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, OptionalFromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use model::{Actor, UserId};
use tower_sessions::Session;

use crate::errors::ErrorResponse;
use crate::session::{self, ACCOUNT, EPOCH, NOW, SUDO_UNTIL};
use crate::state::AppState;

/// The caller of a request; without an actor if not logged in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    pub(crate) actor: Option<Actor>,
    pub(crate) must_change_password: bool,
}

/// The extractor of handlers that require a login.
pub(crate) struct CurrentUser(pub(crate) Actor);

impl<S: Sync> FromRequestParts<S> for CurrentUser {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        let caller = parts.extensions.get::<Caller>().and_then(|caller| caller.actor.clone());
        caller.map(Self).ok_or_else(ErrorResponse::unauthenticated)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for CurrentUser {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        Ok(parts.extensions.get::<Caller>().and_then(|caller| caller.actor.clone()).map(Self))
    }
}

/// The client's address. X-Forwarded-For counts only if a trusted proxy sent the request.
pub(crate) fn client_address(app: &AppState, parts: &http::Extensions, headers: &HeaderMap) -> IpAddr {
    let direct = parts
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::from([127, 0, 0, 1]), |info| info.0.ip().to_canonical());
    let is_proxy = |address: &IpAddr| app.proxies.iter().any(|proxies| proxies.contains(address));
    if !is_proxy(&direct) {
        return direct;
    }
    // A proxy appends the address that it sees, to the last header or as a header of its own.
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    // The last address that no trusted proxy has: the client can forge those before it. Text that is no address ends the
    // search for the same reason.
    let mut hops = forwarded.iter().rev().map_while(|hop| parse_hop(hop.trim()));
    hops.find(|hop| !is_proxy(hop)).unwrap_or(direct)
}

/// The address in an entry of X-Forwarded-For, which some proxies write with a port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let address = hop.parse::<IpAddr>().ok();
    let address = address.or_else(|| hop.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    Some(address?.to_canonical())
}

/// The bearer token of a request.
pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Identifies the caller by bearer token or session and rejects requests that require a login.
pub(crate) async fn authenticate(
    State(app): State<AppState>,
    session: Session,
    mut request: Request,
    next: Next,
) -> Response {
    // Until the caller is known, and for the whole request if there is none.
    let network = control::users::network(client_address(&app, request.extensions(), request.headers()));
    let mut guest = app.guests.wait(network).await;
    let caller = match identify(&app, &session, request.headers()).await {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    if caller.actor.is_some() {
        guest = None;
    }
    if let Some(rejection) = require_login(&caller, &request) {
        return rejection;
    }
    // An event stream is limited on its own, and this turn would end before it begins.
    let turn = match &caller.actor {
        Some(actor) if !request.uri().path().ends_with("/events") => Some(app.turns.wait(actor.user).await),
        _ => None,
    };
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    drop((turn, guest));
    response
}

async fn identify(app: &AppState, session: &Session, headers: &HeaderMap) -> Result<Caller, ErrorResponse> {
    if let Some(token) = bearer_token(headers) {
        let actor = control::tokens::authenticate(&app.services, token).await?;
        return Ok(Caller { actor: Some(actor), must_change_password: false });
    }
    let Some(user) = session.get::<UserId>(ACCOUNT).await? else {
        return Ok(Caller::default());
    };
    let epoch: Option<i64> = session.get(EPOCH).await?;
    let Some(account) = control::users::by_id(&app.services, user).await? else {
        return Ok(Caller::default());
    };
    if Some(account.auth_epoch) != epoch {
        return Ok(Caller::default());
    }
    let until: i64 = session.get(SUDO_UNTIL).await?.unwrap_or(0);
    let now: Option<i64> = session.get(NOW).await?;
    let actor = Actor { sudo: now.is_some_and(|now| until > now), ..account.actor };
    Ok(Caller { actor: Some(actor), must_change_password: account.must_change_password })
}

/// The rejection of a request that requires a login, or a new password first: 401 or 403 under /api, a redirect for a page.
fn require_login(caller: &Caller, request: &Request) -> Option<Response> {
    let path = request.uri().path();
    if path == "/login" || path == "/robots.txt" {
        return None;
    }
    let is_api = path.starts_with("/api/") || path == "/metrics";
    match &caller.actor {
        // A server function redirects to the login page itself.
        None if path.starts_with("/api/fn/") => None,
        None if is_api => Some(ErrorResponse::unauthenticated().into_response()),
        None => {
            let next = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            Some(Redirect::to(&format!("/login?{}", app::url::query([("next", next)]))).into_response())
        }
        Some(_) if caller.must_change_password && !is_allowed_before_change(path) => Some(if is_api {
            let message = "Change the one-time password first: open /password.";
            ErrorResponse::new(StatusCode::FORBIDDEN, "password_must_change", message).into_response()
        } else {
            Redirect::to("/password").into_response()
        }),
        Some(_) => None,
    }
}

/// Whether a user with a one-time password may request this path: changing it, logging out, and what that page needs.
fn is_allowed_before_change(path: &str) -> bool {
    ["/password", "/logout", "/api/fn/me", "/api/fn/frame", "/api/events"].contains(&path)
}

/// Rejects requests that another site made a browser send. Browsers state the origin of a request. A request without one
/// does not come from a browser, and may only be of a kind that a form of another site cannot send.
pub(crate) async fn same_origin(State(app): State<AppState>, request: Request, next: Next) -> Response {
    if request.method() == Method::GET || request.method() == Method::HEAD || is_same_origin(&app, &request) {
        return next.run(request).await;
    }
    if let Err(error) = audit_cross_site(&app, request.headers(), request.uri().path()).await {
        return error.into_response();
    }
    let message = "The request does not come from a page of Toygres. Open the page and repeat the action there; programs send JSON or a bearer token.";
    ErrorResponse::new(StatusCode::FORBIDDEN, "cross_site", message).into_response()
}

/// Records the rejection if the request has a session or a token: its user was attacked. Others are too easy to send.
async fn audit_cross_site(app: &AppState, headers: &HeaderMap, path: &str) -> Result<(), ErrorResponse> {
    let session = session::of_request(app, headers);
    let Some(actor) = identify(app, &session, headers).await?.actor else { return Ok(()) };
    Ok(control::audit::record_outcome(&app.services, &actor, "request", path, "cross_site").await?)
}

fn is_same_origin(app: &AppState, request: &Request) -> bool {
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
    let is_json = header("content-type")
        .is_some_and(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json"));
    // A form cannot send DELETE, which has no content type without a body.
    let is_delete = request.method() == Method::DELETE;
    path == "/login"
        || bearer_token(request.headers()).is_some()
        || (path.starts_with("/api/") && !path.starts_with("/api/fn/") && (is_json || is_delete))
}
