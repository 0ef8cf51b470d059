//! Which role may do what.

use model::{Actor, Role};

use crate::error::{Error, Result};

/// Requires at least a role.
///
/// # Errors
/// [`Error::Forbidden`].
pub(crate) fn require_role(actor: &Actor, role: Role) -> Result<()> {
    if actor.is(role) {
        return Ok(());
    }
    Err(Error::Forbidden(format!(
        "This requires the role {role}. {} has the role {}. Ask an admin.",
        actor.name, actor.role
    )))
}

/// Requires the role admin and a recent confirmation of the password.
///
/// # Errors
/// [`Error::Forbidden`] or [`Error::SudoRequired`].
pub(crate) fn require_admin_sudo(actor: &Actor) -> Result<()> {
    require_role(actor, Role::Admin)?;
    if actor.sudo { Ok(()) } else { Err(Error::SudoRequired) }
}
