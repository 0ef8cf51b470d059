//! Marking an image as corrupt because of the failure of a step.

use model::ImageId;
use workflow::{Failure, StepContext, Workflow};

use crate::images::damage;
use crate::services::Services;
use crate::store_checks::scope;

/// Marks the image as corrupt if the failure means that its objects are damaged, missing or not those that
/// the backup wrote.
///
/// # Errors
/// The image is not marked. [`model::FailureCode::StoreContainerMissing`]: the store is a directory without images, as when its
/// volume is not mounted.
pub(super) async fn mark_corrupt<W: Workflow<Services = Services>>(
    cx: &StepContext<W>,
    image: ImageId,
    failure: &Failure,
) -> Result<(), Failure> {
    if !damage::is_damage(failure.code()) {
        return Ok(());
    }
    scope::of_image(&cx.services, image).await?.ensure_mounted(&cx.services).await?;
    let mut tx = cx.fenced().await?;
    damage::record(&mut tx, image, failure.code(), failure.subject(), failure.detail()).await?;
    Ok(tx.commit().await?)
}
