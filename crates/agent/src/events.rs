//! The events of a job: numbered, one line of JSON each, on standard output and in the segments of the log. A closed standard
//! output does not stop the job.

use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::Utc;
use model::agent::MAX_MESSAGE;
use model::log::single_line;
use model::{AgentEvent, AgentResult, EventBody, Failure, Level, Progress};

use crate::segments::Segments;

/// The most bytes of log messages of one job.
const MAX_LOG: usize = 256 << 20;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputMode {
    /// One JSON object a line on standard output: the contract with the server.
    Json,
    /// Text on standard error, for commands that a user starts.
    Text,
}

/// The writer of events. Clones write to the same log.
#[derive(Clone)]
pub(crate) struct Events(Arc<Inner>);

struct Inner {
    mode: OutputMode,
    segments: Segments,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of the last event.
    seq: u64,
    /// Whether the last line was written in part: the next one must begin on a new line.
    is_cut: bool,
    quota: Quota,
    last_phase: String,
}

impl Events {
    /// Starts with number 1.
    pub(crate) fn new(mode: OutputMode, segments: Segments) -> Self {
        Self(Arc::new(Inner { mode, segments, state: Mutex::default() }))
    }

    /// Emits a log line, shortened to [`MAX_MESSAGE`]. Lines beyond [`MAX_LOG`] are dropped: what an image contains can report
    /// messages without end.
    pub(crate) fn log(&self, level: Level, message: impl Into<String>) {
        let message = one_line(&message.into(), MAX_MESSAGE);
        let admission = self.state().quota.admit(message.len());
        match admission {
            Admission::Kept => self.emit(EventBody::Log { level, message }),
            Admission::Full => self.emit(EventBody::Log { level: Level::Warn, message: full() }),
            Admission::Dropped => {}
        }
    }

    /// Emits the progress.
    pub(crate) fn progress(&self, progress: Progress) {
        self.emit(EventBody::Progress(progress));
    }

    /// Emits the last event and returns the result as it was emitted: with the number of events, shortened to fit.
    pub(crate) fn result(&self, mut result: AgentResult) -> AgentResult {
        result.failure = result.failure.map(|failure| Failure {
            subject: failure.subject.map(|subject| one_line(&subject, MAX_MESSAGE)),
            detail: one_line(&failure.detail, MAX_MESSAGE),
            ..failure
        });
        result.events = self.state().seq;
        let result = crate::result::fitted(result);
        self.emit(EventBody::Result(result.clone()));
        result
    }

    /// Waits until the store has all lines, or until a time limit.
    pub(crate) async fn flush(&self) {
        self.0.segments.flush().await;
    }

    fn emit(&self, body: EventBody) {
        let mut state = self.state();
        state.seq += 1;
        let event = AgentEvent { seq: state.seq, at: Utc::now(), body };
        let Ok(mut line) = serde_json::to_vec(&event) else { return };
        line.push(b'\n');
        match self.0.mode {
            OutputMode::Json => write_line(&mut state, &line),
            OutputMode::Text => write_text(&mut state, &event.body),
        }
        self.0.segments.add(&line);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much was logged.
#[derive(Default)]
struct Quota {
    bytes: usize,
}

/// What becomes of a log line.
#[derive(Debug, PartialEq, Eq)]
enum Admission {
    Kept,
    /// The first line that is dropped: say so.
    Full,
    Dropped,
}

impl Quota {
    fn admit(&mut self, bytes: usize) -> Admission {
        let was_full = self.bytes > MAX_LOG;
        self.bytes = self.bytes.saturating_add(bytes);
        match (was_full, self.bytes > MAX_LOG) {
            (false, false) => Admission::Kept,
            (false, true) => Admission::Full,
            (true, _) => Admission::Dropped,
        }
    }
}

fn full() -> String {
    format!("the log of this job has reached {} MiB; further lines are dropped", MAX_LOG >> 20)
}

/// One line without characters that change its display, at most `most` bytes long.
fn one_line(text: &str, most: usize) -> String {
    let mut line = single_line(text);
    if line.len() > most {
        line.truncate(line.floor_char_boundary(most - '…'.len_utf8()));
        line.push('…');
    }
    line
}

/// Writes a line to standard output. Errors are ignored: the job continues, and the store has the line.
fn write_line(state: &mut State, line: &[u8]) {
    let mut out = std::io::stdout().lock();
    if state.is_cut && out.write_all(b"\n").is_err() {
        return;
    }
    state.is_cut = out.write_all(line).and_then(|()| out.flush()).is_err();
}

fn write_text(state: &mut State, body: &EventBody) {
    let text = match body {
        EventBody::Log { level: Level::Info, message } => message.clone(),
        EventBody::Log { level: Level::Debug, .. } | EventBody::Waiting(_) | EventBody::Result(_) => return,
        EventBody::Log { level, message } => format!("{level}: {message}"),
        EventBody::Progress(progress) if progress.phase != state.last_phase => {
            state.last_phase.clone_from(&progress.phase);
            format!("{} …", progress.phase)
        }
        EventBody::Progress(_) => return,
    };
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_one_line_of_limited_length() {
        assert_eq!(one_line("a\nb \u{1b}[31m\u{202e}\n", 100), "a b [31m");
        let cut = one_line(&"ä".repeat(MAX_MESSAGE), MAX_MESSAGE);
        assert!(cut.len() <= MAX_MESSAGE && cut.ends_with("ä…"), "{}", cut.len());
    }
    #[test]
    fn lines_beyond_the_quota_are_dropped_and_one_says_so() {
        let mut quota = Quota::default();
        assert_eq!(quota.admit(MAX_LOG), Admission::Kept);
        assert_eq!(quota.admit(0), Admission::Kept);
        assert_eq!(quota.admit(1), Admission::Full);
        assert_eq!(quota.admit(0), Admission::Dropped);
        assert_eq!(quota.admit(usize::MAX), Admission::Dropped);
    }
}
