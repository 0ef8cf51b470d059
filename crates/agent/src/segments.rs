//! The log's way into the store: lines gathered into `log-<k>.jsonl`, one every few seconds, because standard output may be
//! forgotten. It knows no events; a store that is slow makes whoever speaks wait, one that fails does not stop the job.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use image::Store;

use crate::run::complain;

/// How long a line waits at most before it is on its way.
const EVERY: Duration = Duration::from_secs(5);
/// How many bytes wait at most before they are.
const FULL: usize = 256 * 1024;
/// With so many bytes waiting, whoever has more to say waits too.
const KEPT: usize = 1024 * 1024;
/// For so long. A store that took nothing in that time loses the oldest lines, which shows as a gap.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one try to write a segment may take.
const TRY: Duration = Duration::from_secs(20);
/// How long to leave a store alone that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end of a job waits for the store.
const LAST: Duration = Duration::from_secs(10);

/// Where lines go. Clones go to the same place.
#[derive(Clone)]
pub(crate) struct Segments(Option<Arc<Inner>>);

struct Inner {
    state: Mutex<State>,
    /// Something changed that the writer, or somebody who waits for it, is to look at.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whole lines that no segment holds yet.
    pending: Vec<u8>,
    /// Since when the store has had a segment to take that it has not taken.
    writing: Option<Instant>,
    /// Somebody waits for the end: what waits goes at once.
    flushing: bool,
}

impl Segments {
    /// Nowhere.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Below a prefix of a store; starts the thread that writes them.
    pub(crate) fn start(store: Store, prefix: String) -> Self {
        let inner = Arc::new(Inner { state: Mutex::default(), changed: Condvar::new() });
        let mut writer = Writer { store, prefix, next: 0 };
        let shared = Arc::clone(&inner);
        // Not a task: whoever waits for it may hold the last thread of the job's runtime.
        let started = std::thread::Builder::new().name("segments".to_owned()).spawn(move || {
            match tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build() {
                Ok(runtime) => shared.write_all(&mut writer, &runtime),
                Err(error) => complain(&format!("the log goes to standard output only: {error}")),
            }
        });
        match started {
            Ok(_) => Self(Some(inner)),
            Err(error) => {
                complain(&format!("the log goes to standard output only: {error}"));
                Self::none()
            }
        }
    }

    /// Takes a line; waits while the store has too much to do.
    pub(crate) fn add(&self, line: &[u8]) {
        let Some(inner) = &self.0 else { return };
        let mut state = inner.state();
        while state.pending.len() + line.len() > KEPT {
            if state.writing.is_some_and(|since| since.elapsed() > PATIENCE) {
                state.drop_oldest();
                break;
            }
            state = inner.wait(state, PAUSE);
        }
        let first = state.pending.is_empty();
        state.pending.extend_from_slice(line);
        if first || state.pending.len() >= FULL {
            inner.changed.notify_all();
        }
    }

    /// Waits until the store has what was said, or took too long.
    pub(crate) async fn flush(&self) {
        let Some(inner) = self.0.clone() else { return };
        let flushed = tokio::task::spawn_blocking(move || inner.flush()).await;
        if !flushed.unwrap_or(false) {
            complain("the store took too long to take the end of the log");
        }
    }
}

impl State {
    /// Half of what waits goes, by whole lines.
    fn drop_oldest(&mut self) {
        let from = self.pending.len().saturating_sub(KEPT / 2);
        let line = self.pending[from..].iter().position(|byte| *byte == b'\n');
        self.pending.drain(..line.map_or(self.pending.len(), |at| from + at + 1));
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something changed, or so long.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Writes segment after segment, for ever: the process' end is its own.
    fn write_all(&self, writer: &mut Writer, runtime: &tokio::runtime::Runtime) {
        loop {
            let lines = self.gather();
            let mut uncertain = false;
            while let Err(error) = runtime.block_on(writer.write(&lines, uncertain)) {
                // Once: it is tried again and again.
                if !std::mem::replace(&mut uncertain, true) {
                    complain(&format!("the log cannot be written to the store yet: {error}"));
                }
                std::thread::sleep(PAUSE);
            }
            self.state().writing = None;
            self.changed.notify_all();
        }
    }

    /// What the next segment holds: whichever comes first, enough lines or enough time.
    fn gather(&self) -> Bytes {
        let mut state = self.state();
        let mut due: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if !state.pending.is_empty() {
                let due = *due.get_or_insert(now + EVERY);
                if state.flushing || state.pending.len() >= FULL || now >= due {
                    state.writing = Some(now);
                    return std::mem::take(&mut state.pending).into();
                }
            }
            state = self.wait(state, due.map_or(EVERY, |due| due - now));
        }
    }

    fn flush(&self) -> bool {
        let deadline = Instant::now() + LAST;
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

/// Knows the store and the number of the next segment.
struct Writer {
    store: Store,
    prefix: String,
    next: u32,
}

impl Writer {
    /// Writes a segment once. After a try that failed, `uncertain`, it may be there already.
    async fn write(&mut self, lines: &Bytes, uncertain: bool) -> image::Result<()> {
        loop {
            let key = format!("{}/log-{}.jsonl", self.prefix, self.next);
            let create = tokio::time::timeout(TRY, self.store.create(&key, lines.clone())).await;
            match create {
                Ok(Err(image::Error::Exists(_))) if uncertain && self.store.get(&key).await? == lines => {}
                // An attempt that was started anew by hand goes on behind what is there.
                Ok(Err(image::Error::Exists(_))) => {
                    self.next += 1;
                    continue;
                }
                Ok(written) => written?,
                Err(_) => {
                    let cause = format!("no answer within {} s", TRY.as_secs());
                    return Err(image::Error::Transient { key, cause });
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
    fn what_a_dead_store_loses_is_whole_lines_and_the_oldest() {
        let mut state = State::default();
        for n in 0.. {
            let line = format!("line {n} {}\n", "x".repeat(n % 300));
            if state.pending.len() + line.len() > KEPT {
                break;
            }
            state.pending.extend_from_slice(line.as_bytes());
        }
        let before = state.pending.clone();
        state.drop_oldest();
        assert!(before.ends_with(&state.pending) && state.pending.starts_with(b"line "));
        assert!(state.pending.len() <= KEPT / 2 && state.pending.len() > KEPT / 2 - 400);
    }
}
