//! Puts a job's events in the order of their numbers: those of its output and, where that has a gap, those of the log
//! segments in its store. It stores nothing and knows no run.

use std::collections::BTreeMap;

use model::{AgentEvent, EventBody};

use super::segments::Segments;

/// The most bytes that are buffered behind a gap; beyond that, no output is read.
const MAX_BYTES: usize = 1024 * 1024;

/// What [`ReorderBuffer::next`] found.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// The next event.
    Event(AgentEvent),
    /// This many events are in neither source.
    Missing(u64),
    /// Events are missing that the segments may contain later.
    Later,
    /// No further event is known.
    Nothing,
}

/// How far the events of a job were read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    /// The number of the last event.
    pub(super) seq: u64,
    /// The number of the first segment that may contain later events.
    pub(super) segment: u32,
}

/// The buffered output, the segments, and the number of the last event that was returned.
pub(super) struct ReorderBuffer {
    last: u64,
    /// The highest number that the job is known to have used.
    highest: u64,
    buffered: BTreeMap<u64, AgentEvent>,
    bytes: usize,
    segments: Option<Segments>,
    has_ended: bool,
    /// Whether `highest` is the number of the job's last event.
    knows_last: bool,
    given_up: bool,
}

impl ReorderBuffer {
    /// A buffer that continues after event number `last`.
    pub(super) fn after(last: u64, segments: Option<Segments>) -> Self {
        let given_up = segments.is_none();
        Self {
            last,
            highest: last,
            buffered: BTreeMap::new(),
            bytes: 0,
            segments,
            has_ended: false,
            knows_last: false,
            given_up,
        }
    }

    /// Adds an event of the output.
    pub(super) fn push(&mut self, event: AgentEvent) {
        if event.seq > self.last {
            self.highest = self.highest.max(event.seq);
            self.bytes += size(&event);
            self.buffered.insert(event.seq, event);
        }
    }

    /// Whether no output may be added for now.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > MAX_BYTES
    }

    /// Whether events are missing.
    pub(super) fn has_gap(&self) -> bool {
        self.highest > self.last
    }

    /// Records that the job writes no more segments and, if known, the number of its last event.
    pub(super) fn set_ended(&mut self, highest: Option<u64>) {
        self.has_ended = true;
        self.knows_last = highest.is_some();
        self.highest = self.highest.max(highest.unwrap_or(0));
        if let Some(segments) = &mut self.segments {
            segments.read_now();
        }
    }

    /// Treats events as missing that the segments do not contain now.
    pub(super) fn give_up(&mut self) {
        self.given_up = true;
    }

    /// Returns the next event, or why there is none.
    pub(super) async fn next(&mut self) -> Next {
        let wanted = self.last + 1;
        if let Some(event) = self.buffered.remove(&wanted) {
            self.bytes -= size(&event);
            return self.advance_to(event);
        }
        // After the end, the segments may contain events that nothing else announced, unless the number of events is known.
        if !self.has_gap() && (!self.has_ended || self.knows_last) {
            return Next::Nothing;
        }
        let stored = match &mut self.segments {
            Some(segments) => segments.peek(self.last).await,
            None => None,
        };
        match stored {
            Some(seq) if seq == wanted => match self.segments.as_mut().and_then(Segments::take) {
                Some(event) => self.advance_to(event),
                None => Next::Later,
            },
            // Segments are written in order: they never contain a number lower than one they already contain.
            Some(seq) => self.skip_to(seq),
            None if self.given_up && self.has_gap() => self.skip_to(self.highest + 1),
            None if self.has_gap() || self.is_in_doubt() => Next::Later,
            None => Next::Nothing,
        }
    }

    fn is_in_doubt(&self) -> bool {
        !self.given_up && self.segments.as_ref().is_some_and(|segments| segments.in_doubt)
    }

    fn advance_to(&mut self, event: AgentEvent) -> Next {
        self.last = event.seq;
        self.highest = self.highest.max(event.seq);
        Next::Event(event)
    }

    /// Skips the missing events before number `seq`, or before the first buffered one.
    fn skip_to(&mut self, seq: u64) -> Next {
        let until = self.buffered.keys().next().map_or(seq, |first| seq.min(*first));
        let missing = until - self.last - 1;
        self.last = until - 1;
        Next::Missing(missing)
    }

    /// Whether the job writes segments.
    pub(super) fn has_segments(&self) -> bool {
        self.segments.is_some()
    }

    /// How far events were returned or skipped.
    pub(super) fn position(&self) -> Position {
        Position { seq: self.last, segment: self.segments.as_ref().map_or(0, Segments::position) }
    }
}

