//! The scheduled verification: an image that was not verified for some days is read completely, one image of a store at a time.

use model::{ImageId, RunId};

use super::scope::Scope;
use crate::audit::{self, Author};
use crate::error::Result;
use crate::runs::start::{RunLabels, start_run};
use crate::services::Services;
use crate::workflows::VerifyImage;

/// Starts the verification of the image that was not verified for the longest time, if that is long enough and no image of the
/// store is being verified. A verification that fails is repeated after a day at the earliest.
///
/// # Errors
/// The state database is unavailable.
pub(super) async fn start_due(services: &Services, scope: &Scope) -> Result<()> {
    let days = services.maintenance().verification_days;
    if days == 0 {
        return Ok(());
    }
    let mut tx = services.db().begin().await?;
    // Another worker may be at the same store.
    sqlx::query!("select from toygres.store where id = $1 for no key update", scope.store.0)
        .fetch_optional(&mut *tx)
        .await?;
    let due = sqlx::query!(
        r#"update toygres.image set verification_started_at = clock_timestamp() where id = (
               select i.id from toygres.image i
               where i.store = $1 and i.status = 'available'
                 and coalesce(i.verified_at, i.created_at) < clock_timestamp() - make_interval(days => $3)
                 and coalesce(i.verification_started_at < clock_timestamp() - interval '1 day', true)
                 and ($2::text is null or exists (select from toygres.run r where r.id = i.run and r.pool = $2))
                 and not exists (select from toygres.run_lock l where l.key = 'image/' || i.id)
                 and not exists (select from toygres.image o join toygres.run_lock l on l.key = 'verify/' || o.id
                                 where o.store = $1)
               order by coalesce(i.verified_at, i.created_at) limit 1)
           returning id as "id: ImageId", name, instance_name"#,
        scope.store.0,
        scope.pool,
        days
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(image) = due else { return Ok(()) };
    let run = RunId::new();
    let labels = RunLabels {
        title: format!("Verify {}", image.name),
        started_by: "system".to_owned(),
        instance_name: Some(image.instance_name),
        image: Some(image.id),
        image_name: Some(image.name),
        ..RunLabels::default()
    };
    start_run(services, &mut tx, &VerifyImage { image: image.id }, run, &labels).await?;
    let subject = image.id.to_string();
    audit::record(&mut *tx, &Author::SYSTEM, "image.verify", &subject, "ok", Some(run)).await?;
    tx.commit().await?;
    Ok(())
}
