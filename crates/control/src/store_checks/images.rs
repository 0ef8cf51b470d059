//! The daily check of images: whether every object exists with its size, and the manifest is the one that was written.

use model::{Failure, FailureCode, ImageId};

use super::scope::Scope;
use crate::audit::{self, Author};
use crate::error::Result;
use crate::images::damage;
use crate::services::Services;

/// An image to check.
struct Due {
    id: ImageId,
    prefix: String,
    manifest_sha256: Option<String>,
}

/// Checks a part of the images whose last check is a day ago, so that the requests are spread over the day.
///
/// # Errors
/// The store or the state database is unavailable. The images that were not checked are due again.
pub(super) async fn check_due(services: &Services, scope: &Scope) -> Result<()> {
    let due = due(services, scope).await?;
    if due.is_empty() {
        return Ok(());
    }
    let store = scope.open(services).await?;
    // One after the other: the manifests of large images need memory.
    for image in due {
        check(services, scope, &store, image).await?;
    }
    Ok(())
}

async fn due(services: &Services, scope: &Scope) -> Result<Vec<Due>> {
    let rows = sqlx::query!(
        r#"select id as "id: ImageId", prefix as "prefix!", manifest_sha256 from toygres.image i
           where store = $1 and status = 'available'
             and coalesce(greatest(objects_checked_at, verified_at), created_at) < clock_timestamp() - interval '1 day'
             and ($2::text is null or exists (select from toygres.run r where r.id = i.run and r.pool = $2))
           order by coalesce(greatest(objects_checked_at, verified_at), created_at)
           limit (select greatest(10, count(*) / 100) from toygres.image where store = $1 and status = 'available')"#,
        scope.store.0,
        scope.pool
    )
    .fetch_all(services.db())
    .await?;
    let due = |(id, prefix, manifest_sha256)| Due { id, prefix, manifest_sha256 };
    Ok(rows.into_iter().map(|row| due((row.id, row.prefix, row.manifest_sha256))).collect())
}

async fn check(services: &Services, scope: &Scope, store: &image::Store, image: Due) -> Result<()> {
    match store.check_objects(&image.prefix, image.manifest_sha256.as_deref()).await {
        Ok(()) => record(services, image.id).await,
        // It must not keep the other images from being checked.
        Err(error) if error.code() == FailureCode::ImageUnsupported => {
            tracing::warn!(image = %image.id, %error, "an image cannot be checked by this version");
            record(services, image.id).await
        }
        Err(error) if damage::is_damage(error.code().as_str()) => {
            scope.ensure_mounted(services).await?;
            mark(services, image.id, &error.failure()).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Records that an image was checked.
async fn record(services: &Services, image: ImageId) -> Result<()> {
    sqlx::query!("update toygres.image set objects_checked_at = clock_timestamp() where id = $1", image.0)
        .execute(services.db())
        .await?;
    Ok(())
}

/// Marks an image as corrupt, with an audit entry.
async fn mark(services: &Services, image: ImageId, failure: &Failure) -> Result<()> {
    let (code, subject) = (failure.code.as_str(), failure.subject.as_deref());
    let mut tx = services.db().begin().await?;
    if damage::record(&mut tx, image, code, subject, &failure.detail).await? {
        tracing::warn!(%image, %failure, "an image is damaged");
        let author = Author::SYSTEM;
        audit::record(&mut *tx, &author, "image.check", &image.to_string(), code, None).await?;
    }
    tx.commit().await?;
    Ok(())
}
