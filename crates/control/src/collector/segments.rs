//! Reads the log segments that a job writes into its store: in order, and only those that may contain what is missing.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::future::join_all;
use model::{AgentEvent, FailureCode, StoreId};
use tokio::time::Instant;
use uuid::Uuid;

use crate::services::Services;
use crate::stores::access;

/// Pause after a read that found the end of the segments.
const POLL: Duration = Duration::from_secs(1);
/// Time limit for reading one segment.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most segments that are read at the same time and held in memory.
const MAX_WINDOW: u32 = 4;

/// A job's segments and the position of the reader in them.
pub(super) struct Segments {
    store: image::Store,
    prefix: String,
    /// The number of the next segment to read. The agent skips no number, so listing is unnecessary.
    next: u32,
    /// How many segments the next read requests. It grows while segments follow, so that polling for one costs one request.
    window: u32,
    /// Segments after the current one that have been read.
    ahead: VecDeque<Bytes>,
    /// The unread rest of the current segment.
    text: Bytes,
    front: Option<AgentEvent>,
    /// Whether the segments read last contained nothing but events that are stored already.
    is_behind: bool,
    /// When the store last had no new segment.
    polled_at: Option<Instant>,
    /// Whether the last read failed: the store may contain more.
    pub(super) in_doubt: bool,
}

/// The store did not answer whether a segment exists.
struct InDoubt;

impl Segments {
    /// Opens the segments below a prefix of a store, from number `first`; `None` if the store cannot be opened.
    pub(super) async fn open(
        services: &Services,
        store: Option<Uuid>,
        prefix: Option<&str>,
        first: u32,
    ) -> Option<Self> {
        let (store, prefix) = (StoreId(store?), prefix?.to_owned());
        let store = access::existing(services, store)
            .await
            .inspect_err(|error| tracing::warn!(%error, "cannot open the store of a job's log segments"))
            .ok()?;
        Some(Self::new(store, prefix, first))
    }

    /// The segments below a prefix of an open store, from number `first`.
    pub(super) fn new(store: image::Store, prefix: String, first: u32) -> Self {
        Self {
            store,
            prefix,
            next: first,
            window: 1,
            ahead: VecDeque::new(),
            text: Bytes::new(),
            front: None,
            is_behind: false,
            polled_at: None,
            in_doubt: false,
        }
    }

    /// The number of the first segment whose events were not all taken.
    pub(super) fn position(&self) -> u32 {
        let current = u32::from(self.front.is_some() || !self.text.is_empty());
        self.next - u32::try_from(self.ahead.len()).unwrap_or(0) - current
    }

    /// The number of the first event after number `after`, if the store contains it by now.
    pub(super) async fn peek(&mut self, after: u64) -> Option<u64> {
        loop {
            match self.front.take().or_else(|| parse(&mut self.text)) {
                Some(event) if event.seq > after => {
                    let seq = event.seq;
                    self.front = Some(event);
                    self.is_behind = false;
                    return Some(seq);
                }
                Some(_) => {}
                None => match self.ahead.pop_front() {
                    Some(text) => self.text = text,
                    None if self.read(after).await => {}
                    None => return None,
                },
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

    /// Reads the next segments; false if the next one does not exist yet.
    async fn read(&mut self, after: u64) -> bool {
        if self.polled_at.is_some_and(|polled_at| polled_at.elapsed() < POLL) {
            return false;
        }
        self.in_doubt = self.is_behind && self.seek(after).await.is_err();
        let requested = self.next..self.next + if self.in_doubt { 0 } else { self.window };
        let count = requested.len();
        for segment in join_all(requested.map(|number| self.get(number))).await {
            match segment {
                Ok(Some(text)) => self.ahead.push_back(text),
                Ok(None) => break,
                Err(InDoubt) => {
                    self.in_doubt = true;
                    break;
                }
            }
        }
        let found = u32::try_from(self.ahead.len()).unwrap_or(0);
        self.next += found;
        // Until `peek` finds a later event in them.
        self.is_behind = found > 0;
        if self.in_doubt || self.ahead.len() < count {
            self.window = 1;
            self.polled_at = Some(Instant::now());
        } else {
            self.window = (self.window * 2).min(MAX_WINDOW);
        }
        found > 0
    }

    /// Moves to the segment that contains the first event after number `after`. The number of requests is logarithmic in
    /// the number of segments: those with stored events only are not read.
    async fn seek(&mut self, after: u64) -> Result<(), InDoubt> {
        // The segment `low` begins early enough, the segment `high` does not.
        let (mut low, mut step) = (self.next.saturating_sub(1), 1);
        let mut high = loop {
            if !self.begins_by(low + step, after + 1).await? {
                break low + step;
            }
            low += step;
            step *= 2;
        };
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.begins_by(middle, after + 1).await? {
                low = middle;
            } else {
                high = middle;
            }
        }
        // The segment before the next one has been read.
        self.next = self.next.max(low);
        Ok(())
    }

    /// Whether a segment exists and its first event has at most number `seq`.
    async fn begins_by(&self, number: u32, seq: u64) -> Result<bool, InDoubt> {
        let text = self.get(number).await?;
        let first = text.and_then(|mut text| parse(&mut text));
        Ok(first.is_some_and(|first| first.seq <= seq))
    }

    /// Reads a segment; `None` if it does not exist.
    async fn get(&self, number: u32) -> Result<Option<Bytes>, InDoubt> {
        let key = format!("{}/log-{number}.jsonl", self.prefix);
        match tokio::time::timeout(TIMEOUT, self.store.get(&key)).await {
            Ok(Ok(text)) => Ok(Some(text)),
            Ok(Err(error)) if error.code() == FailureCode::ObjectMissing => Ok(None),
            Ok(Err(_)) | Err(_) => Err(InDoubt),
        }
    }
}

/// Removes the first event from a text of lines. Lines that are no events are skipped.
fn parse(text: &mut Bytes) -> Option<AgentEvent> {
    while !text.is_empty() {
        let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
        let line = text.split_to(end);
        text.advance(1.min(text.len()));
        if let Ok(event) = serde_json::from_slice(&line) {
            return Some(event);
        }
    }
    None
}
