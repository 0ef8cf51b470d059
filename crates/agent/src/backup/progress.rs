//! Counts what the connections of a job do and tells of it now and then. It writes nothing itself.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::Progress;

/// How often to tell.
const EVERY: Duration = Duration::from_millis(500);
/// Over how long a rate is taken.
const WINDOW: Duration = Duration::from_secs(5);

/// Bytes and tables of one job.
pub(crate) struct Meter<'a> {
    tell: &'a (dyn Fn(Progress) + Sync),
    state: Mutex<State>,
}

struct State {
    now: Progress,
    /// Bytes of the part at hand, and how many were expected of it.
    part: (u64, u64),
    /// Bytes of the parts before it.
    before: u64,
    told: Option<Instant>,
    seen: VecDeque<(Instant, u64)>,
}

impl<'a> Meter<'a> {
    /// Begins a phase in which `bytes` are expected.
    pub(crate) fn new(tell: &'a (dyn Fn(Progress) + Sync), phase: &str, bytes: u64) -> Self {
        let now = Progress {
            phase: phase.to_owned(),
            bytes_total: Some(bytes),
            total: Some(0),
            ..Progress::default()
        };
        Self {
            tell,
            state: Mutex::new(State { now, part: (0, 0), before: 0, told: None, seen: VecDeque::new() }),
        }
    }

    /// A part begins: `tables` are in it and `bytes`, where `guessed` bytes were expected so far.
    pub(crate) fn begin(&self, tables: u64, bytes: u64, guessed: u64) {
        self.change(true, |state| {
            state.before += state.part.1;
            state.part = (0, bytes);
            let total = state.now.bytes_total.unwrap_or(0);
            state.now.bytes_total = Some(total.saturating_sub(guessed).max(state.before) + bytes);
            state.now.total = Some(state.now.total.unwrap_or(0) + tables);
        });
    }

    /// Names what goes on now.
    pub(crate) fn phase(&self, phase: &str) {
        self.change(true, |state| state.now.phase = phase.to_owned());
    }

    /// Bytes were copied.
    pub(crate) fn add(&self, bytes: u64) {
        self.change(false, |state| state.part.0 += bytes);
    }

    /// A table is done.
    pub(crate) fn table_done(&self) {
        self.change(false, |state| state.now.done += 1);
    }

    fn change(&self, tell_now: bool, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let at = Instant::now();
        if !tell_now && state.told.is_some_and(|told| at - told < EVERY) {
            return;
        }
        // As text a table takes other space than on the source's disk: never more than all of it is done.
        let bytes = state.before + state.part.0.min(state.part.1);
        state.now.bytes = bytes;
        state.seen.push_back((at, bytes));
        while state.seen.len() > 2 && state.seen.front().is_some_and(|(when, _)| at - *when > WINDOW) {
            state.seen.pop_front();
        }
        state.now.rate = state.seen.front().and_then(|(when, then)| per_second(bytes - then, at - *when));
        state.told = Some(at);
        let now = state.now.clone();
        drop(state);
        (self.tell)(now);
    }
}

fn per_second(bytes: u64, time: Duration) -> Option<u64> {
    u64::try_from(u128::from(bytes) * 1000 / time.as_millis().max(1)).ok().filter(|_| time > EVERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_only_ever_grow_and_never_pass_the_total() {
        let told = Mutex::new(Vec::new());
        let tell = |progress: Progress| told.lock().expect("lock").push(progress);
        let meter = Meter::new(&tell, "rows", 300);
        meter.begin(2, 80, 100);
        meter.add(1000);
        meter.table_done();
        meter.begin(1, 500, 200);
        meter.add(200);
        meter.phase("index");
        let told = told.into_inner().expect("lock");
        assert!(told.windows(2).all(|w| w[0].bytes <= w[1].bytes), "{told:?}");
        assert!(told.iter().all(|p| Some(p.bytes) <= p.bytes_total), "{told:?}");
        let last = told.last().expect("told");
        assert_eq!(
            (last.bytes, last.bytes_total, last.done, last.total, last.phase.as_str()),
            (280, Some(580), 1, Some(3), "index")
        );
    }
}
