//! Splits the output of `pg_dumpall --globals-only` into statements and decides which of them may be executed: roles, memberships
//! and settings. It splits at quotes and comments and compares the first words; it is not an SQL parser. It executes nothing.
//!
//! foreign text: pg_dumpall

use model::{Failure, FailureCode};

/// A statement that may be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    /// Creates a role, unless it exists.
    CreateRole { role: String, sql: String },
    /// Sets the attributes and the password verifier of a role.
    AlterRole { role: String, sql: String },
    /// Sets a parameter of a role. It is executed last, so that it does not affect the restore.
    RoleSetting(String),
    /// A membership, a comment, or a privilege on a parameter.
    Other(String),
}

/// The statements of a globals file, in order.
///
/// # Errors
/// A statement is not allowed, or the text is not what pg_dumpall writes.
pub(crate) fn read(text: &str) -> Result<Vec<Global>, Failure> {
    let mut globals = Vec::new();
    for statement in split(text)? {
        if let Some(global) = classify(&statement)? {
            globals.push(global);
        }
    }
    Ok(globals)
}

/// The kind of an allowed statement; none for a statement that is not needed.
fn classify(sql: &str) -> Result<Option<Global>, Failure> {
    let tokens = tokens(sql, 8);
    let word = |i: usize| tokens.get(i).map(String::as_str).unwrap_or_default();
    let sql = sql.to_owned();
    let role = || word(2).to_owned();
    Ok(match (word(0), word(1)) {
        ("SET", "default_transaction_read_only" | "client_encoding" | "standard_conforming_strings") => None,
        ("CREATE", "ROLE") => Some(Global::CreateRole { role: role(), sql }),
        ("ALTER", "ROLE") if word(3) == "WITH" => Some(Global::AlterRole { role: role(), sql }),
        ("ALTER", "ROLE") if matches!(word(3), "SET" | "IN") => Some(Global::RoleSetting(sql)),
        ("GRANT" | "REVOKE", _) if tokens.iter().any(|token| token == "TABLESPACE") => {
            return Err(tablespace(&tokens));
        }
        // A membership has no ON. Of the privileges, only those on parameters are global.
        ("GRANT", _) if !tokens.iter().any(|token| token == "ON") => Some(Global::Other(sql)),
        ("GRANT" | "REVOKE", _)
            if tokens.windows(2).any(|pair| pair[0] == "ON" && pair[1] == "PARAMETER") =>
        {
            Some(Global::Other(sql))
        }
        ("COMMENT", "ON") if word(2) == "ROLE" => Some(Global::Other(sql)),
        ("CREATE" | "ALTER", "TABLESPACE") => return Err(tablespace(&tokens)),
        ("COMMENT" | "SECURITY", _) if tokens.iter().any(|token| token == "TABLESPACE") => {
            return Err(tablespace(&tokens));
        }
        ("SECURITY", "LABEL") if tokens.iter().any(|token| token == "ROLE") => Some(Global::Other(sql)),
        _ => {
            let shown: String = sql.chars().take(60).filter(|c| !c.is_control()).collect();
            let detail = format!("the image's globals contain a statement that is not about roles: {shown}…");
            return Err(Failure::new(FailureCode::ImageUnsupported, detail).on(image::GLOBALS));
        }
    })
}

/// The failure of a statement about a tablespace.
fn tablespace(tokens: &[String]) -> Failure {
    let failure = Failure::new(FailureCode::TablespaceMissing, "the source has tablespaces");
    let name = tokens.iter().skip_while(|token| *token != "TABLESPACE").nth(1);
    match name {
        Some(name) => failure.on(name.trim_start_matches('"')),
        None => failure,
    }
}

/// The first tokens of a statement: words unchanged (pg_dumpall writes keywords in capitals), quoted names as `"name`, so that no
/// name equals a keyword, and strings as `'`.
fn tokens(sql: &str, most: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = sql.trim_start();
    while found.len() < most && !rest.is_empty() {
        let mut chars = rest.char_indices();
        let (token, used) = match chars.next() {
            Some((_, quote @ ('"' | '\''))) => {
                let end = end_of_quoted(rest, quote).unwrap_or(rest.len());
                let inner = rest.get(1..end.saturating_sub(1)).unwrap_or_default().replace("\"\"", "\"");
                (if quote == '"' { format!("\"{inner}") } else { "'".to_owned() }, end)
            }
            Some((_, c)) if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (rest[..end].to_owned(), end)
            }
            Some((_, c)) => (c.to_string(), c.len_utf8()),
            None => break,
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
fn split(text: &str) -> Result<Vec<String>, Failure> {
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

/// Whether the token of a role's name is `name`.
pub(crate) fn names(token: &str, name: &str) -> bool {
    token.strip_prefix('"').unwrap_or(token) == name
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMPED: &str = r#"--
-- PostgreSQL database cluster dump
--

\restrict lN0MsHJQv5rFs0WmTajWazhTML5

SET default_transaction_read_only = off;
SET client_encoding = 'UTF8';

CREATE ROLE "odd ""name"" ; drop role reader; --";
ALTER ROLE "odd ""name"" ; drop role reader; --" WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:x==$y=:z=';
COMMENT ON ROLE reader IS 'it''s;
-- no comment';
COMMENT ON ROLE reader IS E'back\\slash \' ; here';
ALTER ROLE w SET search_path TO 'app', '$user';
GRANT reader TO "Größe" WITH ADMIN OPTION GRANTED BY postgres;
GRANT SET ON PARAMETER work_mem TO reader;
\unrestrict lN0MsHJQv5rFs0WmTajWazhTML5
"#;

    #[test]
    fn output_of_pg_dumpall_is_accepted() {
        let globals = read(DUMPED).expect("allowed");
        assert_eq!(globals.len(), 7, "{globals:#?}");
        assert!(
            matches!(&globals[0], Global::CreateRole { role, .. } if names(role, "odd \"name\" ; drop role reader; --"))
        );
        assert!(matches!(&globals[1], Global::AlterRole { sql, .. } if sql.ends_with("z='")));
        assert_eq!(globals[2], Global::Other("COMMENT ON ROLE reader IS 'it''s;\n-- no comment'".into()));
        assert!(matches!(&globals[3], Global::Other(sql) if sql.ends_with("here'")));
        assert!(matches!(&globals[4], Global::RoleSetting(_)));
    }

    #[test]
    fn other_statements_are_refused() {
        for hostile in [
            "\\! touch /tmp/x\n",
            "CREATE ROLE a; \\copy x from program 'id'\n",
            "DROP ROLE a;",
            "CREATE DATABASE x;",
            "ALTER SYSTEM SET x = 1;",
            "GRANT ALL ON SCHEMA public TO a;",
            "GRANT \"ON\" TO a; SELECT 1;",
            "DO 'begin end';",
            "DO $$ begin end $$;",
            "CREATE ROLE a; /* */ SELECT 1;",
            "CREATE ROLE 'a",
            "CREATE ROLE a",
        ] {
            let refused = read(hostile).expect_err(hostile);
            assert_eq!(refused.code, FailureCode::ImageUnsupported, "{hostile}: {refused}");
        }
    }

    #[test]
    fn tablespaces_are_refused_with_their_own_code() {
        let refused =
            read("CREATE TABLESPACE fast OWNER postgres LOCATION '/ssd';").expect_err("a tablespace");
        assert_eq!(refused.code, FailureCode::TablespaceMissing);
        assert_eq!(refused.subject.as_deref(), Some("fast"));
    }
}
