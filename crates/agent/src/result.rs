//! The result of a job: shortened to fit a termination message, and written atomically.

use std::io::Write as _;
use std::path::Path;

use model::agent::MAX_RESULT;
use model::{AgentResult, Outcome};

/// The result, shortened to [`MAX_RESULT`].
pub(crate) fn fitted(mut result: AgentResult) -> AgentResult {
    while size(&result) > MAX_RESULT && shorten(&mut result) {}
    result
}

fn size(result: &AgentResult) -> usize {
    serde_json::to_vec(result).map_or(0, |bytes| bytes.len())
}

/// Shortens the lists of the outcome, then the longer text of the failure. False if nothing is left to shorten.
fn shorten(result: &mut AgentResult) -> bool {
    let shorter = match &mut result.outcome {
        Some(Outcome::Restore { receipt, .. }) => receipt.differences.pop().is_some(),
        Some(Outcome::Probe { databases, workers, .. }) => {
            databases.pop().is_some() || workers.pop().is_some()
        }
        _ => false,
    };
    if shorter {
        return true;
    }
    let Some(failure) = &mut result.failure else { return false };
    let text = match &mut failure.subject {
        Some(subject) if subject.len() > failure.detail.len() => subject,
        _ => &mut failure.detail,
    };
    if text.len() <= 8 {
        return false;
    }
    text.truncate(text.floor_char_boundary(text.len() * 9 / 10 - 3));
    text.push('…');
    true
}

/// Writes the result. A file that exists is written in place: it is a mount, such as a container's termination message.
pub(crate) fn write(path: &Path, result: &AgentResult) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(result)?;
    if path.exists() {
        return std::fs::write(path, bytes);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = std::fs::File::create(&new)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use model::{Failure, FailureCode, Receipt};

    use super::*;

    #[test]
    fn shortened_failure_without_a_subject_keeps_none() {
        let failure = Failure::new(FailureCode::DataInvalid, "\u{1F418}".repeat(4000));
        let fitted = fitted(AgentResult { failure: Some(failure), events: 7, outcome: None });
        assert!(size(&fitted) <= MAX_RESULT);
        assert_eq!(fitted.failure.expect("a failure").subject, None);
    }

    #[test]
    fn long_result_is_shortened_to_fit() {
        let differences: Vec<String> =
            (0..20).map(|n| format!("{n} {}", "\u{1F418}\"".repeat(100))).collect();
        let receipt = Receipt { difference_count: 20, differences, ..Receipt::default() };
        let outcome = Outcome::Restore { receipt, version: "15.20".into(), major: 15 };
        let failure =
            Failure::new(FailureCode::RestoreDiffers, "\u{1F418}".repeat(4000)).on("x".repeat(9000));
        let result = AgentResult { failure: Some(failure), events: 7, outcome: Some(outcome) };
        assert!(size(&result) > MAX_RESULT);
        let fitted = fitted(result);
        assert!(size(&fitted) <= MAX_RESULT);
        let failure = fitted.failure.clone().expect("a failure");
        assert!(failure.detail.len() > 500 && failure.detail.ends_with('…'), "{failure:?}");
        assert!(failure.subject.is_some_and(|subject| subject.len() > 500 && subject.ends_with('…')));
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("result.json");
        for _ in 0..2 {
            write(&path, &fitted).expect("written");
            let read: AgentResult =
                serde_json::from_slice(&std::fs::read(&path).expect("exists")).expect("valid");
            assert_eq!(read, fitted);
        }
    }
}
