//! The part of a run's log that the page holds: a stretch of the lines that pass the filter, never more than so many.
//! Older and newer ones are fetched when asked for; what is searched, the database searches in all lines. What arrives is
//! drawn a few times a second, however much it is: the page stays at hand in a flood.

use std::time::Duration;

use leptos::prelude::*;
use model::{LogFilter, LogLine, LogPage, LogStretch, RunId};

use crate::api::runs::get_log;

/// How many lines the page holds at most.
const KEPT: usize = 2000;
/// How many lines are drawn at once; of a flood those that came last.
pub const MOST: usize = 500;
/// How long what was drawn last stays at least.
const REST: Duration = Duration::from_millis(250);
/// How long lines that were left out are not counted again at least.
const RECOUNT: Duration = Duration::from_secs(3);

/// What has arrived and is not drawn yet.
#[derive(Default)]
struct Arrived {
    lines: Vec<LogLine>,
    /// Whether lines that pass were left out before them.
    skipped: bool,
    /// Whether a time to draw is set.
    awaited: bool,
}

/// A stretch of a run's log.
#[derive(Clone, Copy)]
pub struct LogWindow {
    run: RunId,
    /// The lines that are held, by number.
    pub lines: RwSignal<Vec<LogLine>>,
    /// Whether lines that pass come before them.
    pub earlier: RwSignal<bool>,
    /// Whether lines that pass come after them; then what arrives live is only counted.
    pub later: RwSignal<bool>,
    /// How many lines pass in all.
    pub matches: RwSignal<i64>,
    /// The number of the newest line.
    pub newest: RwSignal<i64>,
    /// Which lines pass.
    pub filter: RwSignal<LogFilter>,
    /// Whether a stretch is being fetched that somebody waits for.
    pub loading: RwSignal<bool>,
    /// Whether the end is what is being read; else what is there stays.
    pub follow: RwSignal<bool>,
    arrived: StoredValue<Arrived>,
    /// Whether lines were left out of which nobody knows how many pass the filter.
    uncounted: StoredValue<bool>,
    /// Whether a stretch is being fetched, whoever wants it.
    fetching: StoredValue<bool>,
    /// Whether those were counted just now.
    counted: StoredValue<bool>,
    /// Which fetch counts: an older one that comes late does not.
    turn: StoredValue<u64>,
}

