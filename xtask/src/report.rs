//! The result of a part of the tests.

use std::time::{Duration, Instant};

/// How many tests passed, and where the time went.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// The failures that no list of tests names.
    pub(crate) failures: Vec<String>,
    /// What could not run, and why.
    pub(crate) left_out: Vec<String>,
    /// The phases in order and their durations.
    pub(crate) phases: Vec<(String, Duration)>,
}

impl Report {
    /// The report of a part that could not run.
    pub(crate) fn left_out(reason: impl Into<String>) -> Self {
        Self { left_out: vec![reason.into()], ..Self::default() }
    }

    /// The report of a part that failed before it counted its tests.
    pub(crate) fn failed(reason: String) -> Self {
        Self { failed: 1, failures: vec![reason], ..Self::default() }
    }

    /// Does some work and records its duration.
    pub(crate) fn phase<T>(&mut self, name: impl Into<String>, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.phases.push((name.into(), start.elapsed()));
        result
    }

    /// Adds the numbers, reasons and phases of another report.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
        self.left_out.extend(other.left_out);
        self.phases.extend(other.phases);
    }

    /// The number of tests of each result, the phases and what was left out, a line for each.
    pub(crate) fn lines(&self, name: &str, took: Duration) -> Vec<String> {
        let Self { passed, failed, skipped, .. } = self;
        let seconds = took.as_secs();
        let mut lines = vec![format!(
            "{name:10} {passed:4} passed {failed:3} failed {skipped:3} skipped  in {seconds} s"
        )];
        let phases = self.phases.iter().filter(|(_, took)| took.as_secs() > 0);
        lines.extend(phases.map(|(phase, took)| format!("           {:5} s  {phase}", took.as_secs())));
        lines.extend(self.failures.iter().map(|reason| format!("           failed: {reason}")));
        lines.extend(self.left_out.iter().map(|reason| format!("           not run: {reason}")));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_long_phases_and_what_was_left_out() {
        let mut report = Report { passed: 3, ..Report::left_out("no cluster") };
        report.phases =
            vec![("stories".to_owned(), Duration::from_secs(65)), ("rest".to_owned(), Duration::ZERO)];
        assert_eq!(
            report.lines("Kubernetes", Duration::from_secs(70)),
            [
                "Kubernetes    3 passed   0 failed   0 skipped  in 70 s",
                "              65 s  stories",
                "           not run: no cluster",
            ]
        );
    }
}
