//! Starting and stopping a server: everything in order, and in reverse order at its end.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use control::{Config, Keyring, Services};
use platform::Secret;
use platform::local::{LocalConfig, LocalPlatform};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Serve;
use crate::embedded::Cms;
use crate::router;

/// How long requests that are under way may take once the server stops.
const LAST_ANSWERS: Duration = Duration::from_secs(8);

/// What this process does.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) http: bool,
    pub(crate) worker: bool,
}

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn run(options: Serve, parts: Parts) -> anyhow::Result<()> {
    let alone = parts.http && parts.worker;
    anyhow::ensure!(
        alone || options.state.database_url.is_some(),
        "api and worker need DATABASE_URL: they share one CMS"
    );
    let public_url = options.public_url()?;
    let data_dir = options.state.data_dir()?;
    // Held until the end: one server a data directory.
    let _lock = match alone {
        true => Some(platform::local::lock(&data_dir)?),
        false => None,
    };
    let listener = if parts.http { Some(listen(&options).await?) } else { None };
    let stop = CancellationToken::new();
    let signals = tokio::spawn(wait_for_signal(stop.clone()));
    let cms = Cms::open(&options.state).await?;
    // However it ends, what was started for it is stopped.
    let served = serve(&options, parts, &public_url, &data_dir, &cms, listener, stop).await;
    signals.abort();
    cms.close().await;
    served
}

async fn serve(
    options: &Serve,
    parts: Parts,
    public_url: &str,
    data_dir: &std::path::Path,
    cms: &Cms,
    listener: Option<TcpListener>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let keys =
        Keyring::open(&cms.db, options.state.encryption_key().as_ref(), &options.state.key_file()?).await?;
    let config = LocalConfig {
        data_dir: data_dir.to_owned(),
        agent_program: options.agent()?,
        user: options.state.run_as.clone(),
        bin_dirs: options.state.postgres_bin.clone(),
    };
    let platform = Arc::new(LocalPlatform::open(config).await?);
    let default_store_url = options.store.clone().unwrap_or_else(|| platform.store_url());
    first_account(options, cms, data_dir).await?;
    let services = Services::open(Config {
        db: cms.db.clone(),
        platform: Arc::clone(&platform) as _,
        keys,
        default_store_url,
        app_version: env!("CARGO_PKG_VERSION"),
    })
    .await?;
    if parts.worker {
        if parts.http {
            // The data directory's lock says that whoever held anything here is gone.
            control::worker::take_over(&services).await?;
        }
        platform.resume().await;
    }
    let worker = async {
        if parts.worker {
            control::worker::run(services.clone(), worker_name(), stop.clone()).await
        } else {
            stop.cancelled().await;
            Ok(())
        }
    };
    let http = async {
        let Some(listener) = listener else {
            stop.cancelled().await;
            return Ok(());
        };
        let app = router::build(&services, options, public_url, stop.clone());
        println!("Toygres is at {public_url}");
        let _ = std::io::stdout().flush();
        let app = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
        let serving = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
        let patience = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_ANSWERS).await;
        };
        tokio::select! {
            served = serving => served.context("serve"),
            // A client that never finishes its request does not keep the server.
            () = patience => Ok(()),
        }
    };
    // One half that ends by itself ends the other.
    let both = async |half: anyhow::Result<()>| {
        stop.cancel();
        half
    };
    let (worked, served) = tokio::join!(async { both(worker.await).await }, async { both(http.await).await });
    worked.and(served)
}

async fn listen(options: &Serve) -> anyhow::Result<TcpListener> {
    TcpListener::bind(options.listen).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "Another program listens on {} already. Stop it, or choose another address with --listen.",
            options.listen
        ),
        _ => anyhow::anyhow!("listen on {}: {error}. Choose another address with --listen.", options.listen),
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
async fn first_account(options: &Serve, cms: &Cms, data_dir: &std::path::Path) -> anyhow::Result<()> {
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

/// To the terminal; where there is none, to a file that nobody else can read. Never to a log.
fn tell(name: &str, password: &Secret, data_dir: &std::path::Path) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let words = format!("Log in as {name} with the one-time password {}\n", password.reveal());
    if std::io::stdout().is_terminal() {
        print!("{words}");
        return Ok(());
    }
    let path = data_dir.join("first-password");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    file.write_all(words.as_bytes()).with_context(|| format!("write {}", path.display()))?;
    println!("The one-time password of {name} is in {}", path.display());
    Ok(())
}
