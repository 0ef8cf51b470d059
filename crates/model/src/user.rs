//! Who may do what.

use serde::{Deserialize, Serialize};

use crate::id::UserId;
use crate::text_enum::text_enum;

text_enum! {
    /// What a person may do; each role may do what the one before may.
    Role {
        /// Look at everything but secrets.
        Viewer = "viewer",
        /// Back up, restore into a new instance, start, stop, cancel, retry.
        Operator = "operator",
        /// Delete, reveal passwords, change stores, accounts and settings.
        Admin = "admin",
    }
}

/// Whoever asks for something, as found out by the session or the bearer token of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The account.
    pub user: UserId,
    /// Its name, as the audit shows it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether the password was given again within the last five minutes (or the token has the scope).
    pub sudo: bool,
}

impl Actor {
    /// Whether this actor's role is at least `role`.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.role >= role
    }
}

/// An account as the settings page lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The name to log in with.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: chrono::DateTime<chrono::Utc>,
    /// When it last logged in.
    pub last_login_at: Option<chrono::DateTime<chrono::Utc>>,
    /// Whether the password must be changed at the next login (a one-time password).
    pub must_change_password: bool,
    /// Whether it was closed.
    pub disabled: bool,
}

/// One row of the audit: who did what to what, when, and how it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditRow {
    /// Grows by one a row.
    pub id: i64,
    /// When, by the database's clock.
    pub at: chrono::DateTime<chrono::Utc>,
    /// The account's name, or "system".
    pub actor: String,
    /// The verb, such as `image.create`.
    pub action: String,
    /// What it was done to: a kind and a name.
    pub subject: String,
    /// `ok`, or the code of the refusal.
    pub outcome: String,
    /// The run that it started.
    pub run: Option<crate::RunId>,
}
