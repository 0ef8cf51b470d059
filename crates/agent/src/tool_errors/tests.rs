//! Messages of PostgreSQL 15, as its programs print them.

use super::*;

fn code(text: &str) -> Option<FailureCode> {
    read(&text.lines().collect::<Vec<_>>()).code
}

#[test]
fn messages_of_the_programs_have_codes() {
    for (message, expected) in [
        (
            "pg_restore: error: could not execute query: ERROR:  could not create unique index \"u_pkey\"\nDETAIL:  Key (a)=(1) is duplicated.",
            FailureCode::ConstraintViolated,
        ),
        (
            "pg_restore: error: could not execute query: ERROR:  duplicate key value violates unique constraint \"u_pkey\"",
            FailureCode::ConstraintViolated,
        ),
        (
            "pg_restore: error: could not execute query: ERROR:  insert or update on table \"ch\" violates foreign key constraint \"ch_a_fkey\"\nDETAIL:  Key (a)=(5) is not present in table \"p\".",
            FailureCode::ConstraintViolated,
        ),
        (
            "pg_restore: error: could not execute query: ERROR:  check constraint \"c\" of relation \"t\" is violated by some row",
            FailureCode::ConstraintViolated,
        ),
        (
            "pg_restore: error: could not execute query: ERROR:  new row for relation \"t\" violates check constraint \"c\"",
            FailureCode::ConstraintViolated,
        ),
        (
            "pg_restore: error: could not execute query: ERROR:  invalid input syntax for type integer: \"abc\"",
            FailureCode::DataInvalid,
        ),
        ("pg_restore: error: could not execute query: ERROR:  division by zero", FailureCode::DataInvalid),
        (
            "pg_restore: error: could not execute query: ERROR:  relation \"ch\" already exists",
            FailureCode::StatementInvalid,
        ),
        (
            "pg_restore: error: could not execute query: ERROR:  relation \"public.t\" does not exist",
            FailureCode::StatementInvalid,
        ),
        (
            "pg_restore: error: could not execute query: ERROR:  type \"public.t\" does not exist",
            FailureCode::StatementInvalid,
        ),
        (
            "pg_restore: error: could not execute query: ERROR:  function public.g(integer) does not exist\nLINE 1: CREATE INDEX zi ON public.z USING btree (public.g(a));",
            FailureCode::StatementInvalid,
        ),
        (
            "pg_restore: error: could not execute query: ERROR:  role \"r\" does not exist",
            FailureCode::StatementInvalid,
        ),
        (
            "pg_restore: error: could not execute query: ERROR:  extension \"hstorx\" is not available\nDETAIL:  Could not open extension control file \"/usr/share/postgresql/15/extension/hstorx.control\": No such file or directory.",
            FailureCode::ExtensionMissing,
        ),
        (
            "pg_restore: error: could not execute query: ERROR:  could not access file \"$libdir/pgcryptx\": No such file or directory",
            FailureCode::LibraryMissing,
        ),
        (
            "pg_restore: error: could not execute query: ERROR:  could not load library \"/usr/lib/postgresql/15/lib/x.so\": libx.so.1: cannot open shared object file",
            FailureCode::LibraryMissing,
        ),
        (
            "pg_restore: error: could not set default_tablespace to fast: ERROR:  invalid value for parameter \"default_tablespace\": \"fast\"\nDETAIL:  Tablespace \"fast\" does not exist.",
            FailureCode::TablespaceMissing,
        ),
        (
            "pg_restore: error: could not execute query: ERROR:  could not create locale \"X.UTF-8\": No such file or directory",
            FailureCode::LocaleMissing,
        ),
        ("initdb: error: invalid locale name \"xx_XX\"", FailureCode::LocaleMissing),
        ("ERROR:  invalid locale name: \"xx_XX\"", FailureCode::LocaleMissing),
        ("pg_restore: error: unsupported version (1.99) in file header", FailureCode::ImageUnsupported),
        (
            "pg_dump: error: query failed: ERROR:  query would be affected by row-level security policy for table \"rls\"\npg_dump: detail: Query was: COPY public.rls (a) TO stdout;",
            FailureCode::RowSecurity,
        ),
        (
            "pg_dump: error: query failed: ERROR:  permission denied for table noperm\npg_dump: detail: Query was: LOCK TABLE public.noperm IN ACCESS SHARE MODE",
            FailureCode::PermissionDenied,
        ),
        (
            "pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout\npg_dump: detail: Query was: LOCK TABLE public.u IN ACCESS SHARE MODE",
            FailureCode::LockTimeout,
        ),
        (
            "pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout\npg_dump: detail: Query was: SELECT 1",
            FailureCode::StatementTimeout,
        ),
        (
            "pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout",
            FailureCode::LockTimeout,
        ),
        (
            "pg_dump: error: query failed: ERROR:  out of shared memory\nHINT:  You might need to increase max_locks_per_transaction.",
            FailureCode::LockTableFull,
        ),
        ("pg_restore: error: could not execute query: ERROR:  out of memory", FailureCode::ServerOutOfMemory),
        (
            "pg_restore: error: could not execute query: ERROR:  could not extend file \"base/1/2\": No space left on device",
            FailureCode::DiskFull,
        ),
        (
            "pg_dump: error: server version: 16.1; pg_dump version: 15.20\npg_dump: error: aborting because of server version mismatch",
            FailureCode::ProgramsOutdated,
        ),
        (
            "pg_dump: error: connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: FATAL:  database \"nodb\" does not exist",
            FailureCode::DatabaseMissing,
        ),
        (
            "pg_dump: error: connection to server on socket \"/nowhere/.s.PGSQL.5432\" failed: No such file or directory",
            FailureCode::ConnectionRefused,
        ),
        (
            "pg_dump: error: could not translate host name \"no.invalid\" to address: Name or service not known",
            FailureCode::HostNotResolved,
        ),
        (
            "pg_dump: error: connection to server at \"127.0.0.1\", port 1 failed: Connection refused",
            FailureCode::ConnectionRefused,
        ),
        (
            "pg_dump: error: connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: FATAL:  role \"nolog\" is not permitted to log in",
            FailureCode::LoginDenied,
        ),
        (
            "2026-11-28 14:35:35.605 UTC [9864] FATAL:  could not access file \"pg_nope\": No such file or directory",
            FailureCode::LibraryMissing,
        ),
    ] {
        assert_eq!(code(message), Some(expected), "{message}");
    }
    assert_eq!(code("pg_restore: error: a worker process died unexpectedly"), None);
}

