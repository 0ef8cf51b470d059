//! Hashing and verifying passwords with Argon2.

use std::sync::LazyLock;

use anyhow::Context;
use argon2::password_hash::phc::PasswordHash;
use argon2::{PasswordHasher, PasswordVerifier};
use model::UserId;
use platform::{ExposeSecret, Secret};

use super::hasher::Hasher;
use super::queue::{Limits, Queue, Turn};
use crate::error::{Error, Result};

/// Of clients that have not logged in before, by network. One network can wait with as many attempts as it has. Each hash takes
/// 19 MiB of memory.
static UNKNOWN: Queue = Queue::new(Limits { running: 2, waiting: 62, waiting_per_source: 20 });
/// Of devices and users that have logged in, by account, and of new passwords: a flood of others does not delay them.
static KNOWN: Queue = Queue::new(Limits { running: 2, waiting: 30, waiting_per_source: 8 });
/// The source of new passwords in the queue.
const NEW_PASSWORDS: &str = "new passwords";

/// Who has a password verified.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A client that has not logged in before, in this network.
    Network(String),
    /// A user who is logged in, or a device on which this account has logged in before.
    Account(UserId),
}

impl Source {
    /// Waits until it is this source's turn. It covers everything that an attempt costs, also the statements on the state
    /// database.
    ///
    /// # Errors
    /// [`Error::TooMany`]: too many others wait.
    pub(super) async fn turn(&self) -> Result<Turn> {
        match self {
            Self::Network(network) => UNKNOWN.turn(network).await,
            Self::Account(account) => KNOWN.turn(&account.to_string()).await,
        }
    }
}

/// The longest password in bytes, because hashing is expensive.
const MAX_BYTES: usize = 1024;
const MIN_CHARACTERS: usize = 8;

/// A hash that no password matches, with the parameters of all others: an unknown user takes as long as a known one.
static DUMMY_HASH: LazyLock<String> = LazyLock::new(|| {
    let hash = Hasher.hash_password(random_password().expose_secret().as_bytes());
    hash.map(|hash| hash.to_string()).unwrap_or_default()
});

/// Generates a password of 24 characters without characters that look alike.
#[must_use]
pub fn random_password() -> Secret {
    use rand::seq::IndexedRandom;
    let alphabet: Vec<char> = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789".chars().collect();
    let mut random = rand::rng();
    Secret::from((0..24).filter_map(|_| alphabet.choose(&mut random)).collect::<String>())
}

/// Hashes a password.
///
/// # Errors
/// [`Error::Invalid`]: the password is too short or too long.
pub(super) async fn hash(password: &str) -> Result<String> {
    if password.chars().count() < MIN_CHARACTERS {
        return Err(Error::invalid(
            "password",
            format!("Enter a password of at least {MIN_CHARACTERS} characters."),
        ));
    }
    if password.len() > MAX_BYTES {
        return Err(Error::invalid("password", format!("Enter a password of at most {MAX_BYTES} bytes.")));
    }
    let password = Secret::from(password);
    blocking(KNOWN.turn(NEW_PASSWORDS).await?, move || {
        let hash = Hasher.hash_password(password.expose_secret().as_bytes());
        hash.map(|hash| hash.to_string()).map_err(|error| anyhow::anyhow!("hash a password: {error}"))
    })
    .await
}

/// Whether a password matches a hash. Without a hash it takes as long and is false.
///
/// # Errors
/// The hash is invalid.
pub(super) async fn verify(hash: Option<String>, password: &str, turn: Turn) -> Result<bool> {
    if password.len() > MAX_BYTES {
        return Ok(false);
    }
    let is_known = hash.is_some();
    let password = Secret::from(password);
    blocking(turn, move || {
        let hash = hash.unwrap_or_else(|| DUMMY_HASH.clone());
        let hash = PasswordHash::new(&hash).map_err(|error| anyhow::anyhow!("parse a hash: {error}"))?;
        let matches = Hasher.verify_password(password.expose_secret().as_bytes(), &hash).is_ok();
        Ok(matches && is_known)
    })
    .await
}

/// Performs work that takes a processor. It continues if the client disconnects, so the turn belongs to the work.
async fn blocking<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T> {
    let work = move || {
        let _turn = turn;
        work()
    };
    Ok(tokio::task::spawn_blocking(work).await.context("hash")??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn abandoned_work_keeps_its_turn() {
        static QUEUE: Queue = Queue::new(Limits { running: 1, waiting: 1, waiting_per_source: 1 });
        let (release, released) = std::sync::mpsc::channel::<()>();
        let turn = QUEUE.turn("a").await.expect("a turn");
        let mut work = Box::pin(blocking(turn, move || Ok(released.recv()?)));
        assert!(futures::poll!(&mut work).is_pending());
        drop(work);
        let mut next = Box::pin(QUEUE.turn("a"));
        assert!(futures::poll!(&mut next).is_pending(), "the abandoned work still runs");
        release.send(()).expect("the work waits");
        next.await.expect("a turn");
    }
}
