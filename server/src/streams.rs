//! Limits the number of event streams of each account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::UserId;

/// The most streams of one account at the same time.
const MAX_STREAMS: usize = 32;

/// The number of open streams of each account.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<UserId, usize>>>);

/// The permit of one stream. Dropping it closes the stream.
pub(crate) struct StreamPermit {
    streams: Streams,
    user: UserId,
}

impl Streams {
    /// Opens a stream; `None` if the account has [`MAX_STREAMS`].
    pub(crate) fn open(&self, user: UserId) -> Option<StreamPermit> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(user).or_default();
        if *count >= MAX_STREAMS {
            return None;
        }
        *count += 1;
        Some(StreamPermit { streams: self.clone(), user })
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.user) {
            *count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_limit_is_per_account_and_released_on_drop() {
        let (streams, user) = (Streams::default(), UserId::new());
        let mut permits: Vec<_> = (0..MAX_STREAMS).filter_map(|_| streams.open(user)).collect();
        assert_eq!(permits.len(), MAX_STREAMS);
        assert!(streams.open(user).is_none());
        assert!(streams.open(UserId::new()).is_some());
        permits.pop();
        assert!(streams.open(user).is_some());
    }
}
