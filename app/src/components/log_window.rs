//! The part of a run's log that the page holds: a limited range of the lines that match the filter. Older and newer lines
//! are fetched on request; the server searches all lines. Arriving lines are drawn a few times a second, so that the page
//! stays responsive at any rate.

use std::time::Duration;

use leptos::prelude::*;
use model::{LogFilter, LogLine, LogPage, LogStretch, RunId};

use crate::api::runs::get_log;

/// The maximum number of lines that the page holds.
const MAX_HELD: usize = 2000;
/// The maximum number of lines that are drawn at once; of more, the last ones.
pub const MAX_DRAWN: usize = 500;
/// The minimum time between two drawings.
const DRAW_INTERVAL: Duration = Duration::from_millis(250);
/// The minimum time between two counts of skipped lines.
const COUNT_INTERVAL: Duration = Duration::from_secs(3);

/// Lines that have arrived and are not drawn yet.
#[derive(Default)]
struct Arrived {
    lines: Vec<LogLine>,
    /// Whether matching lines before them were skipped.
    skipped: bool,
    /// Whether a drawing is scheduled.
    scheduled: bool,
}

/// A range of a run's log.
#[derive(Clone, Copy)]
pub struct LogWindow {
    run: RunId,
    /// The held lines, by number.
    pub lines: RwSignal<Vec<LogLine>>,
    /// Whether matching lines precede them.
    pub earlier: RwSignal<bool>,
    /// Whether matching lines follow them; then arriving lines are only counted.
    pub later: RwSignal<bool>,
    /// The number of matching lines.
    pub matches: RwSignal<i64>,
    /// The number of the newest line.
    pub newest: RwSignal<i64>,
    /// The filter.
    pub filter: RwSignal<LogFilter>,
    /// Whether a range is being fetched that the user asked for.
    pub loading: RwSignal<bool>,
    /// Whether the view follows the end of the log.
    pub follow: RwSignal<bool>,
    arrived: StoredValue<Arrived>,
    /// Whether lines were skipped without counting those that match the filter.
    uncounted: StoredValue<bool>,
    /// Whether a range is being fetched.
    fetching: StoredValue<bool>,
    /// Whether the skipped lines were counted within [`COUNT_INTERVAL`].
    counted: StoredValue<bool>,
    /// The number of the newest fetch; results of older ones are discarded.
    generation: StoredValue<u64>,
}

impl LogWindow {
    /// Starts with the lines that the server rendered.
    #[must_use]
    pub fn new(run: RunId, filter: LogFilter, page: LogPage) -> Self {
        Self {
            run,
            lines: RwSignal::new(page.lines),
            earlier: RwSignal::new(page.earlier),
            later: RwSignal::new(page.later),
            matches: RwSignal::new(page.matches),
            newest: RwSignal::new(page.newest),
            filter: RwSignal::new(filter),
            loading: RwSignal::new(false),
            follow: RwSignal::new(true),
            arrived: StoredValue::new(Arrived::default()),
            uncounted: StoredValue::new(false),
            fetching: StoredValue::new(false),
            counted: StoredValue::new(false),
            generation: StoredValue::new(0),
        }
    }

    /// Adds new lines; lines that are known already, as after a reconnect, are ignored.
    pub fn add(self, more: Vec<LogLine>) {
        let known = self.newest.get_untracked();
        let mut more: Vec<LogLine> = more.into_iter().filter(|line| line.n > known).collect();
        let Some(newest) = more.last().map(|line| line.n) else { return };
        self.newest.set(newest);
        self.filter.with_untracked(|filter| more.retain(|line| filter.keeps(line)));
        self.matches.update(|matches| *matches += i64::try_from(more.len()).unwrap_or(0));
        self.arrived
            .update_value(|arrived| arrived.skipped |= append_limited(&mut arrived.lines, more, MAX_DRAWN));
        self.schedule_draw();
    }

    /// Records that the server skipped the lines up to number `to`, because there were too many.
    pub fn skip(self, to: i64) {
        let skipped = to - self.newest.get_untracked();
        if skipped <= 0 {
            return;
        }
        self.newest.set(to);
        if self.filter.with_untracked(LogFilter::is_empty) {
            self.matches.update(|matches| *matches += skipped);
        } else {
            self.uncounted.set_value(true);
        }
        self.arrived.update_value(|arrived| {
            arrived.lines.clear();
            arrived.skipped = true;
        });
        self.schedule_draw();
    }

    /// Draws the arrived lines at once, or after [`DRAW_INTERVAL`] if lines were drawn within it.
    fn schedule_draw(self) {
        let scheduled =
            self.arrived.try_update_value(|arrived| std::mem::replace(&mut arrived.scheduled, true));
        if scheduled == Some(false) {
            self.draw();
            set_timeout(
                move || {
                    // The page may have been left.
                    let more = self.arrived.try_update_value(|arrived| {
                        arrived.scheduled = false;
                        !arrived.lines.is_empty()
                    });
                    let uncounted = self.uncounted.try_get_value() == Some(true);
                    if more.is_some_and(|more| more || uncounted) {
                        self.schedule_draw();
                    }
                },
                DRAW_INTERVAL,
            );
        }
    }

