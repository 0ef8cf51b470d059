//! Reads the messages of PostgreSQL's programs. They print text only, so this is the one place where text decides on a code.
//!
//! foreign text: pg_dump, pg_dumpall, pg_restore, initdb and postgres, with `LC_ALL=C`.

use model::{FailureCode, Level};

/// Marks that begin the message of an error.
const ERRORS: [&str; 4] = ["ERROR:  ", "FATAL:  ", "PANIC:  ", ": error: "];

/// Fragments that a message contains in this order, names left out, and its code. The first entry that matches counts.
const KNOWN: &[(&[&str], FailureCode)] = &[
    // The connection.
    (&["password authentication failed"], FailureCode::PasswordRejected),
    (&["no password supplied"], FailureCode::PasswordMissing),
    (&["no pg_hba.conf entry"], FailureCode::ConnectionNotAdmitted),
    (&["pg_hba.conf rejects connection"], FailureCode::ConnectionNotAdmitted),
    (&["is not permitted to log in"], FailureCode::LoginDenied),
    (&["FATAL:  role \"\" does not exist"], FailureCode::LoginDenied),
    (&["FATAL:  database \"\" does not exist"], FailureCode::DatabaseMissing),
    (&["could not translate host name"], FailureCode::HostNotResolved),
    (&["Connection refused"], FailureCode::ConnectionRefused),
    (&["connection to server on socket", "No such file or directory"], FailureCode::ConnectionRefused),
    (&["timeout expired"], FailureCode::ConnectionTimedOut),
    (&["Connection timed out"], FailureCode::ConnectionTimedOut),
    (&["No route to host"], FailureCode::ConnectionTimedOut),
    (&["server closed the connection"], FailureCode::ConnectionLost),
    (&["terminating connection"], FailureCode::ConnectionLost),
    (&["could not receive data from server"], FailureCode::ConnectionLost),
    (&["could not send data to server"], FailureCode::ConnectionLost),
    (&["the database system is"], FailureCode::ServerNotReady),
    (&["server does not support SSL"], FailureCode::TlsUnsupported),
    (&["certificate verify failed"], FailureCode::CertificateUntrusted),
    (&["server certificate for", "does not match host name"], FailureCode::CertificateInvalid),
    (&["too many clients already"], FailureCode::TooManyConnections),
    (&["too many connections for"], FailureCode::TooManyConnections),
    (&["remaining connection slots are reserved"], FailureCode::TooManyConnections),
    // Resources and limits.
    (&["out of shared memory"], FailureCode::LockTableFull),
    (&["canceling statement due to lock timeout"], FailureCode::LockTimeout),
    (&["canceling statement due to"], FailureCode::StatementTimeout),
    (&["No space left on device"], FailureCode::DiskFull),
    (&["out of memory"], FailureCode::ServerOutOfMemory),
    // Privileges.
    (&["query would be affected by row-level security policy"], FailureCode::RowSecurity),
    (&["permission denied for"], FailureCode::PermissionDenied),
    (&["permission denied to"], FailureCode::PermissionDenied),
    (&["must be owner of"], FailureCode::PermissionDenied),
    (&["must be superuser"], FailureCode::PermissionDenied),
    // Versions and installations.
    (&["aborting because of server version mismatch"], FailureCode::ProgramsOutdated),
    (&["unsupported version (", ") in file header"], FailureCode::ImageUnsupported),
    (&["could not open extension control file"], FailureCode::ExtensionMissing),
    (&["extension \"\" is not available"], FailureCode::ExtensionMissing),
    (&["extension \"\" has no installation script"], FailureCode::ExtensionMissing),
    (&["could not access file"], FailureCode::LibraryMissing),
    (&["could not load library"], FailureCode::LibraryMissing),
    (&["could not find function", "in file"], FailureCode::LibraryMissing),
    (&["invalid", "locale name"], FailureCode::LocaleMissing),
    (&["could not create locale"], FailureCode::LocaleMissing),
    (&["could not open collator for locale"], FailureCode::LocaleMissing),
    (&["collation \"\" for encoding \"\" does not exist"], FailureCode::LocaleMissing),
    (&["ablespace \"\" does not exist"], FailureCode::TablespaceMissing),
    (&["is not supported by this build"], FailureCode::FeatureUnsupported),
    // SQLSTATE class 23: constraints.
    (&["violates", "constraint"], FailureCode::ConstraintViolated),
    (&["could not create unique index"], FailureCode::ConstraintViolated),
    (&["could not create exclusion constraint"], FailureCode::ConstraintViolated),
    (&["is violated by some row"], FailureCode::ConstraintViolated),
    (&["contains null values"], FailureCode::ConstraintViolated),
    (&["no partition of relation", "found for row"], FailureCode::ConstraintViolated),
    // SQLSTATE class 22: data.
    (&["invalid input syntax for"], FailureCode::DataInvalid),
    (&["invalid input value for enum"], FailureCode::DataInvalid),
    (&["invalid byte sequence for encoding"], FailureCode::DataInvalid),
    (&["has no equivalent in encoding"], FailureCode::DataInvalid),
    (&["value too long for type"], FailureCode::DataInvalid),
    (&["out of range"], FailureCode::DataInvalid),
    (&["malformed"], FailureCode::DataInvalid),
    (&["division by zero"], FailureCode::DataInvalid),
    (&["missing data for column"], FailureCode::DataInvalid),
    (&["extra data after last expected column"], FailureCode::DataInvalid),
    // SQLSTATE class 42: statements.
    (&["ERROR:  ", "does not exist"], FailureCode::StatementInvalid),
    (&["ERROR:  ", "already exists"], FailureCode::StatementInvalid),
    (&["syntax error at or near"], FailureCode::StatementInvalid),
    (&["must be marked IMMUTABLE"], FailureCode::StatementInvalid),
    (&["unrecognized configuration parameter"], FailureCode::StatementInvalid),
];

