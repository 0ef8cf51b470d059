//! Decisions on the wording of our own messages: `text.contains("is damaged")` breaks when the message is rewritten.
//!
//! Found are `contains`, `starts_with`, `ends_with` and `find` with a literal that reads as words, and `==` and `!=` with a literal
//! of several words. A literal reads as words if it has a space between letters, or consists of letters and begins with a capital
//! or has at least four. Paths, URL schemes, keys with `_` or `-` and names with digits do not.
//!
//! Code that reads text of other programs says whose with a marker, on the line or on the comment above it:
//! `// foreign text: pg_dump`. The marker in a file's `//!` comment is for the whole file.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use proc_macro2::{Delimiter, TokenTree};

use super::tokens::{self, is_punct, line};
use crate::command::root;

const METHODS: [&str; 4] = ["contains", "ends_with", "find", "starts_with"];

const MARKER: &str = "foreign text: ";

/// Checks the sources of every crate but this one.
///
/// # Errors
/// There is such a decision. Each is printed.
pub(super) fn check() -> anyhow::Result<()> {
    let mut count = 0;
    let mut dirs: Vec<PathBuf> = ["app/src", "server/src"].map(|dir| root().join(dir)).to_vec();
    for entry in std::fs::read_dir(root().join("crates"))? {
        dirs.push(entry?.path().join("src"));
    }
    dirs.sort();
    for file in dirs.iter().map(|dir| sources(dir)).collect::<anyhow::Result<Vec<_>>>()?.concat() {
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let path = file.strip_prefix(root()).unwrap_or(&file).display();
        for (line, decision) in find(&text).with_context(|| path.to_string())? {
            println!("{path}:{line}: {decision}");
            count += 1;
        }
    }
    if count > 0 {
        bail!(
            "{count} decisions on the wording of a message. Decide on a code or a type. If the text comes from another program, \
             write `// {MARKER}PROGRAM` above the line."
        );
    }
    Ok(())
}

/// The Rust files below a directory, in order.
fn sources(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The decisions in a file, each with its line.
fn find(text: &str) -> anyhow::Result<Vec<(usize, String)>> {
    let lines: Vec<&str> = text.lines().collect();
    if lines.iter().any(|line| line.trim_start().starts_with("//!") && has_marker(line)) {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    scan(&tokens::without_tests(text)?, &mut found);
    found.retain(|(line, _)| !is_marked(&lines, *line));
    Ok(found)
}

fn has_marker(line: &str) -> bool {
    line.split_once("//").is_some_and(|(_, comment)| comment.to_lowercase().contains(MARKER))
}

/// Whether a line, counted from 1, has the marker, or the comment directly above it.
fn is_marked(lines: &[&str], line: usize) -> bool {
    let above = lines[..line - 1].iter().rev().take_while(|line| line.trim_start().starts_with("//"));
    lines[line - 1..line].iter().chain(above).any(|line| has_marker(line))
}

fn scan(tokens: &[TokenTree], found: &mut Vec<(usize, String)>) {
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else { continue };
        let inner: Vec<TokenTree> = group.stream().into_iter().collect();
        scan(&inner, found);
        if let [.., dot, TokenTree::Ident(method)] = &tokens[..at]
            && is_punct(dot, '.')
            && group.delimiter() == Delimiter::Parenthesis
            && METHODS.iter().any(|name| method == name)
            && let [TokenTree::Literal(literal)] = &inner[..]
            && is_words(&literal.to_string())
        {
            found.push((line(&inner[0]), format!(".{method}({literal})")));
        }
    }
    for window in tokens.windows(3) {
        if let [first, second, TokenTree::Literal(literal)] = window
            && (is_punct(first, '=') || is_punct(first, '!'))
            && is_punct(second, '=')
            && is_sentence(&literal.to_string())
        {
            found.push((
                line(&window[2]),
                format!("{}= {literal}", if is_punct(first, '=') { "=" } else { "!" }),
            ));
        }
    }
}

/// The text of a string literal, with its escapes as they are written. None for other literals.
fn unquoted(literal: &str) -> Option<&str> {
    let text = literal.trim_start_matches('r').trim_matches('#');
    text.strip_prefix('"')?.strip_suffix('"')
}

fn is_sentence(literal: &str) -> bool {
    let between = |text: &str| {
        text.as_bytes()
            .windows(3)
            .any(|part| matches!(part, [a, b' ', b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic()))
    };
    unquoted(literal).is_some_and(between)
}

fn is_words(literal: &str) -> bool {
    let Some(text) = unquoted(literal) else { return false };
    let is_scheme = text.ends_with(':') && text.starts_with(char::is_lowercase) && !text.contains(' ');
    let text = text.replace("\\\"", "");
    let text = text.trim().trim_end_matches(['.', ':', ',']).trim();
    let is_word = !is_scheme && text.chars().all(char::is_alphabetic);
    is_sentence(literal) || (is_word && (text.len() >= 4 || text.starts_with(char::is_uppercase)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        find(text).unwrap_or_default().into_iter().map(|(_, decision)| decision).collect()
    }

    #[test]
    fn decisions_on_words_are_found() {
        assert_eq!(found(r#"fn f() { if text.contains("is damaged") {} }"#), [r#".contains("is damaged")"#]);
        assert_eq!(
            found(r#"fn f() { g(text.starts_with("Cancelled.")) }"#),
            [r#".starts_with("Cancelled.")"#]
        );
        assert_eq!(found(r#"fn f() { text.find("password"); }"#), [r#".find("password")"#]);
        assert_eq!(found(r#"fn f() -> bool { text == "It has ended." }"#), [r#"== "It has ended.""#]);
        assert_eq!(find("fn f() {\n  text\n    .contains(\"out of memory\")\n}").unwrap_or_default()[0].0, 3);
    }

    #[test]
    fn technical_literals_are_not_found() {
        for literal in [
            "file://",
            "https:",
            "/etc/",
            "pg_",
            "toygres-",
            "kB",
            "://",
            "a",
            "x-y-z",
            " ",
            ", ",
            "--data-dir",
        ] {
            assert_eq!(
                found(&format!("fn f() {{ text.starts_with({literal:?}); }}")),
                Vec::<String>::new(),
                "{literal}"
            );
        }
        assert_eq!(
            found(r#"fn f() { kind == "restore"; list.contains(&name); text.find(' '); }"#),
            Vec::<String>::new()
        );
        assert_eq!(
            found(r#"#[cfg(test)] mod tests { fn f() { text.contains("is damaged"); } }"#),
            Vec::<String>::new()
        );
    }

    #[test]
    fn text_of_other_programs_is_marked() {
        let decision = r#"text.contains("could not connect")"#;
        assert_eq!(
            found(&format!("fn f() {{\n  // Foreign text: pg_dump's errors.\n  {decision};\n}}")),
            Vec::<String>::new()
        );
        assert_eq!(
            found(&format!("fn f() {{ {decision}; }} // foreign text: pg_dump")),
            Vec::<String>::new()
        );
        assert_eq!(
            found(&format!("//! Reads events.\n//! Foreign text: the kubelet.\n\nfn f() {{ {decision}; }}")),
            Vec::<String>::new()
        );
        assert_eq!(
            found(&format!("// foreign text: pg_dump\nfn g() {{}}\nfn f() {{ {decision}; }}")).len(),
            1
        );
    }
}
