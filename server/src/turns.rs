//! Limits the requests of each account, and of each network without an account, that are processed at the same time, so that
//! none of them can use up the processors or the connections to the state database.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The turns of each key with requests.
pub(crate) struct Turns<K> {
    most: usize,
    keys: Arc<Mutex<HashMap<K, Weak<Semaphore>>>>,
}

impl<K> Clone for Turns<K> {
    fn clone(&self) -> Self {
        Self { most: self.most, keys: Arc::clone(&self.keys) }
    }
}

impl<K: Eq + Hash> Turns<K> {
    /// Turns of which each key has at most `most` at the same time. The others wait in order.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, keys: Arc::default() }
    }

    /// Waits for a turn, which ends when it is dropped.
    pub(crate) async fn wait(&self, key: K) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        self.of(key).acquire_owned().await.ok()
    }

    fn of(&self, key: K) -> Arc<Semaphore> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = keys.get(&key).and_then(Weak::upgrade) {
            return turns;
        }
        // Keys without a request are removed.
        keys.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(self.most));
        keys.insert(key, Arc::downgrade(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn turns_are_limited_per_key_and_end_on_drop() {
        let (turns, user) = (Turns::new(3), 1);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(turns.wait(user).await);
        }
        let mut next = Box::pin(turns.wait(user));
        assert!(futures::poll!(&mut next).is_pending());
        assert!(turns.wait(2).await.is_some());
        held.pop();
        assert!(matches!(futures::poll!(&mut next), Poll::Ready(Some(_))));
        drop(held);
        drop(next);
        let other = turns.wait(2).await;
        assert_eq!(turns.keys.lock().expect("keys").len(), 1);
        drop(other);
    }
}