/// What a failed program reported.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reported {
    /// The code; none if no message is known.
    pub(crate) code: Option<FailureCode>,
    /// The first name in the message that decided on the code.
    pub(crate) subject: Option<String>,
}

/// Finds the code and the subject in the lines that a program printed.
pub(crate) fn read(lines: &[impl AsRef<str>]) -> Reported {
    let lines: Vec<&str> = without_statements(lines.iter().map(AsRef::as_ref)).collect();
    let is_lock = lines.iter().any(|line| line.contains("Query was: LOCK TABLE "));
    let errors = lines
        .iter()
        .filter_map(|line| Some(&line[ERRORS.iter().filter_map(|mark| line.find(mark)).min()?..]));
    // An error may tell its cause in the detail only.
    let details = lines.iter().filter(|line| line.starts_with("DETAIL:")).copied();
    for message in errors.chain(details) {
        let text = without_names(message);
        let known = KNOWN.iter().find(|(fragments, _)| contains_in_order(&text, fragments));
        let Some((_, code)) = known else { continue };
        // pg_dump limits the wait for a lock with statement_timeout.
        let is_lock_wait = *code == FailureCode::StatementTimeout && is_lock;
        let code = if is_lock_wait { FailureCode::LockTimeout } else { *code };
        return Reported { code: Some(code), subject: subject(message, code) };
    }
    Reported { code: None, subject: None }
}

/// The log level of a line that a program printed.
pub(crate) fn level_of(line: &str) -> Level {
    let is_warning = ["warning:", "WARNING:", "error:"].iter().any(|mark| line.contains(mark));
    if is_warning { Level::Warn } else { Level::Debug }
}

/// The lines of a server's log that report errors, at most `most` of the last ones.
pub(crate) fn last_errors(log: &str, most: usize) -> Vec<&str> {
    let is_error = |line: &&str| ERRORS.iter().any(|mark| line.contains(mark));
    let errors: Vec<&str> = log.lines().filter(is_error).collect();
    errors[errors.len().saturating_sub(most)..].to_vec()
}

/// Leaves out the statements that pg_restore prints after `Command was:`, which hold text of the user.
fn without_statements<'a>(lines: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    let mut in_statement = false;
    lines.filter(move |line| {
        let begins_message = line.starts_with("pg_restore: ");
        in_statement = line.starts_with("Command was: ") || (in_statement && !begins_message);
        !in_statement
    })
}

/// Leaves out the text in double quotes, which holds names and values of the user.
fn without_names(message: &str) -> String {
    message.split('"').enumerate().map(|(i, part)| if i % 2 == 0 { part } else { "\"\"" }).collect()
}

fn contains_in_order(text: &str, fragments: &[&str]) -> bool {
    let mut rest = text;
    fragments.iter().all(|fragment| match rest.split_once(fragment) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// The first quoted name; of a missing extension its name, where the message has the path of its control file.
fn subject(message: &str, code: FailureCode) -> Option<String> {
    let name = message.split('"').nth(1).filter(|name| !name.is_empty())?;
    let file = name.strip_suffix(".control").filter(|_| code == FailureCode::ExtensionMissing);
    let name = file.and_then(|path| path.rsplit('/').next()).unwrap_or(name);
    Some(name.to_owned())
}

#[cfg(test)]
mod tests;