    fn draw(self) {
        if self.fetching.get_value() || (self.counted.get_value() && self.uncounted.get_value()) {
            return;
        }
        let (lines, skipped) = self.take_arrived();
        if self.later.get_untracked() {
            return;
        }
        if self.uncounted.get_value() {
            self.fetch(LogStretch::Last, true);
        } else if !lines.is_empty() {
            self.append(lines, skipped);
        } else if skipped {
            // The next line that is drawn stands alone.
            self.arrived.update_value(|arrived| arrived.skipped = true);
        }
    }

    fn take_arrived(self) -> (Vec<LogLine>, bool) {
        let take = |arrived: &mut Arrived| {
            (std::mem::take(&mut arrived.lines), std::mem::take(&mut arrived.skipped))
        };
        self.arrived.try_update_value(take).unwrap_or_default()
    }

    /// Appends lines. After skipped lines they replace the held ones.
    fn append(self, more: Vec<LogLine>, skipped: bool) {
        let overflows = skipped || self.lines.with_untracked(Vec::len) + more.len() > MAX_HELD;
        if overflows && !self.follow.get_untracked() {
            // The user is reading the held lines.
            self.later.set(true);
            return;
        }
        self.lines.update(|lines| {
            if skipped {
                lines.clear();
            }
            append_limited(lines, more, MAX_HELD);
        });
        if overflows {
            self.earlier.set(true);
        }
    }

    /// Applies a filter and loads the last lines that match it.
    pub fn search(self, filter: LogFilter) {
        self.filter.set(filter);
        self.load(LogStretch::Last);
    }

    /// Fetches a range.
    pub fn load(self, stretch: LogStretch) {
        self.loading.set(true);
        self.fetch(stretch, false);
    }

    fn fetch(self, stretch: LogStretch, recounts: bool) {
        let generation = self.generation.get_value() + 1;
        self.generation.set_value(generation);
        self.take_arrived();
        self.uncounted.set_value(false);
        self.fetching.set_value(true);
        let filter = self.filter.get_untracked();
        leptos::task::spawn_local(async move {
            let page = get_log(self.run, filter, stretch).await;
            // The page may have been left, or have started another fetch.
            if self.generation.try_get_value() != Some(generation) {
                return;
            }
            self.loading.set(false);
            self.fetching.set_value(false);
            if recounts {
                self.counted.set_value(true);
                let expire = move || {
                    // The page may have been left.
                    let _ = self.counted.try_set_value(false);
                };
                set_timeout(expire, COUNT_INTERVAL);
            }
            if let Ok(page) = page {
                self.take(stretch, page);
            }
        });
    }

    fn take(self, stretch: LogStretch, page: LogPage) {
        let (mut arrived, mut skipped) = self.take_arrived();
        arrived.retain(|line| line.n > page.newest);
        // Lines of the page were not skipped.
        skipped &= self.newest.get_untracked() > page.newest;
        if let LogStretch::Before(_) = stretch {
            self.lines.update(|lines| {
                lines.splice(0..0, page.lines);
                if lines.len() > MAX_HELD {
                    lines.truncate(MAX_HELD);
                    self.later.set(true);
                }
            });
            self.earlier.set(page.earlier);
        } else {
            // A range that does not continue the held lines replaces them.
            let continues = self.lines.with_untracked(|lines| {
                lines.last().is_some_and(|last| stretch == LogStretch::After(last.n))
            });
            if continues {
                self.lines.update(|lines| {
                    if append_limited(lines, page.lines, MAX_HELD) {
                        self.earlier.set(true);
                    }
                });
            } else {
                self.lines.set(page.lines);
                self.earlier.set(page.earlier);
            }
            self.later.set(page.later);
            self.matches.set(page.matches + i64::try_from(arrived.len()).unwrap_or(0));
        }
        self.arrived.update_value(|pending| {
            pending.lines = arrived;
            pending.skipped = skipped;
        });
        self.schedule_draw();
    }

    /// Fetches the lines before the first held line.
    pub fn load_earlier(self) {
        if let Some(first) = self.lines.with_untracked(|lines| lines.first().map(|line| line.n)) {
            self.load(LogStretch::Before(first));
        }
    }

    /// Fetches the lines after the last held line.
    pub fn load_later(self) {
        if let Some(last) = self.lines.with_untracked(|lines| lines.last().map(|line| line.n)) {
            self.load(LogStretch::After(last));
        }
    }
}

/// Appends lines and keeps the last `max` of all. Returns whether older lines were dropped.
fn append_limited(lines: &mut Vec<LogLine>, more: Vec<LogLine>, max: usize) -> bool {
    lines.extend(more);
    let over = lines.len().saturating_sub(max);
    lines.drain(..over);
    over > 0
}
