//! Work items that several connections process in parallel.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// The maximum number of connections that copy rows. Each needs a few megabytes of memory.
pub(crate) const MAX_STREAMS: usize = 8;

/// Items that wait for a connection.
#[derive(Debug)]
pub(crate) struct Queue<T>(Mutex<VecDeque<T>>);

impl<T> Queue<T> {
    /// Creates a queue of these items.
    pub(crate) fn new(items: impl IntoIterator<Item = T>) -> Self {
        Self(Mutex::new(items.into_iter().collect()))
    }

    /// Removes the first item.
    pub(crate) fn next(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}
