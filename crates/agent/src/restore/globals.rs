//! Reads what `pg_dumpall --globals-only` wrote into statements and decides which of them may run: roles, memberships
//! and settings. It is no SQL parser: it splits by quotes and comments and looks at the first words. It runs nothing.

use anyhow::Result;
use model::ExitClass;

use crate::failure::fail;

/// One statement that may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    /// Makes a role; one that exists already is fine.
    CreateRole { role: String, sql: String },
    /// Gives a role its attributes and password verifier.
    AlterRole { role: String, sql: String },
    /// Gives a role a setting; applied last, so that it does not bend the restore itself.
    RoleSetting(String),
    /// A membership, a comment, or access to a parameter.
    Other(String),
}

/// The statements of a globals file, in their order; an error if there is one that must not run.
pub(crate) fn read(text: &str) -> Result<Vec<Global>> {
    let mut globals = Vec::new();
    for statement in split(text)? {
        if let Some(global) = judge(&statement)? {
            globals.push(global);
        }
    }
    Ok(globals)
}

fn judge(sql: &str) -> Result<Option<Global>> {
    let words = tokens(sql, 8);
    let word = |i: usize| words.get(i).map(String::as_str).unwrap_or_default();
    let sql = sql.to_owned();
    let role = || word(2).to_owned();
    Ok(match (word(0), word(1)) {
        ("SET", "default_transaction_read_only" | "client_encoding" | "standard_conforming_strings") => None,
        ("CREATE", "ROLE") => Some(Global::CreateRole { role: role(), sql }),
        ("ALTER", "ROLE") if word(3) == "WITH" => Some(Global::AlterRole { role: role(), sql }),
        ("ALTER", "ROLE") if matches!(word(3), "SET" | "IN") => Some(Global::RoleSetting(sql)),
        ("GRANT" | "REVOKE", _) if words.iter().any(|w| w == "TABLESPACE") => return Err(tablespace()),
        // A membership names roles only; anything with ON that is not a parameter is not for here.
        ("GRANT", _) if !words.iter().any(|w| w == "ON") => Some(Global::Other(sql)),
        ("GRANT" | "REVOKE", _) if words.windows(2).any(|w| w[0] == "ON" && w[1] == "PARAMETER") => {
            Some(Global::Other(sql))
        }
        ("COMMENT", "ON") if word(2) == "ROLE" => Some(Global::Other(sql)),
        ("CREATE" | "ALTER", "TABLESPACE") => return Err(tablespace()),
        ("COMMENT" | "SECURITY", _) if words.iter().any(|w| w == "TABLESPACE") => return Err(tablespace()),
        ("SECURITY", "LABEL") if words.iter().any(|w| w == "ROLE") => Some(Global::Other(sql)),
        _ => {
            let shown: String = sql.chars().take(60).filter(|c| !c.is_control()).collect();
            return Err(fail(
                ExitClass::Configuration,
                format!("the image's globals hold a statement that is not for roles: {shown}…"),
            ));
        }
    })
}

fn tablespace() -> anyhow::Error {
    fail(
        ExitClass::Configuration,
        "the image's source has tablespaces, which a restored instance has no place for: move its objects to pg_default at the source \
         (ALTER TABLE … SET TABLESPACE pg_default), drop the tablespaces, and back up again",
    )
}

/// The first words of a statement: bare ones as they are (pg_dumpall writes its keywords in capitals), quoted names
/// without their quotes but marked with one so that no name passes for a keyword, strings as `'`.
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

/// Where a quoted piece at the start of `text` ends (doubled quotes are part of it).
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

/// Splits at semicolons outside of quotes and comments. psql's own commands are never obeyed: the two that pg_dumpall
/// writes since 2025 (`\restrict`, `\unrestrict`) are passed over, any other is an error.
fn split(text: &str) -> Result<Vec<String>> {
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
            '/' if rest.starts_with("/*") => return Err(odd("a block comment")),
            '\\' if current.trim().is_empty() => {
                let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
                if !(line.starts_with("\\restrict ") || line.starts_with("\\unrestrict ")) {
                    return Err(odd("a command for psql"));
                }
                rest = after;
                continue;
            }
            '\\' => return Err(odd("a stray backslash")),
            'E' | 'e' if rest[1..].starts_with('\'') && !current.ends_with(is_word) => {
                end_of_escaped(rest).ok_or_else(|| odd("an open quote"))?
            }
            '\'' | '"' => end_of_quoted(rest, c).ok_or_else(|| odd("an open quote"))?,
            '$' if !current.ends_with(is_word) => return Err(odd("a dollar quote")),
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
    if current.trim().is_empty() { Ok(statements) } else { Err(odd("an unfinished statement")) }
}

/// Where an `E'…'` at the start of `text` ends.
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

fn odd(what: &str) -> anyhow::Error {
    fail(
        ExitClass::Configuration,
        format!("the image's globals hold {what}, which pg_dumpall does not write there"),
    )
}

/// Whether a role's name in a statement is `name`.
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
    fn what_pg_dumpall_writes_is_read() {
        let globals = read(DUMPED).expect("all of it may run");
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
    fn nothing_else_may_run() {
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
            assert!(refused.to_string().contains("globals"), "{hostile}: {refused}");
        }
    }

    #[test]
    fn tablespaces_are_refused_by_name_of_the_cause() {
        let refused = read("CREATE TABLESPACE fast OWNER postgres LOCATION '/ssd';").expect_err("no place");
        assert!(refused.to_string().contains("tablespaces"), "{refused}");
    }
}
