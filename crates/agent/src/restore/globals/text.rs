//! Splits the text of globals into statements and tokens: quotes, comments and commands of psql.

use model::{Failure, FailureCode};

/// The tokens of a statement: words unchanged (pg_dumpall writes keywords in capitals), quoted names as `"name`, so that no name
/// equals a keyword, and strings as `'`.
pub(super) fn tokens(sql: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = sql.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, used) = match first {
            'E' | 'e' if rest[1..].starts_with('\'') => {
                ("'".to_owned(), end_of_escaped(rest).unwrap_or(rest.len()))
            }
            '"' | '\'' => {
                let end = end_of_quoted(rest, first).unwrap_or(rest.len());
                let inner = rest.get(1..end.saturating_sub(1)).unwrap_or_default().replace("\"\"", "\"");
                (if first == '"' { format!("\"{inner}") } else { "'".to_owned() }, end)
            }
            _ if is_word(first) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (rest[..end].to_owned(), end)
            }
            _ => (first.to_string(), first.len_utf8()),
        };
        found.push(token);
        rest = rest[used..].trim_start();
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// The end of the quoted text at the start of `text`. Doubled quotes belong to it.
fn end_of_quoted(text: &str, quote: char) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((i, c)) = chars.next() {
        if c == quote {
            match chars.peek() {
                Some((_, next)) if *next == quote => {
                    chars.next();
                }
                _ => return Some(i + 1),
            }
        }
    }
    None
}

/// Splits at semicolons outside of quotes and comments. Commands of psql are not executed: the two that pg_dumpall writes since
/// 2025 (`\restrict`, `\unrestrict`) are skipped, any other is an error.
pub(super) fn split(text: &str) -> Result<Vec<String>, Failure> {
    let mut statements = Vec::new();
    let mut current = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let used = match c {
            '-' if rest.starts_with("--") => {
                rest = rest.split_once('\n').map_or("", |(_, after)| after);
                current.push('\n');
                continue;
            }
            '/' if rest.starts_with("/*") => return Err(unexpected("a block comment")),
            '\\' if current.trim().is_empty() => {
                let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
                if !(line.starts_with("\\restrict ") || line.starts_with("\\unrestrict ")) {
                    return Err(unexpected("a command of psql"));
                }
                rest = after;
                continue;
            }
            '\\' => return Err(unexpected("a backslash outside of quotes")),
            'E' | 'e' if rest[1..].starts_with('\'') && !current.ends_with(is_word) => {
                end_of_escaped(rest).ok_or_else(|| unexpected("an unterminated quote"))?
            }
            '\'' | '"' => end_of_quoted(rest, c).ok_or_else(|| unexpected("an unterminated quote"))?,
            '$' if !current.ends_with(is_word) => return Err(unexpected("a dollar quote")),
            ';' => {
                let statement = current.trim();
                if !statement.is_empty() {
                    statements.push(statement.to_owned());
                }
                current.clear();
                rest = &rest[1..];
                continue;
            }
            other => other.len_utf8(),
        };
        current.push_str(&rest[..used]);
        rest = &rest[used..];
    }
    if current.trim().is_empty() { Ok(statements) } else { Err(unexpected("an unterminated statement")) }
}

/// The end of the constant `E'…'` at the start of `text`.
fn end_of_escaped(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(2).peekable();
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                chars.next();
            }
            '\'' => return Some(i + 1),
            _ => {}
        }
    }
    None
}

fn unexpected(what: &str) -> Failure {
    let detail = format!("the image's globals contain {what}, which pg_dumpall does not write");
    Failure::new(FailureCode::ImageUnsupported, detail).on(image::GLOBALS)
}
