//! The lines of a container's log: cut out of a stream, told apart from those that were read before, made into events. It
//! knows no cluster.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, Utc};
use futures::{AsyncBufRead, AsyncBufReadExt};
use k8s_openapi::jiff::Timestamp;
use model::{AgentEvent, EventBody, Level};

/// The longest line that is taken for one; an agent's are shorter.
const LONGEST: usize = 64 * 1024;
/// How many lines that are no events are remembered, to tell them apart from what is read again.
const REMEMBERED: usize = 4096;

/// The lines of a stream; one that is too long comes in pieces. Whoever stops waiting for one loses nothing.
pub(super) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, line: Vec::new() }
    }

    /// The next line; none at the end. The end of a stream that is not the end of a line is nothing: it is read again.
    pub(super) async fn next(&mut self) -> std::io::Result<Option<String>> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let room = LONGEST - self.line.len();
            let end = chunk.iter().take(room).position(|byte| *byte == b'\n');
            let taken = end.map_or(chunk.len().min(room), |end| end + 1);
            self.line.extend_from_slice(&chunk[..end.unwrap_or(taken)]);
            self.reader.consume_unpin(taken);
            if end.is_some() || self.line.len() == LONGEST {
                let line = String::from_utf8_lossy(&self.line).into_owned();
                self.line.clear();
                return Ok(Some(line));
            }
        }
    }
}

/// How far a log was read: by the agent's numbers, and by the times that the kubelet wrote.
#[derive(Debug)]
pub(super) struct Cursor {
    seq: u64,
    at: Option<DateTime<Utc>>,
    said: VecDeque<u64>,
}

impl Cursor {
    /// Behind the event of that number.
    pub(super) fn after(seq: u64) -> Self {
        Self { seq, at: None, said: VecDeque::new() }
    }

    /// From when on to read again: a second early, for the cluster knows whole seconds only.
    pub(super) fn since(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.at?.timestamp() - 1).ok()
    }

    /// What a line says, unless it was said before. A line that is no event is a crash's last words.
    pub(super) fn take(&mut self, line: &str) -> Option<AgentEvent> {
        let (at, text) = match line.split_once(' ') {
            Some((stamp, text)) => match DateTime::parse_from_rfc3339(stamp) {
                Ok(at) => (at.with_timezone(&Utc), text),
                Err(_) => (self.at.unwrap_or_else(Utc::now), line),
            },
            None => (self.at.unwrap_or_else(Utc::now), line),
        };
        self.at = self.at.max(Some(at));
        if let Ok(event) = serde_json::from_str::<AgentEvent>(text)
            && event.seq > 0
        {
            let new = event.seq > self.seq;
            self.seq = self.seq.max(event.seq);
            return new.then_some(event);
        }
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        let hash = hasher.finish();
        if text.trim().is_empty() || self.said.contains(&hash) {
            return None;
        }
        if self.said.len() == REMEMBERED {
            self.said.pop_front();
        }
        self.said.push_back(hash);
        Some(said(at, Level::Error, text.to_owned()))
    }
}

/// A line that no agent numbered.
pub(super) fn said(at: DateTime<Utc>, level: Level, message: String) -> AgentEvent {
    AgentEvent { seq: 0, at, body: EventBody::Log { level, message } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64) -> String {
        let event = AgentEvent {
            seq,
            at: Utc::now(),
            body: EventBody::Log { level: Level::Info, message: "x".into() },
        };
        serde_json::to_string(&event).expect("an event")
    }

    async fn lines(bytes: &[u8]) -> Vec<String> {
        // The smallest buffer: every line comes in pieces.
        let mut lines = Lines::new(futures::io::BufReader::with_capacity(3, bytes));
        let mut found = vec![];
        while let Some(line) = lines.next().await.expect("read") {
            found.push(line);
        }
        found
    }

    #[tokio::test]
    async fn lines_are_whole_or_cut_and_never_too_long() {
        assert_eq!(lines(b"one\n\ntw\xffo\nthe end of a str").await, ["one", "", "tw\u{fffd}o"]);
        let long = lines(&[vec![b'a'; LONGEST * 2 + 5], vec![b'\n']].concat()).await;
        assert_eq!(long.iter().map(String::len).collect::<Vec<_>>(), [LONGEST, LONGEST, 5]);
    }

    #[test]
    fn what_is_read_again_is_said_once() {
        let mut cursor = Cursor::after(1);
        assert_eq!(cursor.since(), None);
        let first = format!("2026-11-22T07:52:53.700000001Z {}", event(1));
        let second = format!("2026-11-22T07:52:53.800000002Z {}", event(2));
        let words = "2026-11-22T07:52:53.900000003Z panicked: \"x\"";
        assert_eq!(cursor.take(&first), None, "before where it begins");
        assert_eq!(cursor.take(&second).map(|event| event.seq), Some(2));
        let complaint = cursor.take(words).expect("a crash's last words");
        assert_eq!((complaint.seq, complaint.at.timestamp_subsec_nanos()), (0, 900_000_003));
        for line in [&first, &second, words] {
            assert_eq!(cursor.take(line), None, "{line}");
        }
        assert!(cursor.take("2026-11-22T07:52:53.900000004Z panicked: \"x\"").is_some(), "said again, later");
        let since = cursor.since().expect("a time").to_string();
        assert_eq!(since, "2026-11-22T07:52:52Z", "floored, and a second before");
        let jump = format!("2026-11-22T07:52:54Z {}", event(9));
        assert_eq!(cursor.take(&jump).map(|event| event.seq), Some(9), "a gap is passed on");
        assert_eq!(cursor.take("2026-11-22T07:52:54Z "), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut cursor = Cursor::after(0);
        for n in 0..3 * REMEMBERED {
            assert!(cursor.take(&format!("2026-11-22T07:52:53Z words {n}")).is_some());
        }
        assert_eq!(cursor.said.len(), REMEMBERED);
    }
}
