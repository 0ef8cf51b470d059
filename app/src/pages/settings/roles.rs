//! The roles as options of a select field.

use model::Role;

/// The values and labels of a select field for roles.
pub(super) fn options() -> Vec<(String, String)> {
    let label = |role: Role| match role {
        Role::Viewer => "Viewer: read-only",
        Role::Operator => "Operator: backs up and restores",
        Role::Admin => "Admin: also deletes, reveals secrets and manages accounts",
    };
    Role::ALL.iter().map(|role| (role.to_string(), label(*role).to_owned())).collect()
}
