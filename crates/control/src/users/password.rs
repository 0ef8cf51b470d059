//! Hashing and verifying passwords with Argon2.

use std::sync::LazyLock;

use anyhow::Context;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use platform::{ExposeSecret, Secret};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{Error, Result};

/// How many passwords are hashed at the same time, and how many more may wait. Each hash needs 19 MiB of memory.
struct Queue {
    running: Semaphore,
    /// Those that run and those that wait.
    admitted: Semaphore,
}

/// Of clients that have not logged in before. The queue is longer than the attempts that one network has.
static UNKNOWN: Queue = Queue::new(2, 62);
/// Of users who have logged in: a flood of others does not delay them.
static KNOWN: Queue = Queue::new(2, 30);
/// When a refused client may come again, in seconds: about the time that a full queue takes.
const RETRY_AFTER: i64 = 3;

/// Which queue a password waits in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Priority {
    /// The client has not logged in before.
    Unknown,
    /// The client has logged in before.
    Known,
}

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
    blocking(&KNOWN, move || {
        let hash = Argon2::default().hash_password(password.expose_secret().as_bytes());
        hash.map(|hash| hash.to_string()).map_err(|error| anyhow::anyhow!("hash a password: {error}"))
    })
    .await
}

/// Whether a password matches a hash. Without a hash it takes as long and is false.
///
/// # Errors
/// [`Error::TooMany`]: the queue is full.
pub(super) async fn verify(hash: Option<String>, password: &str, priority: Priority) -> Result<bool> {
    if password.len() > MAX_BYTES {
        return Ok(false);
    }
    let is_known = hash.is_some();
    let password = Secret::from(password);
    let queue = match priority {
        Priority::Unknown => &UNKNOWN,
        Priority::Known => &KNOWN,
    };
    blocking(queue, move || {
        let hash = hash.unwrap_or_else(|| DUMMY_HASH.clone());
        let hash = PasswordHash::new(&hash).map_err(|error| anyhow::anyhow!("parse a hash: {error}"))?;
        let matches = Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash).is_ok();
        Ok(matches && is_known)
    })
    .await
}

impl Queue {
    const fn new(running: usize, waiting: usize) -> Self {
        Self { running: Semaphore::const_new(running), admitted: Semaphore::const_new(running + waiting) }
    }

    /// Waits for a turn, unless too many others wait.
    async fn turn(&self) -> Result<Turn<'_>> {
        let admitted =
            self.admitted.try_acquire().map_err(|_| Error::TooMany { retry_after_seconds: RETRY_AFTER })?;
        let running = self.running.acquire().await.context("wait for a turn to hash")?;
        Ok(Turn { _admitted: admitted, _running: running })
    }
}

/// A turn of a [`Queue`], which ends when it is dropped.
struct Turn<'a> {
    _admitted: SemaphorePermit<'a>,
    _running: SemaphorePermit<'a>,
}

async fn blocking<T: Send + 'static>(
    queue: &'static Queue,
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T> {
    let turn = queue.turn().await?;
    // The work continues if the client disconnects, so the turn belongs to the work.
    let work = move || {
        let _turn = turn;
        work()
    };
    Ok(tokio::task::spawn_blocking(work).await.context("hash")??)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    static PEAK: AtomicUsize = AtomicUsize::new(0);

    #[tokio::test]
    async fn abandoned_work_keeps_its_turn_and_a_full_queue_refuses() {
        static QUEUE: Queue = Queue::new(2, 3);
        let (began, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = std::sync::Arc::new(std::sync::Mutex::new(released));
        let start = || {
            let (began, ended, released) = (began.clone(), ended.clone(), released.clone());
            blocking(&QUEUE, move || {
                PEAK.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let _ = began.send(());
                let _ = released.lock().map(|released| released.recv());
                RUNNING.fetch_sub(1, Ordering::SeqCst);
                let _ = ended.send(());
                Ok(())
            })
        };
        // Two run and are abandoned. Three wait, and one more is refused.
        for _ in 0..2 {
            assert!(futures::FutureExt::now_or_never(start()).is_none(), "the work waits for its release");
        }
        for _ in 0..2 {
            begins.recv().await.expect("a beginning");
        }
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(start())).collect();
        for work in &mut waiting {
            assert!(futures::poll!(work).is_pending());
        }
        let refused = start().await;
        assert!(matches!(refused, Err(Error::TooMany { .. })), "{refused:?}");
        // Those who stop waiting leave the queue at once.
        drop(waiting);
        assert!(futures::FutureExt::now_or_never(start()).is_none());
        for _ in 0..2 {
            release.send(()).expect("release");
            ends.recv().await.expect("an end");
        }
        assert_eq!(PEAK.load(Ordering::SeqCst), 2);
    }
}
