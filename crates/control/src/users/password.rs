//! Hashing and verifying passwords with Argon2.

use std::sync::LazyLock;

use anyhow::Context;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use platform::{ExposeSecret, Secret};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Each hash needs 19 MiB of memory: the number of hashes at the same time.
static HASHING: Semaphore = Semaphore::const_new(4);
/// The longest password in bytes, because hashing is expensive.
const MAX_BYTES: usize = 1024;
const MIN_CHARACTERS: usize = 8;

/// A hash that no password matches, with the parameters of all others: an unknown user takes as long as a known one.
static DUMMY_HASH: LazyLock<String> = LazyLock::new(|| {
    let hash = Argon2::default().hash_password(random_password().expose_secret().as_bytes());
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
    blocking(move || {
        let hash = Argon2::default().hash_password(password.expose_secret().as_bytes());
        hash.map(|hash| hash.to_string()).map_err(|error| anyhow::anyhow!("hash a password: {error}"))
    })
    .await
}

/// Whether a password matches a hash. Without a hash it takes as long and is false.
pub(super) async fn verify(hash: Option<String>, password: &str) -> Result<bool> {
    if password.len() > MAX_BYTES {
        return Ok(false);
    }
    let is_known = hash.is_some();
    let password = Secret::from(password);
    blocking(move || {
        let hash = hash.unwrap_or_else(|| DUMMY_HASH.clone());
        let hash = PasswordHash::new(&hash).map_err(|error| anyhow::anyhow!("parse a hash: {error}"))?;
        let matches = Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash).is_ok();
        Ok(matches && is_known)
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> Result<T> {
    let _permit = HASHING.acquire().await.context("wait for a permit to hash")?;
    Ok(tokio::task::spawn_blocking(work).await.context("hash")??)
}
