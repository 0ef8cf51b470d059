//! The lines of a container's log: split from a stream, deduplicated against earlier reads, converted to events. It makes no
//! calls.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, Utc};
use futures::{AsyncBufRead, AsyncBufReadExt};
use k8s_openapi::jiff::Timestamp;
use model::{AgentEvent, EventBody, Level};

/// The longest line in bytes. Longer ones are split; those of an agent are shorter.
const LONGEST: usize = 64 * 1024;
/// How many lines without an event are remembered for deduplication.
const REMEMBERED: usize = 4096;

/// The lines of a stream. Dropping the future of [`Self::next`] loses nothing.
pub(super) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, line: Vec::new() }
    }

    /// The next line; none at the end. An incomplete last line is discarded, because it is read again.
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

impl<R> Lines<R> {
    /// Whether the stream ended with a failure that the kubelet wrote into it, as it does if the file is missing during a rotation:
    /// a last line without line feed and without the timestamp that each line of a container has.
    pub(super) fn failed(&self) -> bool {
        !self.line.is_empty() && split_timestamp(&String::from_utf8_lossy(&self.line)).is_none()
    }
}

/// The timestamp that the kubelet puts before each line of a container, and the line.
fn split_timestamp(line: &str) -> Option<(DateTime<Utc>, &str)> {
    let (stamp, text) = line.split_once(' ')?;
    Some((DateTime::parse_from_rfc3339(stamp).ok()?.with_timezone(&Utc), text))
}

/// How far a log was read: by the agent's event numbers, and by the kubelet's timestamps.
#[derive(Debug)]
pub(super) struct Cursor {
    seq: u64,
    at: Option<DateTime<Utc>>,
    /// Hashes of the last lines without an event.
    passed: VecDeque<u64>,
}

impl Cursor {
    /// The position after the event with this number.
    pub(super) fn after(seq: u64) -> Self {
        Self { seq, at: None, passed: VecDeque::new() }
    }

    /// The time from which the log is to be read again: one second early, because the API takes whole seconds.
    pub(super) fn since(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.at?.timestamp() - 1).ok()
    }

    /// The event of a line, unless it was passed on before. A line without an event is the output of a crash.
    pub(super) fn take(&mut self, line: &str) -> Option<AgentEvent> {
        let (at, text) = split_timestamp(line).unwrap_or_else(|| (self.at.unwrap_or_else(Utc::now), line));
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
        if text.trim().is_empty() || self.passed.contains(&hash) {
            return None;
        }
        if self.passed.len() == REMEMBERED {
            self.passed.pop_front();
        }
        self.passed.push_back(hash);
        Some(unnumbered(at, EventBody::Log { level: Level::Error, message: text.to_owned() }))
    }
}

/// An event that the agent did not emit.
pub(super) fn unnumbered(at: DateTime<Utc>, body: EventBody) -> AgentEvent {
    AgentEvent { seq: 0, at, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64) -> String {
        let body = EventBody::Log { level: Level::Info, message: "x".into() };
        serde_json::to_string(&AgentEvent { seq, at: Utc::now(), body }).expect("an event")
    }

    async fn lines(bytes: &[u8]) -> Vec<String> {
        // A tiny buffer, so that every line arrives in parts.
        let mut lines = Lines::new(futures::io::BufReader::with_capacity(3, bytes));
        let mut found = vec![];
        while let Some(line) = lines.next().await.expect("read") {
            found.push(line);
        }
        found
    }

    #[tokio::test]
    async fn long_lines_are_split_and_incomplete_ones_discarded() {
        assert_eq!(lines(b"one\n\ntw\xffo\nthe end of a str").await, ["one", "", "tw\u{fffd}o"]);
        let long = lines(&[vec![b'a'; LONGEST * 2 + 5], vec![b'\n']].concat()).await;
        assert_eq!(long.iter().map(String::len).collect::<Vec<_>>(), [LONGEST, LONGEST, 5]);
    }

    #[tokio::test]
    async fn failure_of_the_kubelet_is_no_interrupted_line() {
        const REPORT: &str =
            "failed to try resolving symlinks in path \"/var/log/pods/x/0.log\": no such file or directory";
        for (end, failed) in
            [(REPORT, true), ("", false), ("2026-11-22T07:52:53.700000001Z the start of a li", false)]
        {
            let text = format!("2026-11-22T07:52:53.600000001Z a line\n{end}");
            let mut lines = Lines::new(text.as_bytes());
            assert!(lines.next().await.expect("read").is_some());
            assert_eq!((lines.next().await.expect("read"), lines.failed()), (None, failed), "{end}");
        }
    }

    #[test]
    fn lines_that_are_read_again_are_passed_on_once() {
        let mut cursor = Cursor::after(1);
        assert_eq!(cursor.since(), None);
        let first = format!("2026-11-22T07:52:53.700000001Z {}", event(1));
        let second = format!("2026-11-22T07:52:53.800000002Z {}", event(2));
        let panic = "2026-11-22T07:52:53.900000003Z panicked: \"x\"";
        assert_eq!(cursor.take(&first), None, "before the cursor");
        assert_eq!(cursor.take(&second).map(|event| event.seq), Some(2));
        let output = cursor.take(panic).expect("the output of a crash");
        assert_eq!((output.seq, output.at.timestamp_subsec_nanos()), (0, 900_000_003));
        for line in [&first, &second, panic] {
            assert_eq!(cursor.take(line), None, "{line}");
        }
        assert!(
            cursor.take("2026-11-22T07:52:53.900000004Z panicked: \"x\"").is_some(),
            "a later repetition"
        );
        let since = cursor.since().expect("a time").to_string();
        assert_eq!(since, "2026-11-22T07:52:52Z", "rounded down, and one second early");
        let gap = format!("2026-11-22T07:52:54Z {}", event(9));
        assert_eq!(cursor.take(&gap).map(|event| event.seq), Some(9), "a gap is passed on");
        assert_eq!(cursor.take("2026-11-22T07:52:54Z "), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut cursor = Cursor::after(0);
        for n in 0..3 * REMEMBERED {
            assert!(cursor.take(&format!("2026-11-22T07:52:53Z line {n}")).is_some());
        }
        assert_eq!(cursor.passed.len(), REMEMBERED);
    }
}
