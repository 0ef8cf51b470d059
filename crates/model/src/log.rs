//! Lines of a run's log, and the parts of a log that clients request.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::text_enum::text_enum;

text_enum! {
    /// The severity of a log line, in ascending order.
    Level {
        /// Details for troubleshooting.
        Debug = "debug",
        /// Normal operation.
        Info = "info",
        /// A condition that may need attention.
        Warn = "warn",
        /// A failure.
        Error = "error",
    }
}

/// Whether a character changes how the text around it is displayed: control characters, line and paragraph separators, and
/// the characters that change the direction of text.
#[must_use]
pub fn changes_display(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line: line breaks and tabs become spaces, other characters that change the display are removed.
#[must_use]
pub fn single_line(text: &str) -> String {
    let breaks = |c: char| matches!(c, '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut line = text.trim_end().replace(breaks, " ");
    line.retain(|c| !changes_display(c));
    line
}

/// One line of a run's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// The number of the line in the run, from 1, without gaps.
    pub n: i64,
    /// The time of the line, by the clock of the process that wrote it.
    pub at: DateTime<Utc>,
    /// The severity.
    pub level: Level,
    /// The step that the line belongs to.
    pub step: String,
    /// The text, one line.
    pub message: String,
}

/// The lines that a client requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogFilter {
    /// Text that the message must contain, case-insensitively; empty for all lines.
    pub search: String,
    /// The minimum severity.
    pub level: Level,
}

impl Default for LogFilter {
    fn default() -> Self {
        Self { search: String::new(), level: Level::Debug }
    }
}

impl LogFilter {
    /// Whether the filter matches all lines.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.search.is_empty() && self.level == Level::Debug
    }

    /// Whether the filter matches a line.
    #[must_use]
    pub fn keeps(&self, line: &LogLine) -> bool {
        line.level >= self.level
            && (self.search.is_empty() || line.message.to_lowercase().contains(&self.search.to_lowercase()))
    }
}

/// The part of the matching lines that a client requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStretch {
    /// The last lines.
    #[default]
    Last,
    /// The last lines before this number.
    Before(i64),
    /// The first lines after this number.
    After(i64),
}

/// A part of the matching lines of a log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogPage {
    /// The lines, ordered by number.
    pub lines: Vec<LogLine>,
    /// Whether there are earlier matching lines.
    pub earlier: bool,
    /// Whether there are later matching lines.
    pub later: bool,
    /// The number of matching lines in the whole log.
    pub matches: i64,
    /// The number of the newest line, matching or not.
    pub newest: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_line_keeps_text_and_no_character_that_changes_the_display() {
        assert_eq!(single_line("a\nb\r\nc\td\u{2028}e\n"), "a b  c d e");
        assert_eq!(single_line("\u{1b}[31mred\u{7}\u{9b}0m\0"), "[31mred0m");
        assert_eq!(single_line("abc\u{202e}fed\u{2066}\u{200f}\u{61c}"), "abcfed");
        assert_eq!(single_line("größer שלום 日本 👩\u{200d}💻"), "größer שלום 日本 👩\u{200d}💻");
    }

    #[test]
    fn filter_has_a_minimum_level_and_ignores_case() {
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
