//! Every address there is, and the layers that every request passes.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use app::{App as Pages, Notice, shell};
use axum::extract::{DefaultBodyLimit, FromRef, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Router, http};
use control::Services;
use futures::future::BoxFuture;
use leptos::prelude::*;
use leptos_axum::{LeptosRoutes, ResponseOptions, generate_route_list};
use model::Actor;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::services::{ServeDir, ServeFile};
use tower_sessions::cookie::SameSite;
use tower_sessions::cookie::time::Duration as CookieDuration;
use tower_sessions::{Expiry, SessionManagerLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::config::Serve;
use crate::errors::{Refusal, Said};
use crate::rest::{images, instances, place, runs};
use crate::{auth, doors, events, headers, metrics, openapi, session};

/// The largest body: forms and small JSON.
const LARGEST_BODY: usize = 256 * 1024;
/// How long an answer may take; streams are no answers that end.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

/// What handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) services: Services,
    pub(crate) stop: CancellationToken,
    pub(crate) streams: events::Streams,
    pub(crate) https: bool,
    pub(crate) proxies: Arc<Vec<IpAddr>>,
    pub(crate) data_dir: Option<Arc<Path>>,
    public_url: Arc<str>,
    url_was_given: bool,
    loopback: bool,
    leptos: LeptosOptions,
}

impl App {
    fn new(services: &Services, options: &Serve, public_url: &str, stop: CancellationToken) -> Self {
        let leptos = LeptosOptions::builder()
            .output_name(options.output_name.as_str())
            .site_root(options.site_root.display().to_string())
            .site_pkg_dir(options.site_pkg_dir.as_str())
            .build();
        Self {
            services: services.clone(),
            stop,
            streams: events::Streams::default(),
            https: public_url.starts_with("https://"),
            proxies: Arc::new(options.proxies.clone()),
            data_dir: options.state.data_dir().ok().map(Into::into),
            public_url: public_url.into(),
            url_was_given: options.has_public_url(),
            loopback: options.is_loopback(),
            leptos,
        }
    }

    /// The origins that are ours: the public address; on loopback by any of its names, at the port that was asked.
    pub(crate) fn origins(&self, headers: &HeaderMap) -> Vec<String> {
        let mut origins = vec![self.public_url.to_string()];
        // Nobody said what people type: the name that this request was sent to.
        if !self.url_was_given && !self.loopback {
            let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
            origins.push(format!("http://{host}"));
        }
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        if self.loopback && ["127.0.0.1", "localhost", "[::1]"].contains(&name) {
            origins.push(format!("http://{host}"));
        }
        origins
    }
}

impl FromRef<App> for LeptosOptions {
    fn from_ref(app: &App) -> Self {
        app.leptos.clone()
    }
}

/// Builds it.
pub(crate) fn build(
    services: &Services,
    options: &Serve,
    public_url: &str,
    stop: CancellationToken,
) -> Router {
    let app = App::new(services, options, public_url, stop);
    // Who asks is looked up for what depends on it: the rest is there while the CMS is away, too.
    let inside = Router::new()
        .merge(routes().split_for_parts().0)
        .merge(pages(&app))
        .fallback(no_page(&app))
        .layer(from_fn_with_state(app.clone(), auth::who))
        .layer(sessions(&app))
        .layer(from_fn(session::only_logging_out_removes));
    let outside = Router::new().merge(open_routes().split_for_parts().0).merge(files(options));
    Router::new()
        .merge(inside)
        .merge(outside)
        .method_not_allowed_fallback(wrong_method)
        .layer(CompressionLayer::new().compress_when(not_a_stream))
        .layer(from_fn_with_state(app.clone(), auth::same_origin))
        .layer(from_fn(within))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(RequestBodyLimitLayer::new(LARGEST_BODY))
        .layer(from_fn(in_our_words))
        .layer(from_fn_with_state(app.clone(), as_a_page))
        .layer(from_fn_with_state(app.clone(), headers::secure))
        .with_state(app)
}

/// The files of the built site.
fn files(options: &Serve) -> Router<App> {
    let site = options.site_root.join(&options.site_pkg_dir);
    Router::new()
        .nest_service(
            &format!("/{}", options.site_pkg_dir),
            ServeDir::new(site).precompressed_br().precompressed_gzip(),
        )
        .route_service("/favicon.svg", ServeFile::new(options.site_root.join("favicon.svg")))
}

/// What a worker alone serves: what watches over it, nothing that changes anything.
pub(crate) fn build_for_worker(
    services: &Services,
    options: &Serve,
    public_url: &str,
    stop: CancellationToken,
) -> Router {
    let app = App::new(services, options, public_url, stop);
    let inside = OpenApiRouter::new().routes(routes!(metrics::metrics)).split_for_parts().0;
    let inside = inside.route_layer(from_fn_with_state(app.clone(), auth::who)).route_layer(sessions(&app));
    inside
        .merge(open_routes().split_for_parts().0)
        .layer(from_fn(within))
        .layer(from_fn_with_state(app.clone(), headers::secure))
        .with_state(app)
}

fn sessions(app: &App) -> SessionManagerLayer<session::Store> {
    // Lax, so that a link from elsewhere finds one logged in; what changes anything is guarded by `same_origin`.
    SessionManagerLayer::new(session::Store(app.services.db().clone()))
        .with_name(if app.https { session::COOKIES.0 } else { session::COOKIES.1 })
        .with_secure(app.https)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_path("/")
        // How long it lasts is the store's to say; a cookie with every answer would bring back the session of a slow one.
        .with_expiry(Expiry::OnInactivity(CookieDuration::hours(session::LONGEST_HOURS.into())))
}

