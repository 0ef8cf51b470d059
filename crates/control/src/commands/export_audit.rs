//! Exporting the audit log.

use model::user::AuditRow;
use model::{Actor, Role};

use crate::audit::{self, entry};
use crate::error::Result;
use crate::services::Services;
use crate::users::require_role;

/// The rows of an export after the row `after`, oldest first, at most `limit`. The first ones (`after` is 0) are recorded as
/// an export.
///
/// # Errors
/// The role does not allow it.
pub async fn export_audit(
    services: &Services,
    actor: &Actor,
    after: i64,
    limit: i64,
) -> Result<Vec<AuditRow>> {
    let work = async {
        require_role(actor, Role::Admin)?;
        audit::after(services, after.max(0), limit.clamp(1, 1000)).await
    };
    if after > 0 && actor.is(Role::Admin) {
        return work.await;
    }
    entry(actor, "audit.export", "audit").perform(services.db(), work).await
}
