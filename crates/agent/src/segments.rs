//! Writes the log to the store in segments, `log-<k>.jsonl`, one every few seconds: standard output may be lost.
//!
//! A slow store blocks the writers of the log; a failing store does not stop the job. It knows no events.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use image::Store;
use model::{Failure, FailureCode};

use crate::redact::Redactor;
use crate::stderr::log_stderr;

/// The longest time before a line is written.
const INTERVAL: Duration = Duration::from_secs(5);
/// The number of pending bytes that are written at once.
const SEGMENT: usize = 256 * 1024;
/// The maximum number of pending bytes. Writers of the log wait while there are more.
const CAPACITY: usize = 1024 * 1024;
/// How long writers wait. If the store accepted nothing for this time, the oldest lines are lost, which the numbers show as a gap.
const STALLED: Duration = Duration::from_secs(60);
/// The time limit of one attempt to write a segment.
const ATTEMPT: Duration = Duration::from_secs(20);
/// The pause after a failed attempt.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end of a job waits for the store.
const FLUSH: Duration = Duration::from_secs(10);

/// The writer of segments. Clones write to the same log.
#[derive(Clone)]
pub(crate) struct Segments(Option<Arc<Inner>>);

struct Inner {
    state: Mutex<State>,
    /// Signals a change of the state to the writer and to those that wait for it.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Complete lines that are not in a segment yet.
    pending: Vec<u8>,
    /// Since when the current segment is being written.
    writing: Option<Instant>,
    /// Whether pending lines are written without delay.
    flushing: bool,
}

impl Segments {
    /// A log that is not written to a store.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Starts a thread that writes segments below a prefix of a store.
    pub(crate) fn start(store: Store, prefix: String, redactor: Redactor) -> Self {
        let inner = Arc::new(Inner { state: Mutex::default(), changed: Condvar::new() });
        let mut writer = Writer { store, prefix, redactor, next: 0 };
        let shared = Arc::clone(&inner);
        // Not a task: those that wait for it may block all threads of the job's runtime.
        let started = std::thread::Builder::new().name("segments".to_owned()).spawn(move || {
            match tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build() {
                Ok(runtime) => shared.write_all(&mut writer, &runtime),
                Err(error) => log_stderr(&format!("the log is written to standard output only: {error}")),
            }
        });
        match started {
            Ok(_) => Self(Some(inner)),
            Err(error) => {
                log_stderr(&format!("the log is written to standard output only: {error}"));
                Self::none()
            }
        }
    }

    /// Adds a line; blocks while too many bytes are pending.
    pub(crate) fn add(&self, line: &[u8]) {
        let Some(inner) = &self.0 else { return };
        let mut state = inner.state();
        while state.pending.len() + line.len() > CAPACITY {
            if state.writing.is_some_and(|since| since.elapsed() > STALLED) {
                state.drop_oldest();
                break;
            }
            state = inner.wait(state, PAUSE);
        }
        let first = state.pending.is_empty();
        state.pending.extend_from_slice(line);
        if first || state.pending.len() >= SEGMENT {
            inner.changed.notify_all();
        }
    }

    /// Waits until the store has all lines, or until a time limit.
    pub(crate) async fn flush(&self) {
        let Some(inner) = self.0.clone() else { return };
        let flushed = tokio::task::spawn_blocking(move || inner.flush()).await;
        if !flushed.unwrap_or(false) {
            log_stderr("the end of the log was not written to the store in time");
        }
    }
}

impl State {
    /// Drops the older half of the pending bytes, by complete lines.
    fn drop_oldest(&mut self) {
        let from = self.pending.len().saturating_sub(CAPACITY / 2);
        let line = self.pending[from..].iter().position(|byte| *byte == b'\n');
        self.pending.drain(..line.map_or(self.pending.len(), |at| from + at + 1));
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, at most `most`.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Writes segments until the process ends.
    fn write_all(&self, writer: &mut Writer, runtime: &tokio::runtime::Runtime) {
        loop {
            let lines = self.gather();
            let mut uncertain = false;
            while let Err(error) = runtime.block_on(writer.write(&lines, uncertain)) {
                // Logged once for each segment: it is retried until it succeeds.
                if !std::mem::replace(&mut uncertain, true) {
                    let error = writer.redactor.clean(&error.to_string());
                    log_stderr(&format!("cannot write the log to the store, retrying: {error}"));
                }
                std::thread::sleep(PAUSE);
            }
            self.state().writing = None;
            self.changed.notify_all();
        }
    }

    /// Waits for the content of the next segment: enough bytes, or the interval.
    fn gather(&self) -> Bytes {
        let mut state = self.state();
        let mut due: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if !state.pending.is_empty() {
                let due = *due.get_or_insert(now + INTERVAL);
                if state.flushing || state.pending.len() >= SEGMENT || now >= due {
                    state.writing = Some(now);
                    return std::mem::take(&mut state.pending).into();
                }
            }
            state = self.wait(state, due.map_or(INTERVAL, |due| due - now));
        }
    }

    fn flush(&self) -> bool {
        let deadline = Instant::now() + FLUSH;
        let mut state = self.state();
        state.flushing = true;
        self.changed.notify_all();
        while !state.pending.is_empty() || state.writing.is_some() {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
            state = self.wait(state, left.min(PAUSE));
        }
        true
    }
}

/// Writes segments to a store.
struct Writer {
    store: Store,
    prefix: String,
    redactor: Redactor,
    /// The number of the next segment.
    next: u32,
}

impl Writer {
    /// Writes a segment once. After a failed attempt (`uncertain`), it may exist already.
    async fn write(&mut self, lines: &Bytes, uncertain: bool) -> image::Result<()> {
        loop {
            let key = format!("{}/log-{}.jsonl", self.prefix, self.next);
            let create = tokio::time::timeout(ATTEMPT, self.store.create(&key, lines.clone())).await;
            match create {
                Ok(Err(error)) if error.code() == FailureCode::ObjectExists => {
                    if !(uncertain && self.store.get(&key).await? == lines) {
                        // A job that a user started again continues after the existing segments.
                        self.next += 1;
                        continue;
                    }
                }
                Ok(written) => written?,
                Err(_) => {
                    let detail = format!("no answer within {} s", ATTEMPT.as_secs());
                    return Err(Failure::new(FailureCode::StoreUnavailable, detail).on(key).into());
                }
            }
            self.next += 1;
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_complete_lines_are_dropped_first() {
        let mut state = State::default();
        for n in 0.. {
            let line = format!("line {n} {}\n", "x".repeat(n % 300));
            if state.pending.len() + line.len() > CAPACITY {
                break;
            }
            state.pending.extend_from_slice(line.as_bytes());
        }
        let before = state.pending.clone();
        state.drop_oldest();
        assert!(before.ends_with(&state.pending) && state.pending.starts_with(b"line "));
        assert!(state.pending.len() <= CAPACITY / 2 && state.pending.len() > CAPACITY / 2 - 400);
    }
}
