//! The only reader of flags and environment. Every flag has a variable; `--help` says which.

mod accounts;
mod kubernetes;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use kubernetes::Kubernetes;
use platform::Secret;
use tracing_subscriber::EnvFilter;

pub(crate) use accounts::{RotateKey, Token, User};

/// Images of PostgreSQL instances, made and restored by point and click.
#[derive(Parser)]
#[command(name = "toygres-server", version)]
pub(crate) struct Cli {
    /// What to write to the log, such as `info` or `toygres_server=debug,info`.
    #[arg(long, env = "RUST_LOG", global = true, default_value = "info,sqlx::postgres::notice=warn")]
    log: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// What to log; a filter that cannot be read is `info`.
    pub(crate) fn log_filter(&self) -> EnvFilter {
        EnvFilter::try_new(&self.log).unwrap_or_else(|_| EnvFilter::new("info"))
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serves the dashboard and does the work, in one process.
    ///
    /// Without DATABASE_URL, Toygres keeps its state in a private PostgreSQL in the data directory, which it starts and stops.
    Standalone(Serve),
    /// Serves the dashboard and REST; workers run elsewhere. Needs DATABASE_URL.
    Api(Serve),
    /// Does the work; the dashboard is served elsewhere. Needs DATABASE_URL.
    Worker(Serve),
    /// Brings the CMS to this program's schema, and exits.
    Migrate(State),
    /// Accounts.
    #[command(subcommand)]
    User(User),
    /// Bearer tokens.
    #[command(subcommand)]
    Token(Token),
    /// Seals every secret anew with another key. Stop all servers first; start them with the new key.
    RotateKey(RotateKey),
}

/// Where Toygres' own state is.
#[derive(Args, Clone)]
pub(crate) struct State {
    /// The CMS; a private PostgreSQL in the data directory if not given.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Where everything of this machine is kept [default: ~/.local/share/toygres, as root /var/lib/toygres].
    #[arg(long, env = "TOYGRES_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The key that secrets are sealed with: 32 bytes in base64; a 0600 file in the data directory if not given.
    #[arg(long, env = "TOYGRES_ENCRYPTION_KEY", hide_env_values = true, value_name = "BASE64")]
    encryption_key: Option<String>,
    /// Whom PostgreSQL and jobs run as when Toygres is root.
    #[arg(long, env = "TOYGRES_RUN_AS", value_name = "USER")]
    pub(crate) run_as: Option<String>,
    /// More directories to look for PostgreSQL's programs in.
    #[arg(long, env = "TOYGRES_POSTGRES_BIN", value_delimiter = ':', value_name = "DIR")]
    pub(crate) postgres_bin: Vec<PathBuf>,
}

impl State {
    /// The data directory.
    pub(crate) fn data_dir(&self) -> anyhow::Result<PathBuf> {
        if let Some(dir) = &self.data_dir {
            return std::path::absolute(dir).context("resolve the data directory");
        }
        if rustix::process::geteuid().is_root() {
            return Ok(PathBuf::from("/var/lib/toygres"));
        }
        let home = std::env::home_dir().context("there is no home directory; name a --data-dir")?;
        Ok(home.join(".local/share/toygres"))
    }

    /// The key that was given.
    pub(crate) fn encryption_key(&self) -> Option<Secret> {
        self.encryption_key.clone().filter(|key| !key.is_empty()).map(Secret::new)
    }

    /// The file of the key that was not given.
    pub(crate) fn key_file(&self) -> anyhow::Result<PathBuf> {
        Ok(self.data_dir()?.join("encryption.key"))
    }
}

/// Where instances and jobs live.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlatformKind {
    /// On this machine.
    Local,
    /// In the cluster that this pod is in, or that KUBECONFIG names.
    Kubernetes,
}

