//! A job's events in the order of their numbers: from its output, and where that has a gap from the store's segments. A
//! gap is one only when both have passed it. It keeps nothing and knows no run.

use std::collections::BTreeMap;

use model::{AgentEvent, EventBody};

use super::segments::Segments;

/// How many bytes are held behind a gap; then the output has to wait.
const HELD: usize = 1024 * 1024;

/// What comes next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// The next event.
    Event(AgentEvent),
    /// So many events are in neither place.
    Missing(u64),
    /// Events are known to be missing that the segments may have soon.
    Later,
    /// Nothing more is known of.
    Nothing,
}

/// The two places that events come from, and how far they were given.
pub(super) struct Order {
    last: u64,
    /// The highest number that is known to have been used.
    known: u64,
    held: BTreeMap<u64, AgentEvent>,
    bytes: usize,
    segments: Option<Segments>,
    over: bool,
    given_up: bool,
}

impl Order {
    /// Goes on behind event number `last`.
    pub(super) fn after(last: u64, segments: Option<Segments>) -> Self {
        let given_up = segments.is_none();
        Self { last, known: last, held: BTreeMap::new(), bytes: 0, segments, over: false, given_up }
    }

    /// Takes an event of the output in.
    pub(super) fn push(&mut self, event: AgentEvent) {
        if event.seq > self.last {
            self.known = self.known.max(event.seq);
            self.bytes += size(&event);
            self.held.insert(event.seq, event);
        }
    }

    /// Whether no more should be pushed now.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > HELD
    }

    /// Whether events are missing.
    pub(super) fn has_gap(&self) -> bool {
        self.known > self.last
    }

    /// The job writes no more segments, and has used the numbers up to `known`, where that is known.
    pub(super) fn is_over(&mut self, known: Option<u64>) {
        self.over = true;
        self.known = self.known.max(known.unwrap_or(0));
        if let Some(segments) = &mut self.segments {
            segments.hurry();
        }
    }

    /// What is not in the segments by now will never be.
    pub(super) fn give_up(&mut self) {
        self.given_up = true;
    }

    /// What comes next.
    pub(super) async fn next(&mut self) -> Next {
        let wanted = self.last + 1;
        if let Some(event) = self.held.remove(&wanted) {
            self.bytes -= size(&event);
            return self.give(event);
        }
        if !self.has_gap() && !self.over {
            return Next::Nothing;
        }
        let stored = match &mut self.segments {
            Some(segments) => segments.peek(self.last).await,
            None => None,
        };
        match stored {
            Some(seq) if seq == wanted => match self.segments.as_mut().and_then(Segments::take) {
                Some(event) => self.give(event),
                None => Next::Later,
            },
            // Segments are written in order: what they have passed they will never have.
            Some(seq) => self.skip(seq),
            None if self.given_up && self.has_gap() => self.skip(self.known + 1),
            None if self.has_gap() || self.is_in_doubt() => Next::Later,
            None => Next::Nothing,
        }
    }

    fn is_in_doubt(&self) -> bool {
        !self.given_up && self.segments.as_ref().is_some_and(|segments| segments.in_doubt)
    }

    fn give(&mut self, event: AgentEvent) -> Next {
        self.last = event.seq;
        self.known = self.known.max(event.seq);
        Next::Event(event)
    }

    /// Passes over what is missing before number `seq`, or before what is held.
    fn skip(&mut self, seq: u64) -> Next {
        let until = self.held.keys().next().map_or(seq, |held| seq.min(*held));
        let missing = until - self.last - 1;
        self.last = until - 1;
        Next::Missing(missing)
    }

    /// Whether there are segments to look into.
    pub(super) fn has_store(&self) -> bool {
        self.segments.is_some()
    }

    /// The number of the last event that was given or passed over.
    pub(super) fn last(&self) -> u64 {
        self.last
    }
}

/// About how many bytes an event takes.
fn size(event: &AgentEvent) -> usize {
    let words = match &event.body {
        EventBody::Log { message, .. } => message.len(),
        EventBody::Progress(_) | EventBody::Result(_) => 0,
    };
    words + size_of::<AgentEvent>()
}

#[cfg(test)]
mod tests {
    use model::Level;