impl LogWindow {
    /// Begins with what the server rendered.
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
            turn: StoredValue::new(0),
        }
    }

    /// Adds lines that are new; a repeat after a broken connection adds nothing.
    pub fn add(self, more: Vec<LogLine>) {
        let known = self.newest.get_untracked();
        let mut more: Vec<LogLine> = more.into_iter().filter(|line| line.n > known).collect();
        let Some(newest) = more.last().map(|line| line.n) else { return };
        self.newest.set(newest);
        self.filter.with_untracked(|filter| more.retain(|line| filter.keeps(line)));
        self.matches.update(|matches| *matches += i64::try_from(more.len()).unwrap_or(0));
        self.arrived.update_value(|arrived| arrived.skipped |= cut_front(&mut arrived.lines, more, MOST));
        self.draw_in_time();
    }

    /// Lines up to this number were left out: there were more than anybody could read.
    pub fn skip(self, to: i64) {
        let left_out = to - self.newest.get_untracked();
        if left_out <= 0 {
            return;
        }
        self.newest.set(to);
        if self.filter.with_untracked(LogFilter::is_empty) {
            self.matches.update(|matches| *matches += left_out);
        } else {
            self.uncounted.set_value(true);
        }
        self.arrived.update_value(|arrived| {
            arrived.lines.clear();
            arrived.skipped = true;
        });
        self.draw_in_time();
    }

    /// Draws what has arrived, at once if nothing was drawn just now.
    fn draw_in_time(self) {
        let awaited = self.arrived.try_update_value(|arrived| std::mem::replace(&mut arrived.awaited, true));
        if awaited == Some(false) {
            self.draw();
            set_timeout(
                move || {
                    // The page may be gone.
                    let more = self.arrived.try_update_value(|arrived| {
                        arrived.awaited = false;
                        !arrived.lines.is_empty()
                    });
                    let uncounted = self.uncounted.try_get_value() == Some(true);
                    if more.is_some_and(|more| more || uncounted) {
                        self.draw_in_time();
                    }
                },
                REST,
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
            // Until there is something to show.
            self.arrived.update_value(|arrived| arrived.skipped = true);
        }
    }

    fn take_arrived(self) -> (Vec<LogLine>, bool) {
        let take = |arrived: &mut Arrived| {
            (std::mem::take(&mut arrived.lines), std::mem::take(&mut arrived.skipped))
        };
        self.arrived.try_update_value(take).unwrap_or_default()
    }

    /// Adds lines at the end, after those that were left out, if any were.
    fn append(self, more: Vec<LogLine>, skipped: bool) {
        let many = skipped || self.lines.with_untracked(Vec::len) + more.len() > KEPT;
        if many && !self.follow.get_untracked() {
            // Somebody reads what is there.
            self.later.set(true);
            return;
        }
        self.lines.update(|lines| {
            if skipped {
                lines.clear();
            }
            cut_front(lines, more, KEPT);
        });
        if many {
            self.earlier.set(true);
        }
    }

    /// Shows other lines: those that pass this filter, the last ones first.
    pub fn search(self, filter: LogFilter) {
        self.filter.set(filter);
        self.load(LogStretch::Last);
    }

    /// Fetches a stretch.
    pub fn load(self, stretch: LogStretch) {
        self.loading.set(true);
        self.fetch(stretch, false);
    }

    fn fetch(self, stretch: LogStretch, counts: bool) {
        let turn = self.turn.get_value() + 1;
        self.turn.set_value(turn);
        self.take_arrived();
        self.uncounted.set_value(false);
        self.fetching.set_value(true);
        let filter = self.filter.get_untracked();
        leptos::task::spawn_local(async move {
            let page = get_log(self.run, filter, stretch).await;
            // The page may be gone, or have asked for something else since.
            if self.turn.try_get_value() != Some(turn) {
                return;
            }
            self.loading.set(false);
            self.fetching.set_value(false);
            if counts {
                self.counted.set_value(true);
                let again = move || {
                    // The page may be gone.
                    let _ = self.counted.try_set_value(false);
                };
                set_timeout(again, RECOUNT);
            }
            if let Ok(page) = page {
                self.take(stretch, page);
            }
        });
    }

    fn take(self, stretch: LogStretch, page: LogPage) {
        let (mut arrived, mut skipped) = self.take_arrived();
        arrived.retain(|line| line.n > page.newest);
        // What is in the page was not left out.
        skipped &= self.newest.get_untracked() > page.newest;
        if let LogStretch::Before(_) = stretch {
            self.lines.update(|lines| {
                lines.splice(0..0, page.lines);
                if lines.len() > KEPT {
                    lines.truncate(KEPT);
                    self.later.set(true);
                }
            });
            self.earlier.set(page.earlier);
        } else {
            // A stretch that does not join on to what is held stands alone.
            let joins = self.lines.with_untracked(|lines| {
                lines.last().is_some_and(|last| stretch == LogStretch::After(last.n))
            });
            if joins {
                self.lines.update(|lines| {
                    if cut_front(lines, page.lines, KEPT) {
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
        self.arrived.update_value(|to_draw| {
            to_draw.lines = arrived;
            to_draw.skipped = skipped;
        });
        self.draw_in_time();
    }

    /// Fetches the lines before the first that is held.
    pub fn load_earlier(self) {
        if let Some(first) = self.lines.with_untracked(|lines| lines.first().map(|line| line.n)) {
            self.load(LogStretch::Before(first));
        }
    }

    /// Fetches the lines after the last that is held.
    pub fn load_later(self) {
        if let Some(last) = self.lines.with_untracked(|lines| lines.last().map(|line| line.n)) {
            self.load(LogStretch::After(last));
        }
    }
}

/// Adds lines and keeps so many of the last ones; whether older ones had to go.
fn cut_front(lines: &mut Vec<LogLine>, more: Vec<LogLine>, kept: usize) -> bool {
    lines.extend(more);
    let over = lines.len().saturating_sub(kept);
    lines.drain(..over);
    over > 0
}
