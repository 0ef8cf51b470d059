//! Starts and stops a server: opens everything in order, and closes it in reverse order.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use control::{Config, Keyring, NetworkAccess, Services};
use model::PlatformKind;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Serve;
use crate::open_platform::OpenPlatform;
use crate::state::AppState;
use crate::state_database::StateDatabase;
use crate::{connections, first_password, first_store, router, sweep};

/// How long requests in progress may take after the server was asked to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(8);

/// The parts of Toygres that this process runs.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) http: bool,
    pub(crate) worker: bool,
}

impl Parts {
    fn is_standalone(self) -> bool {
        self.http && self.worker
    }
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// The configuration is invalid, something cannot be opened, or serving fails.
pub(crate) async fn run(options: Serve, parts: Parts) -> anyhow::Result<()> {
    check(&options, parts)?;
    let data_dir = options.state.data_dir()?;
    // One server per data directory. A cluster with an external state database is shared with other servers.
    let is_shared = options.platform == PlatformKind::Kubernetes && options.state.database_url.is_some();
    let lock = match parts.is_standalone() && !is_shared {
        true => Some(platform::local::lock(&data_dir)?),
        false => None,
    };
    let listener = if parts.http || options.has_listen() { Some(listen(&options)?) } else { None };
    let stop = CancellationToken::new();
    let signals = tokio::spawn(cancel_on_signal(stop.clone()));
    let site = options.site_root.join(&options.site_pkg_dir);
    if parts.http && !site.is_dir() {
        let error = format!("{} does not exist", site.display());
        tracing::warn!(
            error,
            "the pages have no style and no script; set LEPTOS_SITE_ROOT to the built site"
        );
    }
    let database = StateDatabase::open(&options.state).await?;
    let server = Server { options: &options, parts, data_dir: &data_dir, stop };
    let served = server.serve(&database, listener, lock.is_some()).await;
    signals.abort();
    database.close().await;
    served
}

/// Rejects missing and invalid options before anything is opened.
fn check(options: &Serve, parts: Parts) -> anyhow::Result<()> {
    options.public_url(options.listen())?;
    options.store()?;
    let has_database = options.state.database_url.is_some();
    anyhow::ensure!(
        parts.is_standalone() || has_database,
        "DATABASE_URL is not set. `api` and `worker` share a state database: set it to the same URL for both."
    );
    if options.platform == PlatformKind::Local {
        return Ok(());
    }
    options.kubernetes.config()?;
    // A key file in the pod would be lost with the pod.
    anyhow::ensure!(
        !has_database || options.state.encryption_key().is_some(),
        "TOYGRES_ENCRYPTION_KEY is not set. On Kubernetes, all servers need the same key: without it, the secrets in the state database are lost with the pod. Put the output of `openssl rand -base64 32` into the Secret toygres-secrets and keep a copy."
    );
    Ok(())
}

/// A configured server.
struct Server<'a> {
    options: &'a Serve,
    parts: Parts,
    data_dir: &'a Path,
    stop: CancellationToken,
}

