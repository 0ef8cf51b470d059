//! Splits the output of `pg_dumpall --globals-only` into statements and decides which of them may be executed: roles, memberships
//! and settings. It splits at quotes and comments and
//! accepts only the forms that pg_dumpall writes; it is not an SQL parser. It executes nothing.
//!
//! foreign text: pg_dumpall

mod text;

use model::{Failure, FailureCode};

use self::text::{split, tokens};

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
    let tokens = tokens(sql);
    let words: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let sql = sql.to_owned();
    Ok(match &words[..] {
        ["SET", "default_transaction_read_only" | "client_encoding" | "standard_conforming_strings", ..] => {
            None
        }
        ["CREATE", "ROLE", role] if is_name(role) => {
            Some(Global::CreateRole { role: name(role).to_owned(), sql })
        }
        ["ALTER", "ROLE", role, "WITH", ..] if is_name(role) => {
            Some(Global::AlterRole { role: name(role).to_owned(), sql })
        }
        ["ALTER", "ROLE", role, "SET" | "IN", ..] if is_name(role) => Some(Global::RoleSetting(sql)),
        ["COMMENT", "ON", "ROLE", role, "IS", "'"] if is_name(role) => Some(Global::Other(sql)),
        ["SECURITY", "LABEL", "FOR", _, "ON", "ROLE", role, "IS", "'"] if is_name(role) => {
            Some(Global::Other(sql))
        }
        words if is_membership(words) || is_about_parameter(words) => Some(Global::Other(sql)),
        // Older images have them. Everything is restored into the default tablespace.
        words if is_about_tablespace(words) => None,
        _ => {
            let shown: String = sql.chars().take(60).filter(|c| !c.is_control()).collect();
            let detail = format!("the image's globals contain a statement that is not about roles: {shown}…");
            return Err(Failure::new(FailureCode::ImageUnsupported, detail).on(image::GLOBALS));
        }
    })
}

/// `GRANT role TO member [WITH option, …] [GRANTED BY role]`.
fn is_membership(words: &[&str]) -> bool {
    let ["GRANT", role, "TO", member, rest @ ..] = words else { return false };
    let options = match rest {
        [options @ .., "GRANTED", "BY", grantor] if is_name(grantor) => options,
        _ => rest,
    };
    let is_option = |option: &[&str]| {
        matches!(option, ["ADMIN", "OPTION"] | ["ADMIN" | "INHERIT" | "SET", "TRUE" | "FALSE" | "OPTION"])
    };
    let are_options = match options {
        [] => true,
        ["WITH", list @ ..] => list.split(|word| *word == ",").all(is_option),
        _ => false,
    };
    is_name(role) && is_name(member) && are_options
}

/// `GRANT privilege, … ON PARAMETER name TO role [WITH GRANT OPTION]`, and the same with `REVOKE … FROM`.
fn is_about_parameter(words: &[&str]) -> bool {
    let Some(on) = words.windows(2).position(|pair| pair == ["ON", "PARAMETER"]) else { return false };
    let (privileges, link) = match &words[..on] {
        ["GRANT", privileges @ ..] => (privileges, "TO"),
        ["REVOKE", "GRANT", "OPTION", "FOR", privileges @ ..] | ["REVOKE", privileges @ ..] => {
            (privileges, "FROM")
        }
        _ => return false,
    };
    let are_privileges = privileges
        .split(|word| *word == ",")
        .all(|privilege| matches!(privilege, ["SET"] | ["ALL"] | ["ALTER", "SYSTEM"]));
    let rest = &words[on + 2..];
    let Some(at) = rest.iter().position(|word| *word == link) else { return false };
    let is_parameter =
        rest[..at].split(|word| *word == ".").all(|part| matches!(part, [one] if is_name(one)));
    let is_grantee = match &rest[at + 1..] {
        [grantee] | [grantee, "WITH", "GRANT", "OPTION"] => is_name(grantee) || *grantee == "PUBLIC",
        _ => false,
    };
    are_privileges && is_parameter && is_grantee
}

/// Whether the statement creates or changes a tablespace, or says something about one.
fn is_about_tablespace(words: &[&str]) -> bool {
    matches!(words, ["CREATE" | "ALTER", "TABLESPACE", ..])
        || matches!(words, ["GRANT" | "REVOKE" | "COMMENT" | "SECURITY", ..]) && words.contains(&"TABLESPACE")
}

/// Whether a token is a name as pg_dumpall writes it: quoted, unless it has only lower-case letters. No keyword is one.
fn is_name(token: &str) -> bool {
    token.starts_with('"')
        || token.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && token.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The name that a token stands for.
fn name(token: &str) -> &str {
    token.strip_prefix('"').unwrap_or(token)
}

#[cfg(test)]
mod tests;
