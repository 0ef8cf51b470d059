//! Which stores this server checks, which of their images, and whether a directory is the one that the images were written to.

use model::{Failure, FailureCode, ImageId, StoreId};

use crate::error::{Error, Result};
use crate::services::Services;
use crate::stores::access;

/// A store to check.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(super) store: StoreId,
    /// Whether it is a directory or a mounted volume.
    is_directory: bool,
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
        self.ensure_mounted(services).await?;
        access::existing(services, self.store).await
    }

    /// Fails if a directory does not exist, or contains no object of its available images: a volume that is not mounted is an
    /// empty directory. A directory without available images may be missing or empty. Remote stores are not contacted.
    ///
    /// # Errors
    /// [`FailureCode::StoreContainerMissing`], or the store or the state database is unavailable.
    pub(crate) async fn ensure_mounted(&self, services: &Services) -> Result<()> {
        if !self.is_directory {
            return Ok(());
        }
        let prefixes = self.prefixes(services).await?;
        if prefixes.is_empty() {
            return Ok(());
        }
        let store = access::existing(services, self.store).await?;
        for prefix in &prefixes {
            if !store.list(prefix).await?.is_empty() {
                return Ok(());
            }
        }
        let detail = format!(
            "the directory contains none of the {} images that were written to it; the volume may not be mounted",
            prefixes.len()
        );
        Err(Error::Failed(Failure::new(FailureCode::StoreContainerMissing, detail).on(store.url())))
    }

    /// The prefixes of the available images.
    pub(super) async fn prefixes(&self, services: &Services) -> Result<Vec<String>> {
        let prefixes = sqlx::query_scalar!(
            r#"select prefix as "prefix!" from toygres.image i where store = $1 and status = 'available'
                 and ($2::text is null or exists (select from toygres.run r where r.id = i.run and r.pool = $2))"#,
            self.store.0,
            self.pool
        );
        Ok(prefixes.fetch_all(services.db()).await?)
    }
}

/// All stores.
pub(super) async fn all(services: &Services) -> Result<Vec<Scope>> {
    let rows = sqlx::query!(
        r#"select id, url like 'file:%' or url like 'pvc:%' as "is_directory!",
               (select count(*) from toygres.platform) > 1 as "is_shared!"
           from toygres.store order by id"#
    )
    .fetch_all(services.db())
    .await?;
    let scope = |id, is_directory: bool, is_shared: bool| Scope {
        store: StoreId(id),
        is_directory,
        pool: (is_directory && is_shared).then(|| services.platform_id().to_string()),
    };
    Ok(rows.into_iter().map(|row| scope(row.id, row.is_directory, row.is_shared)).collect())
}

/// One store.
pub(crate) async fn of(services: &Services, store: StoreId) -> Result<Scope> {
    let scope = all(services).await?.into_iter().find(|scope| scope.store == store);
    scope.ok_or_else(|| Error::NotFound("The store does not exist.".to_owned()))
}

/// The store of an image. The images of a directory are those of the platform that wrote this image.
pub(crate) async fn of_image(services: &Services, image: ImageId) -> Result<Scope> {
    let row = sqlx::query!(
        "select i.store, r.pool as \"pool?\" from toygres.image i left join toygres.run r on r.id = i.run where i.id = $1",
        image.0
    )
    .fetch_one(services.db())
    .await?;
    let scope = of(services, StoreId(row.store)).await?;
    let pool = scope.pool.map(|own| row.pool.unwrap_or(own));
    Ok(Scope { pool, ..scope })
}
