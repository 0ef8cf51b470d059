//! The arguments of the commands that serve.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use ipnet::IpNet;
use model::PlatformKind;
use platform::Secret;

use super::kubernetes::Kubernetes;
use super::retention::Retention;
use super::state::StateOptions;

/// The default listening address.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// How to serve.
#[derive(Args, Clone)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) state: StateOptions,
    /// The platform of instances and jobs: this machine, or the cluster of this pod or of KUBECONFIG.
    #[arg(long, env = "TOYGRES_PLATFORM", default_value = "local", value_parser = platform_kind(), value_name = "KIND")]
    pub(crate) platform: PlatformKind,
    /// The listening address [default: 127.0.0.1:8080; none for `worker`, which serves /health, /ready and /metrics].
    ///
    /// Port 0 selects a free port, which is printed.
    #[arg(long, env = "TOYGRES_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The URL that users open; with https, cookies are sent over HTTPS only [default: http:// and the listening address].
    #[arg(long, env = "TOYGRES_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// The addresses or networks, such as 10.0.0.0/8, of the proxies whose X-Forwarded-For header is trusted.
    #[arg(long, env = "TOYGRES_PROXIES", value_delimiter = ',', value_parser = network, value_name = "IP[/PREFIX]")]
    pub(crate) proxies: Vec<IpNet>,
    /// The networks, such as 127.0.0.0/8, in which users may name hosts although Toygres does not connect to them by default:
    /// loopback, link-local, multicast, reserved and metadata addresses. Private networks are always allowed.
    #[arg(long, env = "TOYGRES_ALLOWED_NETWORKS", value_delimiter = ',', value_parser = network, value_name = "IP[/PREFIX]")]
    pub(crate) allowed_networks: Vec<IpNet>,
    /// The name of the first admin account, which is created if it does not exist.
    #[arg(long, env = "TOYGRES_ADMIN_USERNAME", value_name = "NAME")]
    pub(crate) admin_username: Option<String>,
    /// The password of the first admin account. An existing account is not changed.
    #[arg(long, env = "TOYGRES_ADMIN_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    admin_password: Option<String>,
    /// The program of jobs [default: toygres-agent in the directory of this program].
    #[arg(long, env = "TOYGRES_AGENT", value_name = "FILE")]
    agent: Option<PathBuf>,
    /// The default store of a new state database [default: a directory in the data directory; on Kubernetes none].
    #[arg(long, env = "TOYGRES_STORE", value_name = "URL")]
    store: Option<String>,
    #[command(flatten)]
    pub(crate) retention: Retention,
    /// Refuse backups and restores with PostgreSQL programs that have known vulnerabilities, instead of warning.
    #[arg(long, env = "TOYGRES_REQUIRE_FIXED_CLIENTS")]
    pub(crate) require_fixed_clients: bool,
    /// The directory of the built site. `worker` does not need it.
    #[arg(long, env = "LEPTOS_SITE_ROOT", default_value = "target/site", value_name = "DIR")]
    pub(crate) site_root: PathBuf,
    /// The directory of scripts and styles in the site.
    #[arg(long, env = "LEPTOS_SITE_PKG_DIR", default_value = "pkg", hide = true)]
    pub(crate) site_pkg_dir: String,
    /// The name of the script and the style sheet.
    #[arg(long, env = "LEPTOS_OUTPUT_NAME", default_value = "toygres", hide = true)]
    pub(crate) output_name: String,
    #[command(flatten)]
    pub(crate) kubernetes: Kubernetes,
}

impl Serve {
    /// The listening address.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.listen.unwrap_or(LISTEN)
    }

    /// Whether a listening address is given.
    pub(crate) fn has_listen(&self) -> bool {
        self.listen.is_some()
    }

    /// Whether users reach the server from this machine only: by a loopback address or a forwarded port.
    pub(crate) fn is_loopback(&self) -> bool {
        let is_forwarded = |url: &String| {
            let host = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
            host.is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host.as_str()))
        };
        self.listen().ip().is_loopback() || self.public_url.as_ref().is_some_and(is_forwarded)
    }

    /// The given default store of a new state database.
    ///
    /// # Errors
    /// The address has no scheme of a store.
    pub(crate) fn store(&self) -> anyhow::Result<Option<String>> {
        let given = self.store.as_ref().filter(|url| !url.is_empty());
        given
            .map(|url| control::stores::address(url).with_context(|| format!("TOYGRES_STORE {url}")))
            .transpose()
    }

    /// The URL that users open, without a trailing slash, of a server that listens on `address`.
    ///
    /// # Errors
    /// The given URL is invalid.
    pub(crate) fn public_url(&self, address: SocketAddr) -> anyhow::Result<String> {
        let url = self.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let url = url.trim_end_matches('/').to_owned();
        let uri: http::Uri = url.parse().with_context(|| format!("parse TOYGRES_PUBLIC_URL {url}"))?;
        let is_origin = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.path().len() <= 1
            && uri.host().is_some();
        anyhow::ensure!(
            is_origin,
            "TOYGRES_PUBLIC_URL {url} is invalid. Use http://host[:port] or https://host[:port] without a path."
        );
        Ok(url)
    }

    /// Whether a public URL is given.
    pub(crate) fn has_public_url(&self) -> bool {
        self.public_url.is_some()
    }

    /// The password of the first admin account.
    pub(crate) fn admin_password(&self) -> Option<Secret> {
        self.admin_password.clone().filter(|password| !password.is_empty()).map(Secret::from)
    }

    /// The program of jobs.
    pub(crate) fn agent(&self) -> anyhow::Result<PathBuf> {
        match &self.agent {
            Some(agent) => Ok(agent.clone()),
            None => Ok(std::env::current_exe().context("find this program")?.with_file_name("toygres-agent")),
        }
    }
}

/// Parses a network, or an address as the network that contains only it.
fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    address
        .or_else(|_| text.parse::<IpNet>())
        .map_err(|_| "expected an address or a network, such as 192.0.2.1 or 10.0.0.0/8".to_owned())
}

fn platform_kind() -> impl TypedValueParser<Value = PlatformKind> {
    PossibleValuesParser::new(PlatformKind::ALL.iter().map(|kind| kind.as_str()))
        .try_map(|text| text.parse::<PlatformKind>())
}
