//! Reads the segments that a job writes into its store: each once, in the order of their numbers, one at a time in memory.
//! It knows nothing of what is kept already.

use std::time::Duration;

use bytes::{Buf, Bytes};
use model::{AgentEvent, StoreId};
use tokio::time::Instant;
use uuid::Uuid;

use crate::services::Services;
use crate::stores::access;

/// How long to leave the store alone when it had nothing new.
const AGAIN: Duration = Duration::from_secs(1);
/// How long one segment may take to come.
const ANSWER: Duration = Duration::from_secs(10);

/// A job's segments, read up to some event.
pub(super) struct Segments {
    store: image::Store,
    prefix: String,
    /// The number of the next segment. The agent leaves none out, so none needs to be listed.
    next: u32,
    /// What is not read yet of the segment at hand.
    text: Bytes,
    front: Option<AgentEvent>,
    asked: Option<Instant>,
    /// The store did not answer the last time: what it has is not known.
    pub(super) in_doubt: bool,
}

impl Segments {
    /// From the first segment on. A store that cannot be opened has none.
    pub(super) async fn open(services: &Services, store: Option<Uuid>, prefix: Option<&str>) -> Option<Self> {
        let (store, prefix) = (StoreId(store?), prefix?.to_owned());
        let store = access::existing(services, store)
            .await
            .inspect_err(|error| tracing::warn!(%error, "a job's log segments cannot be read"))
            .ok()?;
        Some(Self::of(store, prefix))
    }

    /// The same of a store that is open.
    pub(super) fn of(store: image::Store, prefix: String) -> Self {
        Self { store, prefix, next: 0, text: Bytes::new(), front: None, asked: None, in_doubt: false }
    }

    /// The number of the first event after number `after` that was not taken yet, if the store has it by now.
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

    /// The event that was peeked at.
    pub(super) fn take(&mut self) -> Option<AgentEvent> {
        self.front.take()
    }

    /// Has the store asked again at once.
    pub(super) fn hurry(&mut self) {
        self.asked = None;
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

    /// Gets the next segment; false where there is none yet.
    async fn read(&mut self) -> bool {
        if self.asked.is_some_and(|asked| asked.elapsed() < AGAIN) {
            return false;
        }
        let key = format!("{}/log-{}.jsonl", self.prefix, self.next);
        let got = tokio::time::timeout(ANSWER, self.store.get(&key)).await;
        self.in_doubt = !matches!(got, Ok(Ok(_) | Err(image::Error::Missing(_))));
        if let Ok(Ok(text)) = got {
            self.text = text;
            self.next += 1;
            return true;
        }
        self.asked = Some(Instant::now());
        false
    }
}