    use super::*;

    fn event(seq: u64) -> AgentEvent {
        let body = EventBody::Log { level: Level::Info, message: format!("line {seq}") };
        AgentEvent { seq, at: chrono::DateTime::UNIX_EPOCH, body }
    }

    /// A store, and the way to write segment `k` of it.
    struct Stored(tempfile::TempDir);

    impl Stored {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a directory"))
        }

        fn order(&self, last: u64) -> Order {
            let url = format!("file://{}", self.0.path().display());
            let store = image::Store::open(&url, &image::StoreOptions::default()).expect("a store");
            Order::after(last, Some(Segments::of(store, "images/i/1".to_owned())))
        }

        fn write(&self, k: u32, numbers: impl IntoIterator<Item = u64>) {
            let dir = self.0.path().join("images/i/1");
            std::fs::create_dir_all(&dir).expect("made");
            let lines: String = numbers
                .into_iter()
                .map(|seq| serde_json::to_string(&event(seq)).expect("JSON") + "\n")
                .collect();
            std::fs::write(dir.join(format!("log-{k}.jsonl")), lines).expect("written");
        }
    }

    async fn all(order: &mut Order) -> (Vec<u64>, u64, Next) {
        let (mut given, mut missing) = (Vec::new(), 0);
        loop {
            match order.next().await {
                Next::Event(event) => given.push(event.seq),
                Next::Missing(n) => missing += n,
                end => return (given, missing, end),
            }
        }
    }

    #[tokio::test]
    async fn what_comes_behind_a_gap_waits_until_the_segments_have_it() {
        let stored = Stored::new();
        let mut order = stored.order(0);
        for seq in [1, 2, 5, 6] {
            order.push(event(seq));
        }
        assert_eq!(all(&mut order).await, (vec![1, 2], 0, Next::Later));
        stored.write(0, 1..=3);
        assert_eq!(all(&mut order).await, (vec![], 0, Next::Later), "the store is not asked all the time");
        order.segments.as_mut().expect("a store").hurry();
        assert_eq!(all(&mut order).await, (vec![3], 0, Next::Later));
        stored.write(1, 4..=9);
        order.segments.as_mut().expect("a store").hurry();
        assert_eq!(all(&mut order).await, (vec![4, 5, 6], 0, Next::Nothing));
        assert!(!order.has_gap());
    }

    #[tokio::test]
    async fn segments_come_in_the_order_of_their_numbers() {
        let stored = Stored::new();
        for k in 0..250 {
            stored.write(u32::try_from(k).expect("small"), k * 100 + 1..=k * 100 + 100);
        }
        let mut order = stored.order(150);
        order.is_over(None);
        let (given, missing, end) = all(&mut order).await;
        assert_eq!((given, missing, end), ((151..=25_000).collect(), 0, Next::Nothing));
    }

    #[tokio::test]
    async fn what_the_segments_have_passed_is_a_gap_at_once() {
        let stored = Stored::new();
        stored.write(0, [1, 2, 8]);
        let mut order = stored.order(0);
        order.push(event(5));
        assert_eq!(all(&mut order).await, (vec![1, 2, 5], 2, Next::Nothing));
        order.push(event(9));
        assert_eq!(all(&mut order).await, (vec![8, 9], 2, Next::Nothing));
    }

    #[tokio::test]
    async fn a_gap_at_the_end_is_one_when_nobody_hopes_any_more() {
        let stored = Stored::new();
        let mut order = stored.order(0);
        order.push(event(1));
        order.is_over(Some(4));
        assert_eq!(all(&mut order).await, (vec![1], 0, Next::Later));
        order.give_up();
        assert_eq!(all(&mut order).await, (vec![], 3, Next::Nothing));
        let mut nowhere = Order::after(0, None);
        nowhere.push(event(3));
        assert_eq!(all(&mut nowhere).await, (vec![3], 2, Next::Nothing));
    }

    #[tokio::test]
    async fn what_is_held_is_bounded() {
        let stored = Stored::new();
        let mut order = stored.order(0);
        let pushed = (2_u64..).take_while(|seq| {
            order.push(event(*seq));
            !order.is_full()
        });
        assert!(pushed.count() < 20_000);
    }
}
