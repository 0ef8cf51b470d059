//! Which stores this server checks, and which of their images.

use model::{Failure, FailureCode, StoreId};

use crate::error::{Error, Result};
use crate::services::Services;
use crate::stores::access;

/// A store to check.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) store: StoreId,
    /// The pool of this platform, if only its own images are checked; all images if none. Several platforms can share a state
    /// database, and the same path is another directory on another machine.
    pub(super) pool: Option<String>,
}

impl Scope {
    /// The name of the duty to do a check of this store.
    pub(super) fn duty(&self, check: &str) -> String {
        let pool = self.pool.as_ref().map(|pool| format!("/{pool}")).unwrap_or_default();
        format!("{check}/{}{pool}", self.store)
    }

    /// Opens the store. A directory must contain objects of its images.
    pub(super) async fn open(&self, services: &Services) -> Result<image::Store> {
        let store = access::existing(services, self.store).await?;
        self.ensure_mounted(services, &store).await?;
        Ok(store)
    }

    /// Fails if a directory contains none of its images: a volume that is not mounted is an empty directory.
    pub(super) async fn ensure_mounted(&self, services: &Services, store: &image::Store) -> Result<()> {
        if !store.is_directory() {
            return Ok(());
        }
        let prefixes = sqlx::query_scalar!(
            r#"select prefix as "prefix!" from toygres.image i where store = $1 and status = 'available'
                 and ($2::text is null or exists (select from toygres.run r where r.id = i.run and r.pool = $2))"#,
            self.store.0,
            self.pool
        )
        .fetch_all(services.db())
        .await?;
        for prefix in &prefixes {
            if !store.list(prefix).await?.is_empty() {
                return Ok(());
            }
        }
        if prefixes.is_empty() {
            return Ok(());
        }
        let detail = format!(
            "the directory contains none of the {} images that were written to it; the volume may not be mounted",
            prefixes.len()
        );
        Err(Error::Failed(Failure::new(FailureCode::StoreContainerMissing, detail).on(store.url())))
    }
}

/// All stores.
pub(super) async fn all(services: &Services) -> Result<Vec<Scope>> {
    let rows = sqlx::query!(
        r#"select id, (url like 'file:%' or url like 'pvc:%') and (select count(*) from toygres.platform) > 1 as "by_platform!"
           from toygres.store order by id"#
    )
    .fetch_all(services.db())
    .await?;
    let scope = |id, by_platform: bool| Scope {
        store: StoreId(id),
        pool: by_platform.then(|| services.platform_id().to_string()),
    };
    Ok(rows.into_iter().map(|row| scope(row.id, row.by_platform)).collect())
}

/// One store.
pub(super) async fn of(services: &Services, store: StoreId) -> Result<Scope> {
    let scope = all(services).await?.into_iter().find(|scope| scope.store == store);
    scope.ok_or_else(|| Error::NotFound("The store does not exist.".to_owned()))
}
