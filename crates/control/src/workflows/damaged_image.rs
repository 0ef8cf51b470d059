//! Marking an image as corrupt because of the failure of a step.

use model::ImageId;
use workflow::{Failure, StepContext, Workflow};

use crate::images::damage;

/// Marks the image as corrupt if the failure means that its objects are damaged, missing or not those that
/// the backup wrote.
pub(super) async fn mark_corrupt<W: Workflow>(
    cx: &StepContext<W>,
    image: ImageId,
    failure: &Failure,
) -> Result<(), Failure> {
    if !damage::is_damage(failure.code()) {
        return Ok(());
    }
    let mut tx = cx.fenced().await?;
    damage::record(&mut tx, image, failure.code(), failure.subject(), failure.detail()).await?;
    Ok(tx.commit().await?)
}
