//! What everything here works with: the CMS, the platform, the keys.

use std::sync::Arc;

use anyhow::Context;
use model::{PlatformInfo, PlatformId, PlatformKind, RunId};
use platform::Platform;
use sqlx::PgPool;
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::secrets::Keyring;

/// How many changes a slow listener may be behind before it is told to fetch everything again.
const CHANGES: usize = 256;

/// What [`Services::open`] needs.
pub struct Config {
    /// The CMS, migrated.
    pub db: PgPool,
    /// Where instances and jobs live.
    pub platform: Arc<dyn Platform>,
    /// The keys that secrets are sealed with.
    pub keys: Keyring,
    /// The store that a new CMS begins with; none where a person has to add one.
    pub default_store_url: Option<String>,
    /// This program's version.
    pub app_version: &'static str,
}

/// The services; a clone is a handle to the same.
#[derive(Clone)]
pub struct Services(Arc<Inner>);

struct Inner {
    db: PgPool,
    platform: Arc<dyn Platform>,
    platform_id: PlatformId,
    keys: Keyring,
    app_version: &'static str,
    changes: broadcast::Sender<RunId>,
}

impl Services {
    /// Registers the platform, and the first store if there is none and one is named.
    ///
    /// # Errors
    /// The CMS does not answer.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let kind = config.platform.kind();
        let identity = config.platform.identity();
        let id = sqlx::query_scalar!(
            "insert into toygres.platform (id, kind, identity) values ($1, $2, $3)
             on conflict (kind, identity) do update set kind = excluded.kind returning id",
            Uuid::now_v7(),
            kind,
            identity
        )
        .fetch_one(&config.db)
        .await
        .context("register the platform")?;
        if let Some(url) = &config.default_store_url {
            sqlx::query!(
                "insert into toygres.store (id, name, url, is_default) select $1, 'default', $2, true
             where not exists (select from toygres.store) on conflict do nothing",
                Uuid::now_v7(),
                url
            )
            .execute(&config.db)
            .await
            .context("register the first store")?;
        }
        let inner = Inner {
            db: config.db,
            platform: config.platform,
            platform_id: PlatformId(id),
            keys: config.keys,
            app_version: config.app_version,
            changes: broadcast::channel(CHANGES).0,
        };
        let services = Self(Arc::new(inner));
        tokio::spawn(crate::runs::listen(services.0.db.clone(), services.0.changes.clone()));
        Ok(services)
    }

    /// The CMS.
    #[must_use]
    pub fn db(&self) -> &PgPool {
        &self.0.db
    }

    /// Where instances and jobs live.
    #[must_use]
    pub fn platform(&self) -> &Arc<dyn Platform> {
        &self.0.platform
    }

    /// The platform's row.
    #[must_use]
    pub fn platform_id(&self) -> PlatformId {
        self.0.platform_id
    }

    /// Where instances and jobs live, for people.
    #[must_use]
    pub fn place(&self) -> PlatformInfo {
        let platform = self.platform();
        let kind = platform.kind().parse().unwrap_or(PlatformKind::Local);
        PlatformInfo { kind, name: platform.place().to_owned() }
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &Keyring {
        &self.0.keys
    }

    /// This program's version.
    #[must_use]
    pub fn app_version(&self) -> &'static str {
        self.0.app_version
    }

    /// Runs that changed. A hint: whoever is told fetches again, and does so too when told that some were missed.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<RunId> {
        self.0.changes.subscribe()
    }
}
