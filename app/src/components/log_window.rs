//! The part of a run's log that the page holds: a stretch of the lines that pass the filter, never more than so many.
//! Older and newer ones are fetched when asked for; what is searched, the database searches in all lines.

use leptos::prelude::*;
use model::{LogFilter, LogLine, LogPage, LogStretch, RunId};

use crate::api::runs::get_log;

/// How many lines the page holds at most.
const KEPT: usize = 2000;

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
    /// Whether a stretch is being fetched.
    pub loading: RwSignal<bool>,
    /// What arrived while a stretch was being fetched.
    meanwhile: StoredValue<Vec<LogLine>>,
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
            meanwhile: StoredValue::new(Vec::new()),
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
        if self.loading.get_untracked() {
            self.meanwhile.update_value(|lines| {
                cut_front(lines, more);
            });
        } else if !self.later.get_untracked() && !more.is_empty() {
            self.append(more);
        }
    }

    fn append(self, more: Vec<LogLine>) {
        let mut cut = false;
        self.lines.update(|lines| cut = cut_front(lines, more));
        if cut {
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
        let turn = self.turn.get_value() + 1;
        self.turn.set_value(turn);
        self.meanwhile.set_value(Vec::new());
        self.loading.set(true);
        let filter = self.filter.get_untracked();
        leptos::task::spawn_local(async move {
            let page = get_log(self.run, filter, stretch).await;
            // The page may be gone, or have asked for something else since.
            if self.turn.try_get_value() != Some(turn) {
                return;
            }
            self.loading.set(false);
            if let Ok(page) = page {
                self.take(stretch, page);
            }
        });
    }

    fn take(self, stretch: LogStretch, page: LogPage) {
        let arrived = self.meanwhile.try_update_value(std::mem::take).unwrap_or_default();
        let arrived = arrived.into_iter().filter(|line| line.n > page.newest);
        match stretch {
            LogStretch::Before(_) => {
                let mut cut = false;
                self.lines.update(|lines| {
                    lines.splice(0..0, page.lines);
                    cut = lines.len() > KEPT;
                    lines.truncate(KEPT);
                });
                self.earlier.set(page.earlier);
                if cut {
                    self.later.set(true);
                } else if !self.later.get_untracked() {
                    self.append(arrived.collect());
                }
                return;
            }
            LogStretch::Last => {
                self.lines.set(page.lines);
                self.earlier.set(page.earlier);
            }
            LogStretch::After(_) => {
                // A stretch that does not join on to what is held stands alone.
                let joins = self.lines.with_untracked(|lines| {
                    lines.last().is_some_and(|last| stretch == LogStretch::After(last.n))
                });
                if joins {
                    self.append(page.lines);
                } else {
                    self.lines.set(page.lines);
                    self.earlier.set(page.earlier);
                }
            }
        }
        self.later.set(page.later);
        let more: Vec<LogLine> = arrived.collect();
        self.matches.set(page.matches + i64::try_from(more.len()).unwrap_or(0));
        if !page.later {
            self.append(more);
        }
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

/// Adds lines and keeps the last ones; whether older ones had to go.
fn cut_front(lines: &mut Vec<LogLine>, more: Vec<LogLine>) -> bool {
    lines.extend(more);
    let over = lines.len().saturating_sub(KEPT);
    lines.drain(..over);
    over > 0
}
