//! Stretches of a run's log: which lines somebody wants, and what they get. It knows no store.

use serde::{Deserialize, Serialize};

use crate::agent::Level;
use crate::run::LogLine;

/// Which lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogFilter {
    /// Only those with this in their text, in any case of letters; all if empty.
    pub search: String,
    /// Only those that are at least as grave.
    pub level: Level,
}

impl Default for LogFilter {
    fn default() -> Self {
        Self { search: String::new(), level: Level::Debug }
    }
}

impl LogFilter {
    /// Whether all lines pass.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.search.is_empty() && self.level == Level::Debug
    }

    /// Whether this line passes.
    #[must_use]
    pub fn keeps(&self, line: &LogLine) -> bool {
        line.level >= self.level
            && (self.search.is_empty() || line.message.to_lowercase().contains(&self.search.to_lowercase()))
    }
}

/// Which stretch of the lines that pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStretch {
    /// The last ones.
    #[default]
    Last,
    /// The last ones before this number.
    Before(i64),
    /// The first ones after this number.
    After(i64),
}

/// A stretch of a log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogPage {
    /// The lines, by number.
    pub lines: Vec<LogLine>,
    /// Whether lines that pass come before them.
    pub earlier: bool,
    /// Whether lines that pass come after them.
    pub later: bool,
    /// How many lines pass in all.
    pub matches: i64,
    /// The number of the newest line, whether it passes or not.
    pub newest: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_minimum_and_letters_have_no_case() {
        let line = |level, message: &str| LogLine {
            n: 1,
            at: chrono::DateTime::UNIX_EPOCH,
            level,
            step: "RunBackupJob".to_owned(),
            message: message.to_owned(),
        };
        let filter = LogFilter { search: "Orders".to_owned(), level: Level::Warn };
        assert!(filter.keeps(&line(Level::Error, "table ORDERS is damaged")));
        assert!(filter.keeps(&line(Level::Warn, "orders")));
        assert!(!filter.keeps(&line(Level::Info, "orders")));
        assert!(!filter.keeps(&line(Level::Error, "billing")));
        assert!(LogFilter::default().keeps(&line(Level::Debug, "")));
    }
}
