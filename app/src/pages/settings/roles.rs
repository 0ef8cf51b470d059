//! What each role may do, and the roles as options of a select field.

use model::Role;

/// What a role may do.
pub(super) fn rights(role: Role) -> &'static str {
    match role {
        Role::Viewer => "views everything except secrets",
        Role::Operator => "also backs up, restores, starts, stops, cancels and retries",
        Role::Admin => "also deletes, reveals secrets, and manages stores and users",
    }
}

/// The values and labels of a select field for roles.
pub(super) fn options() -> Vec<(String, String)> {
    let name = |role: Role| match role {
        Role::Viewer => "Viewer",
        Role::Operator => "Operator",
        Role::Admin => "Admin",
    };
    Role::ALL.iter().map(|role| (role.to_string(), format!("{}: {}", name(*role), rights(*role)))).collect()
}
