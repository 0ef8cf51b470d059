//! Users, their roles, and the audit log.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::{TokenId, UserId};
use crate::text_enum::text_enum;

text_enum! {
    /// The role of a user. Each role includes the permissions of the previous one.
    Role {
        /// Views everything except secrets.
        Viewer = "viewer",
        /// Backs up, restores into new instances, starts, stops, cancels and retries.
        Operator = "operator",
        /// Deletes, reveals passwords, and changes stores, accounts and settings.
        Admin = "admin",
    }
}

text_enum! {
    /// What kind of actor an entry of the audit log names.
    ActorKind {
        /// An account.
        Account = "account",
        /// A bearer token.
        Token = "token",
        /// Toygres itself.
        System = "system",
        /// A command of `toygres-server` on the machine.
        CommandLine = "command_line",
        /// A client that is not logged in; the name is what it typed.
        Anonymous = "anonymous",
    }
}

/// A bearer token, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Whether destructive actions need no confirmation of a password.
    pub sudo: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// The authenticated user of a request, from its session or bearer token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Whether an account or a token acts.
    pub kind: ActorKind,
    /// The id of the account or the token.
    pub user: UserId,
    /// The name of the account, as in the audit log.
    pub name: String,
    /// The role.
    pub role: Role,
    /// Whether the password was confirmed within the last five minutes, or the token has the scope.
    pub sudo: bool,
}

impl Actor {
    /// Whether the role of the actor is at least `role`.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.role >= role
    }
}

/// An account, as on the settings page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The login name.
    pub name: String,
    /// The role.
    pub role: Role,
    /// When it was created.
    pub created_at: chrono::DateTime<chrono::Utc>,
    /// The time of the last login.
    pub last_login_at: Option<chrono::DateTime<chrono::Utc>>,
    /// Whether the password is a one-time password, which must be changed at the next login.
    pub must_change_password: bool,
    /// Whether the account is disabled.
    pub disabled: bool,
}

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditRow {
    /// The number of the entry, in ascending order.
    pub id: i64,
    /// The time, by the database's clock.
    pub at: chrono::DateTime<chrono::Utc>,
    /// The name of the account or the token, "system", or "the command line".
    pub actor: String,
    /// What the name names. Absent in entries of earlier versions.
    pub actor_kind: Option<ActorKind>,
    /// The id of the account or the token.
    pub actor_id: Option<uuid::Uuid>,
    /// The action, such as `image.create`.
    pub action: String,
    /// The kind and the name of the object.
    pub subject: String,
    /// `ok`, or the code of the error.
    pub outcome: String,
    /// The run that it started.
    pub run: Option<crate::RunId>,
}
