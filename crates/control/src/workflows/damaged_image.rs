//! Marking an image as corrupt, so that it is not offered for a restore.

use model::{FailureCode, ImageId};
use workflow::{Failure, StepContext, Workflow};

/// Marks the image as corrupt if the failure means that its objects are damaged, missing or not those that
/// the backup wrote.
pub(super) async fn mark_corrupt<W: Workflow>(
    cx: &StepContext<W>,
    image: ImageId,
    failure: &Failure,
) -> Result<(), Failure> {
    let damage = [
        FailureCode::ObjectDamaged,
        FailureCode::ObjectMissing,
        FailureCode::ManifestMissing,
        FailureCode::ManifestReplaced,
    ];
    if !damage.iter().any(|code| code.as_str() == failure.code()) {
        return Ok(());
    }
    let mut tx = cx.fenced().await?;
    sqlx::query!(
        "update toygres.image set status = 'corrupt', verified_at = null, error = $2, error_code = $3, error_subject = $4
         where id = $1 and status in ('available', 'corrupt')",
        image.0,
        failure.detail(),
        failure.code(),
        failure.subject()
    )
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}
