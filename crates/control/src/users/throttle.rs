//! Limits how often passwords can be guessed: attempts are taken from budgets before the password is verified, and given back
//! when it was correct.

use std::net::IpAddr;

use model::UserId;
use sqlx::PgPool;
use uuid::Uuid;

use crate::audit::{self, Author};
use crate::error::{Error, Result};

/// A limit of failed attempts: after `free` of them, a pause follows each one. It doubles up to `longest_pause`.
struct Limit {
    free: i32,
    /// In seconds.
    longest_pause: i32,
}

/// Of one account from one network, and of one account from one device.
const OF_ACCOUNT: Limit = Limit { free: 5, longest_pause: 900 };
/// Of all accounts from one network, which many users can share.
const OF_NETWORK: Limit = Limit { free: 20, longest_pause: 60 };

/// The budgets that an attempt is taken from. Each belongs to one source, so that an attacker who uses up the budgets of
/// one network blocks neither other networks nor the devices on which the account has logged in before.
pub(super) struct Budgets {
    /// In a fixed order, because concurrent attempts lock the rows in this order.
    limits: Vec<(String, Limit)>,
}

impl Budgets {
    /// Of an unknown device. The account need not exist.
    pub(super) fn of_network(account: &str, address: IpAddr) -> Self {
        let network = network(address);
        Self {
            limits: vec![
                (format!("{}{network}", prefix(account)), OF_ACCOUNT),
                (format!("network/{network}"), OF_NETWORK),
            ],
        }
    }

    /// Of a device on which the account has logged in before.
    pub(super) fn of_device(account: UserId, device: Uuid) -> Self {
        Self { limits: vec![(format!("device/{account}/{device}"), OF_ACCOUNT)] }
    }

    /// Takes an attempt from every budget, or from none.
    ///
    /// # Errors
    /// [`Error::TooMany`]: a budget is used up. The first refusal of each pause is audited with `author`.
    pub(super) async fn take(&self, db: &PgPool, author: &Author<'_>, action: &str) -> Result<()> {
        // Most attempts of a flood end here, without a lock. The decision is the one below.
        self.ensure_not_blocked(db, author, action).await?;
        let mut tx = db.begin().await?;
        for (key, limit) in &self.limits {
            // The count restarts after an hour without attempts.
            let taken = sqlx::query!(
                "insert into toygres.login_guess as g (key, failures, blocked_until) values ($1, 1, clock_timestamp())
                 on conflict (key) do update set
                     failures = case when g.last_at < clock_timestamp() - interval '1 hour' then 1
                         else least(g.failures + 1, 1000000) end,
                     last_at = clock_timestamp(),
                     blocked_until = clock_timestamp() + make_interval(secs => case
                         when g.last_at < clock_timestamp() - interval '1 hour' or g.failures + 1 < $2 then 0
                         else least(power(2, least(g.failures + 1 - $2, 20)), $3) end)
                 where g.blocked_until <= clock_timestamp()",
                key,
                limit.free,
                f64::from(limit.longest_pause)
            )
            .execute(&mut *tx)
            .await?;
            if taken.rows_affected() == 0 {
                tx.rollback().await?;
                self.ensure_not_blocked(db, author, action).await?;
                // The pause ended between the two statements.
                return Err(Error::TooMany { retry_after_seconds: 1 });
            }
        }
        Ok(tx.commit().await?)
    }

    async fn ensure_not_blocked(&self, db: &PgPool, author: &Author<'_>, action: &str) -> Result<()> {
        let keys: Vec<String> = self.limits.iter().map(|(key, _)| key.clone()).collect();
        let blocked = sqlx::query!(
            r#"select ceil(extract(epoch from max(blocked_until) - clock_timestamp()))::bigint as "wait",
                   bool_or(audited_until is distinct from blocked_until) as "unaudited"
               from toygres.login_guess where key = any($1) and blocked_until > clock_timestamp()"#,
            &keys
        )
        .fetch_one(db)
        .await?;
        let Some(wait) = blocked.wait else { return Ok(()) };
        if blocked.unaudited == Some(true) {
            audit_refusal(db, &keys, author, action).await?;
        }
        Err(Error::TooMany { retry_after_seconds: wait.max(1) })
    }

    /// Gives back an attempt whose password was not verified.
    pub(super) async fn give_back(&self, db: &PgPool) -> sqlx::Result<()> {
        for (key, _) in &self.limits {
            give_back(db, key).await?;
        }
        Ok(())
    }

    /// Gives back an attempt whose password was correct, and forgets the failures of the account. The network keeps its
    /// failures: an attacker with an account of his own must not reset them.
    pub(super) async fn succeed(&self, db: &PgPool) -> sqlx::Result<()> {
        for (n, (key, _)) in self.limits.iter().enumerate() {
            if n == 0 {
                sqlx::query!("delete from toygres.login_guess where key = $1", key).execute(db).await?;
            } else {
                give_back(db, key).await?;
            }
        }
        Ok(())
    }
}

async fn give_back(db: &PgPool, key: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "with kept as (
             update toygres.login_guess set failures = failures - 1, blocked_until = clock_timestamp()
             where key = $1 and failures > 1
         )
         delete from toygres.login_guess where key = $1 and failures = 1",
        key
    )
    .execute(db)
    .await
    .map(drop)
}

/// Adds one audit row for each pause: refusals cost an attacker nothing, so they must not fill the audit log.
async fn audit_refusal(db: &PgPool, keys: &[String], author: &Author<'_>, action: &str) -> Result<()> {
    let mut tx = db.begin().await?;
    let first = sqlx::query!(
        "update toygres.login_guess set audited_until = blocked_until
         where key = any($1) and blocked_until > clock_timestamp() and audited_until is distinct from blocked_until",
        keys
    )
    .execute(&mut *tx)
    .await?;
    if first.rows_affected() > 0 {
        audit::record(&mut *tx, author, action, "session", "too_many", None).await?;
    }
    Ok(tx.commit().await?)
}

/// The beginning of the keys of an account for unknown devices.
fn prefix(account: &str) -> String {
    format!("account/{}/", account.to_lowercase())
}

/// The network that an address belongs to: an IPv4 address, or the /64 that an IPv6 user has for himself.
#[must_use]
pub fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let prefix = std::net::Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX));
            format!("{prefix}/64")
        }
    }
}

/// Deletes the failed attempts of an account and of all networks, so that its owner can log in at once.
pub(super) async fn unlock(db: impl sqlx::PgExecutor<'_>, user: UserId, account: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from toygres.login_guess where starts_with(key, $1) or starts_with(key, $2) or starts_with(key, 'network/')",
        prefix(account),
        format!("device/{user}/")
    )
    .execute(db)
    .await
    .map(drop)
}

/// Deletes the counts of failed attempts that are older than a day.
pub(crate) async fn delete_old_failures(db: &PgPool) -> Result<()> {
    sqlx::query!("delete from toygres.login_guess where last_at < clock_timestamp() - interval '1 day'")
        .execute(db)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_is_an_ipv4_address_or_an_ipv6_prefix() {
        let of = |text: &str| network(text.parse().expect("address"));
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
