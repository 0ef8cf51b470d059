//! Accounts: who may log in and do what. Sessions are not part of it.

mod accounts;
mod device;
mod hasher;
mod login;
mod password;
mod permissions;
mod queue;
mod recovery;
pub(crate) mod throttle;

use model::user::User;
use model::{Actor, ActorKind, Role, UserId};

use crate::error::Result;
use crate::services::Services;

pub use accounts::{
    add, bootstrap_one_time, change_own_password, create, disable, ensure_admin, set_password, set_role,
};
pub use device::KNOWN_DAYS;
pub use login::{Client, Login, UserRecord, authenticate, confirm_password};
pub use password::random_password;
pub(crate) use permissions::{require_admin_sudo, require_role};
pub use recovery::{reset_password, unlock};
pub use throttle::network;

/// All accounts, by name.
///
/// # Errors
/// The state database is unavailable.
pub async fn list(services: &Services) -> Result<Vec<User>> {
    Ok(sqlx::query_as!(
        User,
        r#"select id as "id: UserId", name, role as "role: Role", created_at, last_login_at, must_change_password, disabled
           from toygres.account order by name"#
    )
    .fetch_all(services.db())
    .await?)
}

/// The account with this id, unless it is disabled.
///
/// # Errors
/// The state database is unavailable.
pub async fn by_id(services: &Services, user: UserId) -> Result<Option<UserRecord>> {
    let row = sqlx::query!(
        r#"select name, role as "role: Role", auth_epoch, must_change_password from toygres.account
           where id = $1 and not disabled"#,
        user.0
    )
    .fetch_optional(services.db())
    .await?;
    Ok(row.map(|row| UserRecord {
        actor: Actor { kind: ActorKind::Account, user, name: row.name, role: row.role, sudo: false },
        auth_epoch: row.auth_epoch,
        must_change_password: row.must_change_password,
    }))
}