/// What programs use: each address, method and description comes from its handler, and the OpenAPI document from here.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(metrics::metrics))
        .routes(routes!(doors::login))
        .routes(routes!(doors::logout))
        .routes(routes!(doors::api_sudo))
        .routes(routes!(instances::list, instances::create))
        .routes(routes!(instances::add))
        .routes(routes!(instances::get, instances::delete))
        .routes(routes!(instances::start))
        .routes(routes!(instances::stop))
        .routes(routes!(instances::plan))
        .routes(routes!(images::list, images::create))
        .routes(routes!(images::get, images::delete))
        .routes(routes!(images::verify))
        .routes(routes!(place::test))
        .routes(routes!(runs::list))
        .routes(routes!(runs::get))
        .routes(routes!(runs::log))
        .routes(routes!(runs::cancel))
        .routes(routes!(runs::retry))
        .routes(routes!(runs::accept))
        .routes(routes!(events::run))
        .routes(routes!(events::all))
        .routes(routes!(openapi::document))
        .route("/api/fn/{*function}", any(server_function))
        .route("/api/{*rest}", any(|| async { Refusal::no_route() }))
}

/// The same for whom nobody needs to know.
pub(crate) fn open_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(metrics::health)).routes(routes!(metrics::ready))
}

async fn wrong_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This address takes other methods.")
}

/// The pages, and the forms that belong to two of them.
fn pages(app: &App) -> Router<App> {
    let routes = generate_route_list(Pages);
    let shell_options = app.leptos.clone();
    Router::new()
        .route("/sudo", post(doors::sudo))
        .route("/password", post(doors::password))
        .leptos_routes_with_context(app, routes, context(app), move || shell(shell_options.clone()))
}

/// The page that says that there is none. Leptos' own handler for this also serves files, and lends their answers whatever
/// the page at work on the same thread has said of its own so far: its policy, its status, its cookies.
fn no_page(app: &App) -> impl Fn(Request) -> BoxFuture<'static, Response> + Clone + Send + Sync + 'static {
    let options = app.leptos.clone();
    let render = leptos_axum::render_app_async_with_context(context(app), move || shell(options.clone()));
    move |request| {
        let page = render(request);
        Box::pin(async move {
            let mut response = page.await;
            if response.status() == StatusCode::OK {
                *response.status_mut() = StatusCode::NOT_FOUND;
            }
            response
        })
    }
}

async fn server_function(State(app): State<App>, request: Request) -> Response {
    leptos_axum::handle_server_fns_with_context(context(&app), request).await.into_response()
}

/// What pages and server functions find: the services, whoever asks, the notice; and the page's policy with its nonce.
fn context(app: &App) -> impl Fn() + Clone + Send + Sync + 'static {
    let app = app.clone();
    move || {
        provide_context(app.services.clone());
        let parts = use_context::<http::request::Parts>();
        let caller =
            parts.as_ref().and_then(|parts| parts.extensions.get::<Caller>().cloned()).unwrap_or_default();
        provide_context::<Option<Actor>>(caller.actor);
        if !app.https && !app.loopback {
            let words =
                "Passwords travel unencrypted here: put Toygres behind https and set TOYGRES_PUBLIC_URL.";
            provide_context(Notice(words.to_owned()));
        }
        let nonce = leptos::nonce::use_nonce();
        if let (Some(response), Some(nonce)) = (use_context::<ResponseOptions>(), nonce)
            && let Ok(policy) = HeaderValue::from_str(&headers::page_policy(&nonce))
        {
            response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
}

/// An answer that takes too long is given up; what was started goes on in its run.
async fn within(request: Request, next: Next) -> Response {
    if request.uri().path().ends_with("/events") {
        return next.run(request).await;
    }
    match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            "This took too long. Look whether it was done.",
        )
        .into_response(),
    }
}

/// A refusal in the shape that whoever asked can read: people who open a page get one.
async fn as_a_page(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let of_programs = path.starts_with("/api/") || ["/metrics", "/health", "/ready"].contains(&path);
    let is_page = !of_programs && doors::wants_page(request.headers());
    let is_asked_only = request.method() == http::Method::GET;
    let response = next.run(request).await;
    let Some(said) = response.extensions().get::<Said>().filter(|_| is_page) else { return response };
    let status = response.status();
    let reload = is_asked_only && status == StatusCode::SERVICE_UNAVAILABLE;
    let page = app::pages::errors::document(&app.leptos, status.as_u16(), said.code, &said.message, reload);
    let mut shown = (status, Html(page)).into_response();
    let policy = HeaderValue::from_static(headers::PLAIN_PAGE);
    shown.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    shown.headers_mut().extend(kept(response.headers()));
    shown
}

/// What of a refusal's headers is not about its shape.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let kept = [header::RETRY_AFTER, header::SET_COOKIE];
    let of = |name: &http::HeaderName| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
    kept.iter().flat_map(|name| of(name).into_iter().map(move |value| (name.clone(), value))).collect()
}

/// What a layer refuses by itself, in the shape of every other refusal.
async fn in_our_words(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let kind = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE && !kind.starts_with("application/json") {
        let words = "The body is larger than anything that is asked for here.";
        return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", words).into_response();
    }
    response
}

fn not_a_stream(_: StatusCode, _: http::Version, headers: &HeaderMap, _: &http::Extensions) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    !kind.starts_with("text/event-stream")
}
