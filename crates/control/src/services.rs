//! What every command and query needs: the state database, the platform and the keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use model::{PlatformId, PlatformInfo, RunId, StoreAuth};
use platform::Platform;
use sqlx::PgPool;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::network::NetworkAccess;
use crate::secrets::Keyring;

/// How many changes a slow listener may lag behind before it misses some.
const CHANGES: usize = 256;

/// What [`Services::open`] needs.
pub struct Config {
    /// The state database, migrated.
    pub db: PgPool,
    /// The platform of instances and jobs.
    pub platform: Arc<dyn Platform>,
    /// The key that secrets are sealed with.
    pub keys: Keyring,
    /// The address of the first store of a new state database, and how it is opened; none if an admin adds one.
    pub default_store: Option<(String, StoreAuth)>,
    /// What is kept for how long, and when images are verified.
    pub maintenance: Maintenance,
    /// Which addresses a host may have that a user typed.
    pub network: NetworkAccess,
    /// Whether backups and restores refuse PostgreSQL programs with known vulnerabilities.
    pub require_fixed_clients: bool,
    /// This program's version.
    pub app_version: &'static str,
}

/// What the periodic tasks keep for how long, and when they verify images.
#[derive(Clone, Copy, Debug)]
pub struct Maintenance {
    /// How many days log lines are kept.
    pub log_retention_days: i32,
    /// The size of all log lines in bytes, above which the oldest are deleted.
    pub max_log_bytes: i64,
    /// How many days ended runs are kept.
    pub run_retention_days: i32,
    /// How many days audit entries are kept, at least 400.
    pub audit_retention_days: i32,
    /// How many days after its last verification an image is verified again; 0 if never.
    pub verification_days: i32,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            log_retention_days: 90,
            max_log_bytes: 5 << 30,
            run_retention_days: 400,
            audit_retention_days: 400,
            verification_days: 7,
        }
    }
}

/// The services. Clones share them.
#[derive(Clone)]
pub struct Services {
    db: PgPool,
    inner: Arc<Inner>,
}

struct Inner {
    platform: Arc<dyn Platform>,
    platform_id: PlatformId,
    keys: Keyring,
    maintenance: Maintenance,
    network: NetworkAccess,
    require_fixed_clients: bool,
    app_version: &'static str,
    changes: broadcast::Sender<RunId>,
    /// The number of changes that were sent.
    change_count: AtomicU64,
    /// Tells the counts of processes apart.
    process: Uuid,
}

impl Services {
    /// Registers the platform and, in a new state database, the default store.
    ///
    /// # Errors
    /// The state database is unavailable.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let platform_id = register_platform(&config.db, &*config.platform).await?;
        if let Some((url, auth)) = &config.default_store {
            register_first_store(&config.db, url, auth).await?;
        }
        let inner = Inner {
            platform: config.platform,
            platform_id,
            keys: config.keys,
            maintenance: config.maintenance,
            network: config.network,
            require_fixed_clients: config.require_fixed_clients,
            app_version: config.app_version,
            changes: broadcast::channel(CHANGES).0,
            change_count: AtomicU64::new(0),
            process: Uuid::new_v4(),
        };
        Ok(Self { db: config.db, inner: Arc::new(inner) })
    }

    /// The same services with other connections to the state database.
    #[must_use]
    pub fn with_db(&self, db: PgPool) -> Self {
        Self { db, inner: Arc::clone(&self.inner) }
    }

    /// The state database.
    #[must_use]
    pub fn db(&self) -> &PgPool {
        &self.db
    }

    /// The platform of instances and jobs.
    #[must_use]
    pub fn platform(&self) -> &Arc<dyn Platform> {
        &self.inner.platform
    }

    /// The id of the platform's row.
    #[must_use]
    pub fn platform_id(&self) -> PlatformId {
        self.inner.platform_id
    }

    /// The kind and the name of the platform.
    #[must_use]
    pub fn place(&self) -> PlatformInfo {
        let platform = self.platform();
        PlatformInfo { kind: platform.kind(), name: platform.place().to_owned() }
    }

    /// The key that secrets are sealed with.
    #[must_use]
    pub fn keys(&self) -> &Keyring {
        &self.inner.keys
    }

    /// Which addresses a host may have that a user typed.
    pub(crate) fn network(&self) -> &NetworkAccess {
        &self.inner.network
    }

    /// What is kept for how long, and when images are verified.
    #[must_use]
    pub fn maintenance(&self) -> &Maintenance {
        &self.inner.maintenance
    }

    /// Whether backups and restores refuse PostgreSQL programs with known vulnerabilities.
    #[must_use]
    pub fn require_fixed_clients(&self) -> bool {
        self.inner.require_fixed_clients
    }

    /// This program's version.
    #[must_use]
    pub fn app_version(&self) -> &'static str {
        self.inner.app_version
    }

    /// The ids of runs that changed; the nil id means that any run may have changed. A listener fetches the run again, and
    /// all runs if it lagged. Nothing is sent unless [`changes::listen`](crate::changes::listen) runs.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<RunId> {
        self.inner.changes.subscribe()
    }

    /// How far the changes have come. What is read after this differs from what is read later only if the position does, too.
    /// Positions of different processes differ.
    #[must_use]
    pub fn change_position(&self) -> String {
        format!("{}-{}", self.inner.process.simple(), self.inner.change_count.load(Ordering::SeqCst))
    }

    pub(crate) fn send_change(&self, run: RunId) {
        // A listener that subscribes between the two lines sees the change twice, and never misses it.
        self.inner.change_count.fetch_add(1, Ordering::SeqCst);
        // Sending fails only if there is no listener, which is no error.
        let _ = self.inner.changes.send(run);
    }
}

async fn register_platform(db: &PgPool, platform: &dyn Platform) -> anyhow::Result<PlatformId> {
    let id = sqlx::query_scalar!(
        "insert into toygres.platform (id, kind, identity) values ($1, $2, $3)
         on conflict (kind, identity) do update set kind = excluded.kind returning id",
        Uuid::now_v7(),
        platform.kind().as_str(),
        platform.identity()
    )
    .fetch_one(db)
    .await
    .context("register the platform")?;
    Ok(PlatformId(id))
}

async fn register_first_store(db: &PgPool, url: &str, auth: &StoreAuth) -> anyhow::Result<()> {
    sqlx::query!(
        "insert into toygres.store (id, name, url, auth, is_default) select $1, 'default', $2, $3, true
         where not exists (select from toygres.store) on conflict do nothing",
        Uuid::now_v7(),
        url,
        serde_json::to_value(auth)?
    )
    .execute(db)
    .await
    .context("register the first store")?;
    Ok(())
}
