//! Reads the log segments that a job writes into its store: each once, in order, one at a time in memory.

use std::time::Duration;

use bytes::{Buf, Bytes};
use model::{AgentEvent, FailureCode, StoreId};
use tokio::time::Instant;
use uuid::Uuid;

use crate::services::Services;
use crate::stores::access;

/// Pause after a read that found no new segment.
const POLL: Duration = Duration::from_secs(1);
/// Time limit for reading one segment.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A job's segments and the position of the reader in them.
pub(super) struct Segments {
    store: image::Store,
    prefix: String,
    /// The number of the next segment. The agent skips no number, so listing is unnecessary.
    next: u32,
    /// The unread rest of the current segment.
    text: Bytes,
    front: Option<AgentEvent>,
    /// When the store last had no new segment.
    polled_at: Option<Instant>,
    /// Whether the last read failed: the store may contain more.
    pub(super) in_doubt: bool,
}

impl Segments {
    /// Opens the segments below a prefix of a store; `None` if the store cannot be opened.
    pub(super) async fn open(services: &Services, store: Option<Uuid>, prefix: Option<&str>) -> Option<Self> {
        let (store, prefix) = (StoreId(store?), prefix?.to_owned());
        let store = access::existing(services, store)
            .await
            .inspect_err(|error| tracing::warn!(%error, "cannot open the store of a job's log segments"))
            .ok()?;
        Some(Self::new(store, prefix))
    }

    /// The segments below a prefix of an open store.
    pub(super) fn new(store: image::Store, prefix: String) -> Self {
        Self { store, prefix, next: 0, text: Bytes::new(), front: None, polled_at: None, in_doubt: false }
    }

    /// The number of the first event after number `after`, if the store contains it by now.
    pub(super) async fn peek(&mut self, after: u64) -> Option<u64> {
        loop {
            match self.front.take().or_else(|| self.parse()) {
                Some(event) if event.seq > after => {
                    let seq = event.seq;
                    self.front = Some(event);
                    return Some(seq);
                }
                Some(_) => {}
                None if self.read().await => {}
                None => return None,
            }
        }
    }

    /// Removes and returns the event that was peeked at.
    pub(super) fn take(&mut self) -> Option<AgentEvent> {
        self.front.take()
    }

    /// Makes the next read ignore the pause.
    pub(super) fn read_now(&mut self) {
        self.polled_at = None;
    }

    fn parse(&mut self) -> Option<AgentEvent> {
        while !self.text.is_empty() {
            let end = self.text.iter().position(|byte| *byte == b'\n').unwrap_or(self.text.len());
            let line = self.text.split_to(end);
            self.text.advance(1.min(self.text.len()));
            if let Ok(event) = serde_json::from_slice(&line) {
                return Some(event);
            }
        }
        None
    }

    /// Reads the next segment; false if it does not exist yet.
    async fn read(&mut self) -> bool {
        if self.polled_at.is_some_and(|polled_at| polled_at.elapsed() < POLL) {
            return false;
        }
        let key = format!("{}/log-{}.jsonl", self.prefix, self.next);
        let read = tokio::time::timeout(TIMEOUT, self.store.get(&key)).await;
        self.in_doubt = match &read {
            Ok(Ok(_)) => false,
            Ok(Err(error)) => error.code() != FailureCode::ObjectMissing,
            Err(_) => true,
        };
        if let Ok(Ok(text)) = read {
            self.text = text;
            self.next += 1;
            return true;
        }
        self.polled_at = Some(Instant::now());
        false
    }
}
