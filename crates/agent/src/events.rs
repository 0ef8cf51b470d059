//! A job's events: numbered, secrets taken out, one line of JSON each on standard output and in the log's segments. A reader
//! that went away stops nothing.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::Utc;
use model::agent::MAX_MESSAGE;
use model::{AgentEvent, AgentResult, EventBody, Level, Progress};

use crate::secret::Redactor;
use crate::segments::Segments;

/// How events are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// One JSON object a line on standard output: the contract with the server.
    Json,
    /// Words on standard error, for whoever started the agent by hand.
    Words,
}

/// The way out for events. Clones are the same way.
#[derive(Clone)]
pub(crate) struct Events(Arc<Inner>);

struct Inner {
    show: Show,
    redactor: Redactor,
    segments: Segments,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seq: u64,
    /// A line was cut by an error: the next one must not be glued to it.
    cut: bool,
    last_phase: String,
}

impl Events {
    /// Begins with number 1.
    pub(crate) fn new(show: Show, redactor: Redactor, segments: Segments) -> Self {
        Self(Arc::new(Inner { show, redactor, segments, state: Mutex::default() }))
    }

    /// A line for people.
    pub(crate) fn log(&self, level: Level, message: impl Into<String>) {
        let message = self.line(&message.into(), MAX_MESSAGE);
        self.emit(EventBody::Log { level, message });
    }

    /// How far the job is.
    pub(crate) fn progress(&self, progress: Progress) {
        self.emit(EventBody::Progress(progress));
    }

    /// The last event; `result.events` is filled in. What was shown is given back.
    pub(crate) fn result(&self, mut result: AgentResult) -> AgentResult {
        result.error = result.error.map(|error| self.line(&error, MAX_MESSAGE));
        result.events = self.0.state.lock().unwrap_or_else(PoisonError::into_inner).seq;
        let result = crate::result::fitted(result);
        self.emit(EventBody::Result(result.clone()));
        result
    }

    /// Waits until the store has all lines, or cannot have them.
    pub(crate) async fn flush(&self) {
        self.0.segments.flush().await;
    }

    /// One line without secrets and control characters, cut where it is too long.
    fn line(&self, text: &str, most: usize) -> String {
        let clean = self.0.redactor.clean(text);
        let mut line = clean.trim_end().replace(['\n', '\r', '\t'], " ");
        line.retain(|c| !c.is_control());
        if line.len() > most {
            line.truncate(line.floor_char_boundary(most - '…'.len_utf8()));
            line.push('…');
        }
        line
    }

    fn emit(&self, body: EventBody) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.seq += 1;
        let event = AgentEvent { seq: state.seq, at: Utc::now(), body };
        let Ok(mut line) = serde_json::to_vec(&event) else { return };
        line.push(b'\n');
        match self.0.show {
            Show::Json => write_line(&mut state, &line),
            Show::Words => say(&mut state, &event.body),
        }
        self.0.segments.add(&line);
    }
}

/// Whoever read our output may be gone, and the disk below it full: the job goes on, and the store has the line.
fn write_line(state: &mut State, line: &[u8]) {
    let mut out = std::io::stdout().lock();
    if state.cut && out.write_all(b"\n").is_err() {
        return;
    }
    state.cut = out.write_all(line).and_then(|()| out.flush()).is_err();
}

fn say(state: &mut State, body: &EventBody) {
    let words = match body {
        EventBody::Log { level: Level::Info, message } => message.clone(),
        EventBody::Log { level: Level::Debug, .. } | EventBody::Result(_) => return,
        EventBody::Log { level, message } => format!("{level}: {message}"),
        EventBody::Progress(progress) if progress.phase != state.last_phase => {
            state.last_phase.clone_from(&progress.phase);
            format!("{} …", progress.phase)
        }
        EventBody::Progress(_) => return,
    };
    // Nobody listens: fine.
    let _ = writeln!(std::io::stderr(), "{words}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_line_is_one_line_without_secrets_and_not_too_long() {
        let secret = Secret::new("canary-1".to_owned());
        let events = Events::new(Show::Words, Redactor::new([&secret]), Segments::none());
        assert_eq!(events.line("a\nb canary-1\u{1b}[31m\n", 100), "a b [secret][31m");
        let cut = events.line(&"ä".repeat(MAX_MESSAGE), MAX_MESSAGE);
        assert!(cut.len() <= MAX_MESSAGE && cut.ends_with("ä…"), "{}", cut.len());
    }
}
