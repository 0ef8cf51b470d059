//! Limits the requests of each account that are processed at the same time, so that one account cannot use up the
//! connections to the state database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use model::UserId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most requests of one account that are processed at the same time. The others wait in order.
const MAX_REQUESTS: usize = 8;

/// The turns of each account with requests.
#[derive(Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<HashMap<UserId, Weak<Semaphore>>>>);

impl Turns {
    /// Waits until fewer than [`MAX_REQUESTS`] of the account are processed. The turn ends when it is dropped.
    pub(crate) async fn wait(&self, user: UserId) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        self.of(user).acquire_owned().await.ok()
    }

    fn of(&self, user: UserId) -> Arc<Semaphore> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = accounts.get(&user).and_then(Weak::upgrade) {
            return turns;
        }
        // Accounts without a request are removed.
        accounts.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(MAX_REQUESTS));
        accounts.insert(user, Arc::downgrade(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn turns_are_limited_per_account_and_end_on_drop() {
        let (turns, user) = (Turns::default(), UserId::new());
        let mut held = Vec::new();
        for _ in 0..MAX_REQUESTS {
            held.push(turns.wait(user).await);
        }
        let mut next = Box::pin(turns.wait(user));
        assert!(futures::poll!(&mut next).is_pending());
        assert!(turns.wait(UserId::new()).await.is_some());
        held.pop();
        assert!(matches!(futures::poll!(&mut next), Poll::Ready(Some(_))));
        drop(held);
        drop(next);
        let other = turns.wait(UserId::new()).await;
        assert_eq!(turns.0.lock().expect("accounts").len(), 1);
        drop(other);
    }
}