#[test]
fn names_and_statements_of_the_user_do_not_decide() {
    for (message, expected) in [
        (
            "pg_restore: error: could not execute query: ERROR:  relation \"app.extension_settings is not available\" does not exist",
            FailureCode::StatementInvalid,
        ),
        (
            "pg_restore: error: could not execute query: ERROR:  invalid input syntax for type integer: \"No space left on device\"",
            FailureCode::DataInvalid,
        ),
        (
            "pg_restore: error: could not execute query: ERROR:  division by zero\nCommand was: CREATE INDEX i ON t (f('\nERROR:  permission denied for'));\npg_restore: error: x",
            FailureCode::DataInvalid,
        ),
    ] {
        assert_eq!(code(message), Some(expected), "{message}");
    }
}

#[test]
fn subject_is_the_object_of_the_message() {
    for (message, subject) in [
        ("ERROR:  extension \"vector\" is not available", Some("vector")),
        (
            "ERROR:  could not open extension control file \"/usr/share/extension/vector.control\": No such file",
            Some("vector"),
        ),
        ("ERROR:  relation \"public.t\" does not exist", Some("public.t")),
        ("ERROR:  out of shared memory", None),
    ] {
        assert_eq!(read(&[message]).subject.as_deref(), subject, "{message}");
    }
}

#[test]
fn warnings_and_errors_are_logged_as_warnings() {
    assert_eq!(level_of("pg_dump: warning: there are circular foreign-key constraints"), Level::Warn);
    assert_eq!(level_of("pg_restore: connecting to database"), Level::Debug);
}
