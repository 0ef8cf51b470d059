//! The command lines of pg_dump and pg_dumpall, which dump everything except table rows. It starts no program.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::Path;

use model::{Connection, FailureCode, TlsMode};

use super::snapshot::LOCK_WAIT_MS;
use crate::programs::Programs;
use crate::session::{self, Access};
use crate::tls::root_certificate_file;
use crate::tools::Tool;

/// The connection to the source for programs that use libpq: by environment variables, with the password in a file.
pub(crate) struct Libpq<'a> {
    pub(crate) source: &'a Connection,
    pub(crate) passfile: Option<&'a Path>,
    /// The addresses of the source, to which the programs connect without resolving its name again; none for a socket.
    pub(crate) addresses: Vec<IpAddr>,
}

impl Libpq<'_> {
    fn env(&self, database: &str) -> Vec<(&'static str, OsString)> {
        let source = self.source;
        let mut env: Vec<(&'static str, OsString)> = vec![
            ("PGPORT", source.port.to_string().into()),
            ("PGUSER", (&source.username).into()),
            // Unlike an argument, a variable is always a name, never a connection string.
            ("PGDATABASE", database.into()),
            ("PGSSLMODE", source.tls.as_str().into()),
            ("PGGSSENCMODE", "disable".into()),
            ("PGCONNECT_TIMEOUT", "30".into()),
            ("PGAPPNAME", "toygres".into()),
            ("PGCLIENTENCODING", "UTF8".into()),
            ("PGOPTIONS", session::options(Access::Read).into()),
            ("PGPASSFILE", self.passfile.unwrap_or(Path::new("/nonexistent")).into()),
        ];
        if self.addresses.is_empty() {
            env.push(("PGHOST", (&source.host).into()));
        } else {
            // The name is what TLS verifies. libpq expects one for each address.
            let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
            env.push(("PGHOST", vec![source.host.as_str(); addresses.len()].join(",").into()));
            env.push(("PGHOSTADDR", addresses.join(",").into()));
        }
        if source.tls == TlsMode::VerifyFull
            && let Some(file) = root_certificate_file()
        {
            env.push(("PGSSLROOTCERT", file.into()));
        }
        env
    }

    /// Dumps roles, memberships and settings of roles. Only a superuser may read the verifiers of `passwords`.
    pub(crate) fn globals(&self, programs: &Programs, passwords: bool) -> Tool {
        let database = &self.source.database;
        let connection =
            format!("--database=dbname='{}'", database.replace('\\', r"\\").replace('\'', r"\'"));
        let tool = Tool::new(&programs.path("pg_dumpall"), None, FailureCode::DumpFailed)
            .args([
                "--globals-only",
                "--no-tablespaces",
                "--no-password",
                &format!("--lock-wait-timeout={LOCK_WAIT_MS}"),
                &connection,
            ])
            .envs(self.env(database));
        if passwords { tool } else { tool.args(["--no-role-passwords"]) }
    }

    /// Dumps a database without rows, values of sequences, and large objects.
    pub(crate) fn schema(&self, programs: &Programs, database: &str, snapshot: &str) -> Tool {
        self.dump(programs, database, snapshot).args([
            "--create",
            "--section=pre-data",
            "--section=post-data",
        ])
    }

    /// Dumps the contents of large objects only: the pattern excludes all tables and sequences.
    pub(crate) fn large_objects(&self, programs: &Programs, database: &str, snapshot: &str) -> Tool {
        let blobs = if programs.major >= 16 { "--large-objects" } else { "--blobs" };
        self.dump(programs, database, snapshot).args(["--section=data", "--exclude-table-data=*.*", blobs])
    }

    fn dump(&self, programs: &Programs, database: &str, snapshot: &str) -> Tool {
        Tool::new(&programs.path("pg_dump"), None, FailureCode::DumpFailed)
            // The target has no tablespaces. In an archive, this concerns CREATE DATABASE alone.
            .args(["--format=custom", "--no-tablespaces", "--no-password"])
            .args([format!("--snapshot={snapshot}"), format!("--lock-wait-timeout={LOCK_WAIT_MS}")])
            .envs(self.env(database))
    }
}