impl Server<'_> {
    /// Opens the services and works until the stop; `is_exclusive` says that no other server uses the state database and
    /// the platform.
    async fn serve(
        &self,
        database: &StateDatabase,
        listener: Option<TcpListener>,
        is_exclusive: bool,
    ) -> anyhow::Result<()> {
        let address = listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let services = self.open(database, address, is_exclusive).await?;
        let worker = async {
            if self.parts.worker {
                // Requests cannot keep the worker from renewing its leases.
                let services = services.with_db(database.worker_db.clone());
                control::worker::run(services, worker_name(), self.stop.clone()).await
            } else {
                self.stop.cancelled().await;
                Ok(())
            }
        };
        let http = async {
            match listener {
                Some(listener) => self.serve_http(&services, listener).await,
                None => {
                    self.stop.cancelled().await;
                    Ok(())
                }
            }
        };
        // If one part ends, the other is stopped.
        let then_stop = async |part: anyhow::Result<()>| {
            self.stop.cancel();
            part
        };
        let (worker, http) =
            tokio::join!(async { then_stop(worker.await).await }, async { then_stop(http.await).await });
        worker.and(http)
    }

    async fn open(
        &self,
        database: &StateDatabase,
        listener: Option<SocketAddr>,
        is_exclusive: bool,
    ) -> anyhow::Result<Services> {
        let state = &self.options.state;
        let keys = Keyring::open(&database.db, state.encryption_key().as_ref(), &state.key_file()?).await?;
        let platform = OpenPlatform::open(self.options, self.data_dir).await?;
        if self.parts.http {
            ensure_first_account(self.options, database, self.data_dir).await?;
        }
        let services = Services::open(Config {
            db: database.db.clone(),
            platform: platform.platform(),
            keys,
            default_store: first_store::of(self.options.store()?, &platform),
            maintenance: self.options.retention.maintenance(),
            network: NetworkAccess {
                allowed: self.options.allowed_networks.clone(),
                state_database: StateDatabase::address(state)?,
                listener,
            },
            require_fixed_clients: self.options.require_fixed_clients,
            app_version: env!("CARGO_PKG_VERSION"),
        })
        .await?;
        platform.make_store(&services).await?;
        if self.parts.worker {
            if is_exclusive {
                // The lock of the data directory proves that every earlier server has ended.
                control::worker::take_over(&services).await?;
            }
            platform.resume().await;
        }
        Ok(services)
    }

    /// Serves until the stop, then waits for requests in progress.
    async fn serve_http(&self, services: &Services, listener: TcpListener) -> anyhow::Result<()> {
        let (stop, address) = (self.stop.clone(), listener.local_addr()?);
        let public_url = self.options.public_url(address)?;
        let app = AppState::new(services, self.options, &public_url, stop.clone());
        let proxies = std::sync::Arc::clone(&app.proxies);
        let router = if self.parts.http {
            tokio::spawn(control::changes::listen(services.clone(), stop.clone()));
            tokio::spawn(sweep::run(services.db().clone(), stop.clone()));
            println!("Toygres is at {public_url}");
            router::build(app)
        } else {
            router::build_for_worker(app)
        };
        println!("Listening on {address}");
        let _ = std::io::stdout().flush();
        let deadline = async {
            stop.cancelled().await;
            tokio::time::sleep(SHUTDOWN_GRACE).await;
        };
        tokio::select! {
            served = connections::serve(listener, router, proxies, stop.clone()) => served?,
            // A client that never completes its request does not keep the server from stopping.
            () = deadline => {}
        }
        Ok(())
    }
}

fn listen(options: &Serve) -> anyhow::Result<TcpListener> {
    let address = options.listen();
    connections::listen(address).map_err(|error| {
        anyhow::anyhow!("cannot listen on {address}: {error}. Choose another address with --listen.")
    })
}

async fn cancel_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping; runs and jobs are handed over");
    stop.cancel();
}

fn worker_name() -> String {
    format!("{}/{}", rustix::system::uname().nodename().to_string_lossy(), std::process::id())
}

/// Creates the configured admin account or, if there is no account at all, one with a one-time password.
async fn ensure_first_account(
    options: &Serve,
    database: &StateDatabase,
    data_dir: &Path,
) -> anyhow::Result<()> {
    match (&options.admin_username, options.admin_password()) {
        (Some(name), Some(password)) => {
            control::users::ensure_admin(&database.db, name, &password)
                .await
                .context("create the account of TOYGRES_ADMIN_USERNAME")?;
        }
        (None, None) => {
            if let Some((name, password)) = control::users::bootstrap_one_time(&database.db).await? {
                first_password::announce(&name, &password, data_dir)?;
            }
        }
        _ => anyhow::bail!(
            "Only one of TOYGRES_ADMIN_USERNAME and TOYGRES_ADMIN_PASSWORD is set. Set both or neither."
        ),
    }
    Ok(())
}
