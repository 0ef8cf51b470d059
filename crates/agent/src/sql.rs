//! SQL text: quoting, and the settings of connections that copy data.

/// Settings under which text that one server writes can be read by another without loss: those of pg_dump, and `lc_monetary`,
/// which keeps values of type money unchanged. Where the platform supports it, a server that waits for a lock checks every 5 s
/// whether the client is still connected, so that a cancelled job leaves the lock queue.
pub(crate) const PORTABLE_SETTINGS: &str = "set search_path = ''; set datestyle = 'ISO'; set intervalstyle = 'postgres'; \
     set extra_float_digits = 3; set lc_monetary = 'C'; set xmloption = 'content'; set row_security = off; set statement_timeout = 0; \
     set lock_timeout = 0; set idle_in_transaction_session_timeout = 0; set synchronize_seqscans = off; set standard_conforming_strings = on; \
     set client_min_messages = warning; set check_function_bodies = off; set quote_all_identifiers = off; set bytea_output = 'hex'; \
     select pg_catalog.set_config(name, '0', false) from pg_catalog.pg_settings where name in ('transaction_timeout', 'idle_session_timeout'); \
     select pg_catalog.set_config(name, '5s', false) from pg_catalog.pg_settings where name = 'client_connection_check_interval' \
     and pg_catalog.version() ~* 'linux|darwin|bsd'";

/// A name, quoted.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The qualified name of an object in a schema, quoted.
pub(crate) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(name))
}

/// A string constant.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