/// The approximate size of an event in memory, in bytes.
fn size(event: &AgentEvent) -> usize {
    let text = match &event.body {
        EventBody::Log { message, .. } => message.len(),
        EventBody::Progress(_) | EventBody::Waiting(_) | EventBody::Result(_) => 0,
    };
    text + size_of::<AgentEvent>()
}

#[cfg(test)]
mod tests {
    use model::Level;

    use super::*;

    fn event(seq: u64) -> AgentEvent {
        let body = EventBody::Log { level: Level::Info, message: format!("line {seq}") };
        AgentEvent { seq, at: chrono::DateTime::UNIX_EPOCH, body }
    }

    /// A store in a temporary directory, with log segments.
    struct SegmentStore(tempfile::TempDir);

    impl SegmentStore {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("temporary directory"))
        }

        fn buffer(&self, last: u64) -> ReorderBuffer {
            let url = format!("file://{}", self.0.path().display());
            let store = image::Store::open(&url, &image::StoreOptions::default()).expect("store");
            ReorderBuffer::after(last, Some(Segments::new(store, "images/i/1".to_owned(), 0)))
        }

        fn write(&self, k: u32, numbers: impl IntoIterator<Item = u64>) {
            let dir = self.0.path().join("images/i/1");
            std::fs::create_dir_all(&dir).expect("created");
            let lines: String = numbers
                .into_iter()
                .map(|seq| serde_json::to_string(&event(seq)).expect("JSON") + "\n")
                .collect();
            std::fs::write(dir.join(format!("log-{k}.jsonl")), lines).expect("written");
        }
    }

    async fn drain(buffer: &mut ReorderBuffer) -> (Vec<u64>, u64, Next) {
        let (mut numbers, mut missing) = (Vec::new(), 0);
        loop {
            match buffer.next().await {
                Next::Event(event) => numbers.push(event.seq),
                Next::Missing(n) => missing += n,
                end => return (numbers, missing, end),
            }
        }
    }

    #[tokio::test]
    async fn events_after_a_gap_wait_for_the_segments() {
        let stored = SegmentStore::new();
        let mut buffer = stored.buffer(0);
        for seq in [1, 2, 5, 6] {
            buffer.push(event(seq));
        }
        assert_eq!(drain(&mut buffer).await, (vec![1, 2], 0, Next::Later));
        stored.write(0, 1..=3);
        assert_eq!(
            drain(&mut buffer).await,
            (vec![], 0, Next::Later),
            "the store is not read more than once a second"
        );
        buffer.segments.as_mut().expect("store").read_now();
        assert_eq!(drain(&mut buffer).await, (vec![3], 0, Next::Later));
        stored.write(1, 4..=9);
        buffer.segments.as_mut().expect("store").read_now();
        assert_eq!(drain(&mut buffer).await, (vec![4, 5, 6], 0, Next::Nothing));
        assert!(!buffer.has_gap());
    }

    #[tokio::test]
    async fn segments_are_read_in_numeric_order() {
        let stored = SegmentStore::new();
        for k in 0..250 {
            stored.write(u32::try_from(k).expect("small"), k * 100 + 1..=k * 100 + 100);
        }
        let mut buffer = stored.buffer(150);
        buffer.set_ended(None);
        let (numbers, missing, end) = drain(&mut buffer).await;
        assert_eq!((numbers, missing, end), ((151..=25_000).collect(), 0, Next::Nothing));
    }

    #[tokio::test]
    async fn events_that_the_segments_skip_are_missing_at_once() {
        let stored = SegmentStore::new();
        stored.write(0, [1, 2, 8]);
        let mut buffer = stored.buffer(0);
        buffer.push(event(5));
        assert_eq!(drain(&mut buffer).await, (vec![1, 2, 5], 2, Next::Nothing));
        buffer.push(event(9));
        assert_eq!(drain(&mut buffer).await, (vec![8, 9], 2, Next::Nothing));
    }

    #[tokio::test]
    async fn gap_at_the_end_is_reported_after_giving_up() {
        let stored = SegmentStore::new();
        let mut buffer = stored.buffer(0);
        buffer.push(event(1));
        buffer.set_ended(Some(4));
        assert_eq!(drain(&mut buffer).await, (vec![1], 0, Next::Later));
        buffer.give_up();
        assert_eq!(drain(&mut buffer).await, (vec![], 3, Next::Nothing));
        let mut unstored = ReorderBuffer::after(0, None);
        unstored.push(event(3));
        assert_eq!(drain(&mut unstored).await, (vec![3], 2, Next::Nothing));
    }

    #[tokio::test]
    async fn buffered_events_are_bounded() {
        let stored = SegmentStore::new();
        let mut buffer = stored.buffer(0);
        let pushed = (2_u64..).take_while(|seq| {
            buffer.push(event(*seq));
            !buffer.is_full()
        });
        assert!(pushed.count() < 20_000);
    }
}
