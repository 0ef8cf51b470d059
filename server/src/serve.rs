//! Starting and stopping a server: everything in order, and in reverse order at its end.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use control::{Config, Keyring, Services};
use platform::Secret;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{PlatformKind, Serve};
use crate::embedded::Cms;
use crate::place::Place;
use crate::router;

/// How long requests that are under way may take once the server stops.
const LAST_ANSWERS: Duration = Duration::from_secs(8);

/// What this process does.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) http: bool,
    pub(crate) worker: bool,
}

impl Parts {
    fn alone(self) -> bool {
        self.http && self.worker
    }
}

/// The file in the data directory that tells the first password where there is no terminal.
const FIRST_PASSWORD: &str = "first-password";

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn run(options: Serve, parts: Parts) -> anyhow::Result<()> {
    check(&options, parts)?;
    let public_url = options.public_url()?;
    let data_dir = options.state.data_dir()?;
    // Held until the end: one server a data directory. A cluster and a CMS elsewhere are shared with others.
    let shared = options.platform == PlatformKind::Kubernetes && options.state.database_url.is_some();
    let lock = match parts.alone() && !shared {
        true => Some(platform::local::lock(&data_dir)?),
        false => None,
    };
    let listener = if parts.http || options.has_listen() { Some(listen(&options).await?) } else { None };
    let stop = CancellationToken::new();
    let signals = tokio::spawn(wait_for_signal(stop.clone()));
    let cms = Cms::open(&options.state).await?;
    let server = Server { options: &options, parts, public_url: &public_url, data_dir: &data_dir, stop };
    // However it ends, what was started for it is stopped.
    let served = server.serve(&cms, listener, lock.is_some()).await;
    signals.abort();
    cms.close().await;
    served
}

/// What must be given and is not.
fn check(options: &Serve, parts: Parts) -> anyhow::Result<()> {
    let shared = options.state.database_url.is_some();
    anyhow::ensure!(parts.alone() || shared, "api and worker need DATABASE_URL: they share one CMS");
    if options.platform == PlatformKind::Local {
        return Ok(());
    }
    options.kubernetes.config()?;
    // A file in a pod's data directory is lost with the pod, and with it every secret in the CMS.
    anyhow::ensure!(
        !shared || options.state.encryption_key().is_some(),
        "On Kubernetes, TOYGRES_ENCRYPTION_KEY must be given, the same to every server: without it the secrets in the CMS are lost with the pod. Put what `openssl rand -base64 32` prints into the Secret toygres-secrets, and keep a copy."
    );
    Ok(())
}

/// One server, configured.
struct Server<'a> {
    options: &'a Serve,
    parts: Parts,
    public_url: &'a str,
    data_dir: &'a Path,
    stop: CancellationToken,
}

impl Server<'_> {
    /// Opens everything and works; `only` says that no other server works on this CMS and platform.
    async fn serve(&self, cms: &Cms, listener: Option<TcpListener>, only: bool) -> anyhow::Result<()> {
        let services = self.open(cms, only).await?;
        let worker = async {
            if self.parts.worker {
                control::worker::run(services.clone(), worker_name(), self.stop.clone()).await
            } else {
                self.stop.cancelled().await;
                Ok(())
            }
        };
        let http = async {
            match listener {
                Some(listener) => self.answer(&services, listener).await,
                None => {
                    self.stop.cancelled().await;
                    Ok(())
                }
            }
        };
        // One half that ends by itself ends the other.
        let both = async |half: anyhow::Result<()>| {
            self.stop.cancel();
            half
        };
        let (worked, served) =
            tokio::join!(async { both(worker.await).await }, async { both(http.await).await });
        worked.and(served)
    }

    async fn open(&self, cms: &Cms, only: bool) -> anyhow::Result<Services> {
        let state = &self.options.state;
        let keys = Keyring::open(&cms.db, state.encryption_key().as_ref(), &state.key_file()?).await?;
        let place = Place::open(self.options, self.data_dir).await?;
        if self.parts.http {
            first_account(self.options, cms, self.data_dir).await?;
        }
        let services = Services::open(Config {
            db: cms.db.clone(),
            platform: place.platform(),
            keys,
            default_store_url: self.options.store().or_else(|| place.store_url()),
            app_version: env!("CARGO_PKG_VERSION"),
        })
        .await?;
        if self.parts.worker {
            if only {
                // The data directory's lock says that whoever held anything here is gone.
                control::worker::take_over(&services).await?;
            }
            place.resume().await;
        }
        Ok(services)
    }

    /// Answers until the stop, and then a little longer those who asked before it.
    async fn answer(&self, services: &Services, listener: TcpListener) -> anyhow::Result<()> {
        let stop = self.stop.clone();
        let app = if self.parts.http {
            let app = router::build(services, self.options, self.public_url, stop.clone());
            println!("Toygres is at {}", self.public_url);
            let _ = std::io::stdout().flush();
            app
        } else {
            router::build_for_worker(services, self.options, self.public_url, stop.clone())
        };
        let app = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
        let serving = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
        let patience = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_ANSWERS).await;
        };
        tokio::select! {
            served = serving.into_future() => served.context("serve"),
            // A client that never finishes its request does not keep the server.
            () = patience => Ok(()),
        }
    }
}

async fn listen(options: &Serve) -> anyhow::Result<TcpListener> {
    let address = options.listen();
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "Another program listens on {address} already. Stop it, or choose another address with --listen."
        ),
        _ => anyhow::anyhow!("listen on {address}: {error}. Choose another address with --listen."),
    })
}

async fn wait_for_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: what this server holds is handed over");
    stop.cancel();
}

fn worker_name() -> String {
    format!("{}/{}", rustix::system::uname().nodename().to_string_lossy(), std::process::id())
}

/// The account of the environment, or at the very first start one with a password made up, told once.
async fn first_account(options: &Serve, cms: &Cms, data_dir: &Path) -> anyhow::Result<()> {
    match (&options.admin_username, options.admin_password()) {
        (Some(name), Some(password)) => {
            control::users::ensure_admin(&cms.db, name, &password)
                .await
                .context("make the account of TOYGRES_ADMIN_USERNAME")?;
        }
        (None, None) => {
            if let Some((name, password)) = control::users::bootstrap_one_time(&cms.db).await? {
                tell(&name, &password, data_dir)?;
            }
        }
        _ => anyhow::bail!("TOYGRES_ADMIN_USERNAME and TOYGRES_ADMIN_PASSWORD go together: set both or none"),
    }
    Ok(())
}

/// Forgets the file that told the one-time password: it is true no more.
pub(crate) fn forget_first_password(data_dir: &Path) {
    match std::fs::remove_file(data_dir.join(FIRST_PASSWORD)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "the file first-password in the data directory cannot be removed");
        }
        _ => {}
    }
}

/// To the terminal; where there is none, to a file that nobody else can read. Never to a log.
fn tell(name: &str, password: &Secret, data_dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let words = format!("Log in as {name} with the one-time password {}\n", password.reveal());
    if std::io::stdout().is_terminal() {
        print!("{words}");
        return Ok(());
    }
    let path = data_dir.join(FIRST_PASSWORD);
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(words.as_bytes()).with_context(|| format!("write {}", path.display()))?;
    println!("The one-time password of {name} is in {}", path.display());
    Ok(())
}
