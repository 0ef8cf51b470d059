//! The job's result: small enough for a termination message, written so that a reader sees all of it or nothing.

use std::io::Write as _;
use std::path::Path;

use model::agent::MAX_RESULT;
use model::{AgentResult, Outcome};

/// The result, cut where it is larger than its place.
pub(crate) fn fitted(mut result: AgentResult) -> AgentResult {
    while size(&result) > MAX_RESULT && shorten(&mut result) {}
    result
}

fn size(result: &AgentResult) -> usize {
    serde_json::to_vec(result).map_or(0, |bytes| bytes.len())
}

/// Makes it shorter: lists first, the sentence last. False if there is nothing left to cut.
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
    match &mut result.error {
        Some(error) if error.len() > 8 => {
            error.truncate(error.floor_char_boundary(error.len() * 9 / 10 - 3));
            error.push('…');
            true
        }
        _ => false,
    }
}

/// Writes the result. A file that is there already is one that somebody mounted for us and is written in place.
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
    use model::{ExitClass, Receipt};

    use super::*;

    #[test]
    fn a_result_fits_its_place_and_stays_whole() {
        let differences: Vec<String> =
            (0..20).map(|n| format!("{n} {}", "\u{1F418}\"".repeat(100))).collect();
        let receipt = Receipt { difference_count: 20, differences, ..Receipt::default() };
        let outcome = Outcome::Restore { receipt, version: "15.20".into(), major: 15 };
        let error = Some("\u{1F418}".repeat(4000));
        let result = AgentResult { class: ExitClass::Verification, error, events: 7, outcome: Some(outcome) };
        assert!(size(&result) > MAX_RESULT);
        let fitted = fitted(result);
        assert!(size(&fitted) <= MAX_RESULT);
        assert!(fitted.error.as_deref().is_some_and(|e| e.len() > 1000 && e.ends_with('…')));
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("result.json");
        for _ in 0..2 {
            write(&path, &fitted).expect("written");
            let read: AgentResult =
                serde_json::from_slice(&std::fs::read(&path).expect("there")).expect("whole");
            assert_eq!(read, fitted);
        }
    }
}
