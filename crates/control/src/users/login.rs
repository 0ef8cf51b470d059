//! Verifying user names and passwords.

use std::net::IpAddr;

use model::{Actor, ActorKind, Role, UserId};
use uuid::Uuid;

use super::device::{self, KnownDevice};
use super::password::{self, Source};
use super::queue::Turn;
use super::throttle::{self, Budgets};
use crate::audit::{self, Author};
use crate::error::{Error, Result};
use crate::services::Services;

/// Where an attempt comes from.
#[derive(Clone, Debug)]
pub struct Client {
    /// The address of the client, or of the network that it is in.
    pub address: IpAddr,
    /// The token that an earlier login gave to the device.
    pub device: Option<String>,
}

/// An account as the login needs it.
#[derive(Clone, Debug)]
pub struct UserRecord {
    /// The user, not in sudo mode.
    pub actor: Actor,
    /// A session that was opened under an earlier epoch is invalid.
    pub auth_epoch: i64,
    /// Whether the password was set by another person.
    pub must_change_password: bool,
}

/// A user who has just logged in.
#[derive(Clone, Debug)]
pub struct Login {
    /// The account.
    pub account: UserRecord,
    /// The token for the device: further attempts from it have a budget of their own.
    pub device: String,
}

/// An account whose password is to be verified.
struct Candidate {
    id: UserId,
    hash: String,
}

/// An attempt whose turn it is.
struct Attempt<'a> {
    /// The name of the account, which need not exist.
    account: &'a str,
    candidate: Option<Candidate>,
    password: &'a str,
    address: IpAddr,
    device: Option<KnownDevice>,
    turn: Turn,
    /// Who is named in the audit row of a refusal, and for which action.
    author: &'a Author<'a>,
    action: &'a str,
}

/// Verifies a user name and password.
///
/// # Errors
/// [`Error::Unauthenticated`] whichever of the two is wrong, after the same time; [`Error::TooMany`] after several
/// failures, or if too many others are being verified.
pub async fn authenticate(services: &Services, name: &str, password: &str, client: &Client) -> Result<Login> {
    let db = services.db();
    let name: String = name.trim().chars().take(100).collect();
    if name.contains('\0') {
        return Err(Error::invalid("username", "A user name contains no NUL character."));
    }
    // Before anything that costs more than memory: a flood is refused here.
    let device = client.known_device(services);
    let turn = client.source(device).turn().await?;
    let row = sqlx::query!(
        r#"select id as "id: UserId", name, role as "role: Role", password_hash, auth_epoch, must_change_password
           from toygres.account where lower(name) = lower($1) and not disabled"#,
        name
    )
    .fetch_optional(db)
    .await?;
    let candidate = row.as_ref().map(|row| Candidate { id: row.id, hash: row.password_hash.clone() });
    let stranger = Author::anonymous(&name);
    let account = name.as_str();
    let (address, author, action) = (client.address, &stranger, "login");
    let attempt = Attempt { account, candidate, password, address, device, turn, author, action };
    let budgets = attempt.verify(services).await;
    let (row, (budgets, device)) = match (row, budgets) {
        (Some(row), Ok(verified)) => (row, verified),
        (_, Err(Error::Unauthenticated(_))) | (None, Ok(_)) => {
            audit::record(db, &stranger, "login", "session", "unauthenticated", None).await?;
            return Err(Error::Unauthenticated("Incorrect user name or password."));
        }
        (_, Err(error)) => return Err(error),
    };
    budgets.succeed(db).await?;
    let actor = Actor { kind: ActorKind::Account, user: row.id, name: row.name, role: row.role, sudo: false };
    let mut tx = db.begin().await?;
    sqlx::query!("update toygres.account set last_login_at = clock_timestamp() where id = $1", row.id.0)
        .execute(&mut *tx)
        .await?;
    audit::record(&mut *tx, &Author::of(&actor), "login", "session", "ok", None).await?;
    tx.commit().await?;
    Ok(Login {
        device: device::seal(services.keys(), row.id, device.unwrap_or_else(Uuid::new_v4))?,
        account: UserRecord {
            actor,
            auth_epoch: row.auth_epoch,
            must_change_password: row.must_change_password,
        },
    })
}

/// Verifies the user's password, for sudo mode.
///
/// # Errors
/// As of [`authenticate`].
pub async fn confirm_password(
    services: &Services,
    actor: &Actor,
    password: &str,
    client: &Client,
) -> Result<()> {
    let verified = verify_own(services, actor, password, client, "sudo").await;
    let outcome = match &verified {
        Ok(()) => "ok",
        Err(Error::Unauthenticated(_)) => "unauthenticated",
        // The throttle has audited its refusal.
        Err(_) => return verified,
    };
    audit::record(services.db(), &Author::of(actor), "sudo", "session", outcome, None).await?;
    verified
}

/// Verifies the user's password from the same budgets as at login; `action` names the audit row of a throttled attempt.
pub(super) async fn verify_own(
    services: &Services,
    actor: &Actor,
    password: &str,
    client: &Client,
    action: &str,
) -> Result<()> {
    let db = services.db();
    let turn = Source::Account(actor.user).turn().await?;
    let row = sqlx::query!(
        "select name, password_hash from toygres.account where id = $1 and not disabled",
        actor.user.0
    )
    .fetch_optional(db)
    .await?
    .ok_or(Error::Unauthenticated("The account does not exist or is disabled."))?;
    let candidate = Some(Candidate { id: actor.user, hash: row.password_hash });
    let (account, author) = (row.name.as_str(), &Author::of(actor));
    let (address, device) = (client.address, client.known_device(services));
    let attempt = Attempt { account, candidate, password, address, device, turn, author, action };
    let (budgets, _) = attempt.verify(services).await?;
    Ok(budgets.succeed(db).await?)
}

impl Client {
    /// The device that the token proves, of any account.
    fn known_device(&self, services: &Services) -> Option<KnownDevice> {
        device::open(services.keys(), self.device.as_deref()?)
    }

    /// Where the attempt waits. No account is read yet: a device waits in the place of the account that its token names.
    fn source(&self, device: Option<KnownDevice>) -> Source {
        match device {
            Some(KnownDevice { account, .. }) => Source::Account(account),
            None => Source::Network(throttle::network(self.address)),
        }
    }
}

impl Attempt<'_> {
    /// Takes the attempt from its budgets, then verifies the password. Returns the budgets and the known device of the account.
    async fn verify(self, services: &Services) -> Result<(Budgets, Option<Uuid>)> {
        let db = services.db();
        let known = self
            .device
            .filter(|known| self.candidate.as_ref().is_some_and(|candidate| candidate.id == known.account));
        let budgets = match known {
            Some(KnownDevice { account, device }) => Budgets::of_device(account, device),
            None => Budgets::of_network(self.account, self.address),
        };
        // Taken first: attempts that are verified at the same time must not exceed the budget together, and one whose client
        // disconnects counts.
        budgets.take(db, self.author, self.action).await?;
        let hash = self.candidate.map(|candidate| candidate.hash);
        match password::verify(hash, self.password, self.turn).await {
            Ok(true) => Ok((budgets, known.map(|known| known.device))),
            Ok(false) => Err(Error::Unauthenticated("Incorrect password.")),
            Err(error) => {
                budgets.give_back(db).await?;
                Err(error)
            }
        }
    }
}
