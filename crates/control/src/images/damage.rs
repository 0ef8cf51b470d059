//! Marking an image as corrupt, so that it is not offered for a restore.

use model::{FailureCode, ImageId};
use sqlx::PgConnection;

/// Whether a failure with this code means that the objects of an image are damaged, missing or not those that the backup wrote.
pub(crate) fn is_damage(code: &str) -> bool {
    let damage = [
        FailureCode::ObjectDamaged,
        FailureCode::ObjectMissing,
        FailureCode::ManifestMissing,
        FailureCode::ManifestReplaced,
    ];
    damage.iter().any(|damage| damage.as_str() == code)
}

/// Marks an image as corrupt. False if it is neither available nor corrupt, as one that is being deleted.
pub(crate) async fn record(
    tx: &mut PgConnection,
    image: ImageId,
    code: &str,
    subject: Option<&str>,
    detail: &str,
) -> sqlx::Result<bool> {
    let marked = sqlx::query!(
        "update toygres.image set status = 'corrupt', verified_at = null, error = $2, error_code = $3, error_subject = $4
         where id = $1 and status in ('available', 'corrupt')",
        image.0,
        detail,
        code,
        subject
    );
    Ok(marked.execute(tx).await?.rows_affected() > 0)
}