/// How to serve.
#[derive(Args, Clone)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) state: State,
    /// Where instances and jobs live.
    #[arg(long, env = "TOYGRES_PLATFORM", default_value = "local")]
    pub(crate) platform: PlatformKind,
    /// Where to listen [default: 127.0.0.1:8080; a worker alone: nowhere]. A worker serves /health, /ready and /metrics.
    #[arg(long, env = "TOYGRES_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The address that people type: decides whether cookies are for https only [default: http at the listening address].
    #[arg(long, env = "TOYGRES_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// Proxies whose X-Forwarded-For is believed.
    #[arg(long, env = "TOYGRES_PROXIES", value_delimiter = ',', value_name = "IP")]
    pub(crate) proxies: Vec<IpAddr>,
    /// The first account; made if it is missing, never changed.
    #[arg(long, env = "TOYGRES_ADMIN_USERNAME", value_name = "NAME")]
    pub(crate) admin_username: Option<String>,
    /// Its password.
    #[arg(long, env = "TOYGRES_ADMIN_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    admin_password: Option<String>,
    /// The program that jobs run [default: toygres-agent beside this program].
    #[arg(long, env = "TOYGRES_AGENT", value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Where new images go in a new CMS [default: a directory in the data directory; on Kubernetes none, add one in the settings].
    #[arg(long, env = "TOYGRES_STORE", value_name = "URL")]
    store: Option<String>,
    /// The built site.
    #[arg(long, env = "LEPTOS_SITE_ROOT", default_value = "target/site", value_name = "DIR")]
    pub(crate) site_root: PathBuf,
    /// The directory of scripts and styles in it.
    #[arg(long, env = "LEPTOS_SITE_PKG_DIR", default_value = "pkg", hide = true)]
    pub(crate) site_pkg_dir: String,
    /// The name of scripts and styles.
    #[arg(long, env = "LEPTOS_OUTPUT_NAME", default_value = "toygres", hide = true)]
    pub(crate) output_name: String,
    #[command(flatten)]
    pub(crate) kubernetes: Kubernetes,
}

/// Where to listen unless told otherwise.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

impl Serve {
    /// Where to listen.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.listen.unwrap_or(LISTEN)
    }

    /// Whether somebody said where to listen.
    pub(crate) fn has_listen(&self) -> bool {
        self.listen.is_some()
    }

    /// Whether people reach it from this machine alone: it listens on loopback, or a port is forwarded to it.
    pub(crate) fn is_loopback(&self) -> bool {
        let forwarded = |url: &String| {
            let host = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
            host.is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host.as_str()))
        };
        self.listen().ip().is_loopback() || self.public_url.as_ref().is_some_and(forwarded)
    }

    /// The first store of a new CMS, where somebody said so.
    pub(crate) fn store(&self) -> Option<String> {
        self.store.clone().filter(|url| !url.is_empty())
    }

    /// The address that people type, without a slash at its end.
    pub(crate) fn public_url(&self) -> anyhow::Result<String> {
        let url = self.public_url.clone().unwrap_or_else(|| format!("http://{}", self.listen()));
        let url = url.trim_end_matches('/').to_owned();
        let uri: http::Uri = url.parse().with_context(|| format!("read TOYGRES_PUBLIC_URL {url}"))?;
        let whole = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.path().len() <= 1
            && uri.host().is_some();
        anyhow::ensure!(
            whole,
            "TOYGRES_PUBLIC_URL is http://host[:port] or https://host[:port], without a path: {url}"
        );
        Ok(url)
    }

    /// Whether somebody said what people type.
    pub(crate) fn has_public_url(&self) -> bool {
        self.public_url.is_some()
    }

    /// The password of the first account.
    pub(crate) fn admin_password(&self) -> Option<Secret> {
        self.admin_password.clone().filter(|password| !password.is_empty()).map(Secret::new)
    }

    /// The agent's program.
    pub(crate) fn agent(&self) -> anyhow::Result<PathBuf> {
        match &self.agent {
            Some(agent) => Ok(agent.clone()),
            None => Ok(std::env::current_exe().context("find this program")?.with_file_name("toygres-agent")),
        }
    }
}
