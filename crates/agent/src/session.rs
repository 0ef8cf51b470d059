//! The settings of every session that Toygres opens at a server, and of the programs that it starts with libpq.
//!
//! The owner of a database may set parameters of it that apply to every role that connects: with
//! `alter database app set search_path = evil, pg_catalog` an unqualified call becomes a call of the owner's function, executed as
//! Toygres' role. Settings in the start-up packet take precedence over those of databases and roles, before the first statement. A
//! connection pooler may discard them; [`secure`] therefore sets them again, with a statement that calls nothing unqualified.
//!
//! `session_preload_libraries` needs no setting: only a superuser may set it.

use tokio_postgres::Client;

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It only reads: its transactions are read-only.
    Read,
    /// It writes to a server that Toygres owns.
    Write,
}

/// Settings that every role may change and every supported version has: names are resolved in pg_catalog only, text that one server
/// writes can be read by another without loss (the settings of pg_dump, and `lc_monetary` for values of type money), and no time
/// limit of the database ends the work.
const SETTINGS: [(&str, &str); 22] = [
    ("search_path", "pg_catalog"),
    ("role", "none"),
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "3"),
    ("lc_monetary", "C"),
    ("xmloption", "content"),
    ("bytea_output", "hex"),
    ("standard_conforming_strings", "on"),
    ("quote_all_identifiers", "off"),
    ("row_security", "off"),
    ("synchronize_seqscans", "off"),
    ("check_function_bodies", "off"),
    ("client_min_messages", "warning"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    ("default_tablespace", ""),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("local_preload_libraries", ""),
];

/// Settings that only some versions have, which is known only when the session is open. A server that waits for a lock checks every
/// 5 s whether the client is still connected, so that a cancelled job leaves the lock queue; not every platform supports that.
const OF_SOME_VERSIONS: &str = "select pg_catalog.set_config(s.name, v.value, false) \
     from pg_catalog.pg_settings s join (values ('transaction_timeout', '0'), ('idle_session_timeout', '0'), \
       ('client_connection_check_interval', '5s')) v (name, value) on v.name = s.name \
     where s.name <> 'client_connection_check_interval' or pg_catalog.version() ~* 'linux|darwin|bsd'";

/// Refuses views and foreign tables of users, where the server can do so: the owner of a database may replace a sequence or a schema
/// by one with views while it is copied. A session that restores must not do so, because a constraint may read a view.
const TABLES_ONLY: &str = "select pg_catalog.set_config(name, 'view, foreign-table', false) \
     from pg_catalog.pg_settings where name = 'restrict_nonsystem_relation_kind'";

fn read_only(access: Access) -> (&'static str, &'static str) {
    ("default_transaction_read_only", if access == Access::Read { "on" } else { "off" })
}

/// The settings as start-up options: the value of `options` in the start-up packet and of PGOPTIONS.
pub(crate) fn options(access: Access) -> String {
    let all = SETTINGS.into_iter().chain([read_only(access)]);
    let options: Vec<String> =
        all.map(|(name, value)| format!("-c {name}={}", value.replace(' ', "\\ "))).collect();
    options.join(" ")
}

/// Sets the same in an open session, and what only some versions have. To be called before any other statement.
///
/// # Errors
/// The connection is lost.
pub(crate) async fn secure(client: &Client, access: Access) -> Result<(), tokio_postgres::Error> {
    let all = SETTINGS.into_iter().chain([read_only(access)]);
    // The first statement is the search path, and `set` calls no function. Each setting is a literal of this file.
    let statements: Vec<String> = all.map(|(name, value)| format!("set {name} = '{value}'")).collect();
    client.batch_execute(&statements.join("; ")).await?;
    client.batch_execute(OF_SOME_VERSIONS).await?;
    if access == Access::Read {
        client.batch_execute(TABLES_ONLY).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_begin_with_the_search_path_and_escape_spaces() {
        let options = options(Access::Read);
        assert!(options.starts_with("-c search_path=pg_catalog "), "{options}");
        assert!(options.contains("-c default_transaction_isolation=read\\ committed "), "{options}");
        assert!(options.ends_with("-c default_transaction_read_only=on"), "{options}");
    }
}
