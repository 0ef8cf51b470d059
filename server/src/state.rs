//! The state that all handlers share.

use std::path::Path;
use std::sync::Arc;

use axum::extract::FromRef;
use axum::http::{HeaderMap, header};
use control::Services;
use ipnet::IpNet;
use leptos::prelude::LeptosOptions;
use model::UserId;
use tokio_util::sync::CancellationToken;

use crate::config::Serve;
use crate::streams::Streams;
use crate::turns::Turns;

/// The most requests of one account that are processed at the same time.
const MAX_REQUESTS: usize = 8;
/// The most requests of one network that are processed at the same time without an account: more than its logins that wait, so
/// that further ones are refused at once.
const MAX_GUESTS: usize = 32;

/// What handlers need. Clones share it.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) services: Services,
    /// Cancelled when the server stops.
    pub(crate) stop: CancellationToken,
    pub(crate) streams: Streams,
    /// The requests of each account.
    pub(crate) turns: Turns<UserId>,
    /// The requests of each network whose caller is unknown.
    pub(crate) guests: Turns<String>,
    /// Whether users reach the server by HTTPS.
    pub(crate) https: bool,
    /// Whether users reach the server from this machine only.
    pub(crate) loopback: bool,
    /// The proxies whose X-Forwarded-For header is trusted.
    pub(crate) proxies: Arc<Vec<IpNet>>,
    pub(crate) data_dir: Option<Arc<Path>>,
    pub(crate) leptos: LeptosOptions,
    public_url: Arc<str>,
    has_public_url: bool,
}

impl AppState {
    pub(crate) fn new(
        services: &Services,
        options: &Serve,
        public_url: &str,
        stop: CancellationToken,
    ) -> Self {
        let leptos = LeptosOptions::builder()
            .output_name(options.output_name.as_str())
            .site_root(options.site_root.display().to_string())
            .site_pkg_dir(options.site_pkg_dir.as_str())
            .build();
        Self {
            services: services.clone(),
            stop,
            streams: Streams::default(),
            turns: Turns::new(MAX_REQUESTS),
            guests: Turns::new(MAX_GUESTS),
            https: public_url.starts_with("https://"),
            loopback: options.is_loopback(),
            proxies: Arc::new(options.proxies.clone()),
            data_dir: options.state.data_dir().ok().map(Into::into),
            leptos,
            public_url: public_url.into(),
            has_public_url: options.has_public_url(),
        }
    }

    /// The origins of this site for a request with these headers: the public URL, on loopback also every name of this
    /// machine, and without a configured public URL the host that the request names.
    pub(crate) fn origins(&self, headers: &HeaderMap) -> Vec<String> {
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let is_trusted = match self.loopback {
            true => ["127.0.0.1", "localhost", "[::1]"].contains(&name),
            false => !self.has_public_url,
        };
        let mut origins = vec![self.public_url.to_string()];
        origins.extend(is_trusted.then(|| format!("http://{host}")));
        origins
    }
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(state: &AppState) -> Self {
        state.leptos.clone()
    }
}
