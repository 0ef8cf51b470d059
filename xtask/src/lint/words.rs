//! Words that are banned in code and documents because a plain technical word says the same (docs/STYLE.md).
//!
//! Case does not count, and `_` separates words, so names of tests and functions are read too. A phrase may continue on the next
//! line of a comment. A line with the marker exempts itself and the lines up to the next empty one, for text that quotes the words.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::bail;

use super::scripts::SCRIPTS;
use crate::command::{self, root};

/// Each banned phrase, with its inflections.
const BANNED: [&str; 28] = [
    "whoever",
    "somebody",
    "nobody",
    "mend",
    "mends",
    "mended",
    "mending",
    "anew",
    "heed",
    "heeds",
    "heeded",
    "heeding",
    "thereby",
    "shall",
    "is told",
    "are told",
    "was told",
    "were told",
    "made up",
    "gone",
    "away",
    "not here",
    "to be had",
    "as it is",
    "all of it",
    "by itself",
    "lives by",
    "comes forward",
];

/// The files that are read, besides the shell scripts.
const EXTENSIONS: [&str; 11] = ["css", "html", "md", "mjs", "rs", "sh", "sql", "toml", "ts", "yaml", "yml"];

/// Exempts a paragraph that quotes the words.
const MARKER: &str = "quotes banned words";

/// Files and phrases that are exempt: `PATH: PHRASE: REASON`, `*` for every phrase.
const ALLOWED: &str = include_str!("allowed_words.txt");

/// Checks every file that git tracks.
///
/// # Errors
/// A banned word occurs. Each is printed, and the number for each file.
pub(super) fn check() -> anyhow::Result<()> {
    let allowed = Allowed::parse(ALLOWED)?;
    let mut counts = BTreeMap::new();
    for path in command::output(Command::new("git").args(["ls-files", "-z"]).current_dir(root()))?.split('\0')
    {
        let extension = Path::new(path).extension().and_then(|extension| extension.to_str());
        if !SCRIPTS.contains(&path) && !extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        for (line, phrase) in find(&text).into_iter().filter(|(_, phrase)| !allowed.contains(path, phrase)) {
            println!("{path}:{line}: {phrase}");
            *counts.entry(path.to_owned()).or_insert(0_usize) += 1;
        }
    }
    if counts.is_empty() {
        return Ok(());
    }
    println!("\nBanned words in each file:");
    for (path, count) in &counts {
        println!("{count:6} {path}");
    }
    bail!(
        "{} banned words in {} files. Name the thing with the noun of its field (docs/STYLE.md). Text that quotes a word needs \
         the marker \"{MARKER}\" or an entry in xtask/src/lint/allowed_words.txt.",
        counts.values().sum::<usize>(),
        counts.len()
    )
}

/// The exemptions.
struct Allowed<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Allowed<'a> {
    fn parse(text: &'a str) -> anyhow::Result<Self> {
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let parse = |line: &'a str| {
            let mut parts = line.splitn(3, ": ");
            match (parts.next(), parts.next(), parts.next()) {
                (Some(path), Some(phrase), Some(_reason)) => Ok((path, phrase)),
                _ => bail!("allowed_words.txt: a line is not PATH: PHRASE: REASON: {line}"),
            }
        };
        lines.map(parse).collect::<anyhow::Result<_>>().map(Self)
    }

    fn contains(&self, path: &str, phrase: &str) -> bool {
        self.0.iter().any(|(file, allowed)| *file == path && (*allowed == "*" || *allowed == phrase))
    }
}

/// A word of a text: its letters in lower case, its line, and whether only space or a comment's sign is before it.
struct Word {
    letters: String,
    line: usize,
    continues: bool,
}

/// The banned phrases of a text with their lines, counted from 1.
fn find(text: &str) -> Vec<(usize, &'static str)> {
    let words = words(text);
    let phrases: Vec<(&str, Vec<&str>)> =
        BANNED.iter().map(|phrase| (*phrase, phrase.split(' ').collect())).collect();
    let mut found = Vec::new();
    for at in 0..words.len() {
        for (phrase, parts) in &phrases {
            let is_here = words.get(at..at + parts.len()).is_some_and(|words| {
                words.iter().zip(parts).all(|(word, part)| word.letters == *part)
                    && words[1..].iter().all(|word| word.continues)
            });
            if is_here {
                found.push((words[at].line, *phrase));
            }
        }
    }
    found
}

fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut is_exempt = false;
    let mut continues = false;
    for (number, line) in text.lines().enumerate() {
        is_exempt = line.contains(MARKER) || (is_exempt && !line.trim().is_empty());
        if is_exempt {
            continues = false;
            continue;
        }
        let mut rest = line;
        while let Some(start) = rest.find(char::is_alphanumeric) {
            let (gap, from) = rest.split_at(start);
            let (word, after) =
                from.split_at(from.find(|c: char| !c.is_alphanumeric()).unwrap_or(from.len()));
            continues &= is_gap(gap);
            words.push(Word { letters: word.to_lowercase(), line: number + 1, continues });
            (rest, continues) = (after, true);
        }
        continues &= is_gap(rest);
    }
    words
}

/// Whether a phrase goes on after this: spaces, and the signs of comments and of continued strings.
fn is_gap(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || "_-/*#!>\\".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banned_words_are_found_with_their_lines() {
        assert_eq!(find("ok\n// Whoever asks\n"), [(2, "whoever")]);
        assert_eq!(find("fn what_is_gone() {}"), [(1, "gone")]);
        assert_eq!(find("/// It is\n/// told to stop, by\n/// itself."), [(1, "is told"), (2, "by itself")]);
        assert_eq!(find("\"a name is made \\\n   up\""), [(1, "made up")]);
    }

    #[test]
    fn parts_of_words_and_of_sentences_are_not_found() {
        assert_eq!(find("recommend, faraway, begone, Marshall"), []);
        assert_eq!(find("what it made. Up to 3 not, here"), []);
        assert_eq!(find("the server stops and the client retries"), []);
    }

    #[test]
    fn a_marked_paragraph_is_exempt() {
        assert_eq!(
            find("<!-- quotes banned words -->\nBanned: shall, anew\n\nIt shall end."),
            [(4, "shall")]
        );
    }

    #[test]
    fn an_exemption_names_a_file_and_a_phrase_with_a_reason() {
        let allowed = Allowed::parse("# comment\n\na.rs: gone: HTTP 410\nb.sql: *: it is released\n")
            .unwrap_or(Allowed(Vec::new()));
        assert!(allowed.contains("a.rs", "gone") && allowed.contains("b.sql", "shall"));
        assert!(!allowed.contains("a.rs", "shall") && !allowed.contains("c.rs", "gone"));
        assert!(Allowed::parse("a.rs: gone").is_err());
    }
}
