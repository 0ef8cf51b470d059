//! Known failures: what their words mean, and what to do. It reads errors and changes nothing.

mod cluster;
mod servers;
mod stores;

use model::run::{Diagnosis, RunState};

/// A kind of failure.
struct Known {
    /// Any of these, in lowercase, tells it.
    words: &'static [&'static str],
    /// Why it happens, in a sentence.
    cause: &'static str,
    /// What to do, in a sentence or two.
    fix: &'static str,
}

/// What is known about an error of a run of this workflow, or about what it waits for.
pub(crate) fn of(workflow: &str, state: RunState, waits: bool, error: &str) -> Option<Diagnosis> {
    let known = find(error)?;
    let meaning = match workflow {
        _ if state == RunState::Running && waits => {
            "The run goes on by itself when this is mended, as long as its step has time."
        }
        _ if state == RunState::Running => {
            "It is tried again. When its tries are used up, what was done is undone."
        }
        _ if state == RunState::Undoing => "What was done is being undone.",
        "create-image" => "No image was made; the source was only read, and older images are as they were.",
        "restore-image" => {
            "No instance was made, and nothing of the attempt is left. The image is as it was."
        }
        "create-instance" => "No instance was made, and nothing of the attempt is left.",
        "verify-image" => "The image must not be relied on until a verification succeeds.",
        _ => "What was done was undone.",
    };
    Some(diagnosis(known, meaning))
}

/// What is known about the words that an instance is down with, or waits with.
#[must_use]
pub fn of_instance(words: &str) -> Option<Diagnosis> {
    find(words).map(|known| diagnosis(known, "Toygres goes on looking, and changes nothing by itself."))
}

fn diagnosis(known: &Known, meaning: &str) -> Diagnosis {
    Diagnosis { cause: known.cause.to_owned(), fix: known.fix.to_owned(), meaning: meaning.to_owned() }
}

/// The first that matches: what a cluster says of a pod is closer to the cause than what the pod says, and a store's
/// refusal is not a server's.
fn find(error: &str) -> Option<&'static Known> {
    let error = error.to_lowercase();
    let all = cluster::KNOWN.iter().chain(&stores::KNOWN).chain(&servers::KNOWN);
    all.into_iter().find(|known| known.words.iter().any(|words| error.contains(words)))
}

#[cfg(test)]
fn is_told(error: &str, cause: &str, fix: &str) {
    let known = find(error).unwrap_or_else(|| panic!("nothing is known about: {error}"));
    assert!(known.cause.contains(cause), "{error}\n is told as: {}", known.cause);
    assert!(known.fix.contains(fix), "{error}\n is to be mended by: {}", known.fix);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_looked_for_in_lowercase() {
        for known in cluster::KNOWN.iter().chain(&stores::KNOWN).chain(&servers::KNOWN) {
            for words in known.words {
                assert_eq!(*words, words.to_lowercase());
            }
        }
    }

    #[test]
    fn what_nobody_knows_is_not_explained() {
        assert_eq!(of("create-image", RunState::Failed, false, "something nobody has seen"), None);
    }

    #[test]
    fn what_it_means_depends_on_what_was_done() {
        let of_backup = of("create-image", RunState::Failed, false, "the store is full").expect("known");
        let of_restore = of("restore-image", RunState::Failed, false, "the store is full").expect("known");
        assert_eq!(of_backup.cause, of_restore.cause);
        assert!(of_backup.meaning.contains("No image was made"));
        assert!(of_restore.meaning.contains("No instance was made"));
        let waiting = of("restore-image", RunState::Running, true, "the store is full").expect("known");
        assert!(waiting.meaning.contains("goes on"), "nothing was decided yet");
    }
}
