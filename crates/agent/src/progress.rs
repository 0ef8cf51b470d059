//! Measures the progress of a job and reports it at intervals.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::Progress;

/// The shortest interval between two reports.
const INTERVAL: Duration = Duration::from_millis(500);
/// The period over which the rate is averaged.
const WINDOW: Duration = Duration::from_secs(5);

/// The progress of one job. Several connections add to it.
pub(crate) struct Meter<'a> {
    report: &'a (dyn Fn(Progress) + Sync),
    state: Mutex<State>,
}

struct State {
    now: Progress,
    /// Bytes of the current part: processed and expected.
    part: (u64, u64),
    /// Expected bytes of the parts before it.
    before: u64,
    reported: Option<Instant>,
    samples: VecDeque<(Instant, u64)>,
}

impl<'a> Meter<'a> {
    /// Starts in a phase for which `bytes` are expected.
    pub(crate) fn new(report: &'a (dyn Fn(Progress) + Sync), phase: &str, bytes: u64) -> Self {
        let now = Progress {
            phase: phase.to_owned(),
            bytes_total: Some(bytes),
            total: Some(0),
            ..Progress::default()
        };
        Self {
            report,
            state: Mutex::new(State {
                now,
                part: (0, 0),
                before: 0,
                reported: None,
                samples: VecDeque::new(),
            }),
        }
    }

    /// Starts a part of `tables` tables and `bytes` bytes. The total so far included `estimate` bytes for it.
    pub(crate) fn begin(&self, tables: u64, bytes: u64, estimate: u64) {
        self.change(true, |state| {
            state.before += state.part.1;
            state.part = (0, bytes);
            let total = state.now.bytes_total.unwrap_or(0);
            state.now.bytes_total = Some(total.saturating_sub(estimate).max(state.before) + bytes);
            state.now.total = Some(state.now.total.unwrap_or(0) + tables);
        });
    }

    /// Sets the name of the phase.
    pub(crate) fn phase(&self, phase: &str) {
        self.change(true, |state| state.now.phase = phase.to_owned());
    }

    /// Adds processed bytes.
    pub(crate) fn add(&self, bytes: u64) {
        self.change(false, |state| state.part.0 += bytes);
    }

    /// Adds one to the number of completed tables.
    pub(crate) fn table_done(&self) {
        self.change(false, |state| state.now.done += 1);
    }

    fn change(&self, report_now: bool, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let at = Instant::now();
        if !report_now && state.reported.is_some_and(|last| at - last < INTERVAL) {
            return;
        }
        // The size as text differs from the size on the source's disk: the progress never exceeds what was expected.
        let bytes = state.before + state.part.0.min(state.part.1);
        state.now.bytes = bytes;
        state.samples.push_back((at, bytes));
        while state.samples.len() > 2 && state.samples.front().is_some_and(|(when, _)| at - *when > WINDOW) {
            state.samples.pop_front();
        }
        state.now.rate = state.samples.front().and_then(|(when, then)| per_second(bytes - then, at - *when));
        state.reported = Some(at);
        let now = state.now.clone();
        drop(state);
        (self.report)(now);
    }
}

fn per_second(bytes: u64, time: Duration) -> Option<u64> {
    u64::try_from(u128::from(bytes) * 1000 / time.as_millis().max(1)).ok().filter(|_| time > INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_grow_and_never_exceed_the_total() {
        let reports = Mutex::new(Vec::new());
        let report = |progress: Progress| reports.lock().expect("lock").push(progress);
        let meter = Meter::new(&report, "rows", 300);
        meter.begin(2, 80, 100);
        meter.add(1000);
        meter.table_done();
        meter.begin(1, 500, 200);
        meter.add(200);
        meter.phase("index");
        let reports = reports.into_inner().expect("lock");
        assert!(reports.windows(2).all(|w| w[0].bytes <= w[1].bytes), "{reports:?}");
        assert!(reports.iter().all(|p| Some(p.bytes) <= p.bytes_total), "{reports:?}");
        let last = reports.last().expect("a report");
        assert_eq!(
            (last.bytes, last.bytes_total, last.done, last.total, last.phase.as_str()),
            (280, Some(580), 1, Some(3), "index")
        );
    }
}
