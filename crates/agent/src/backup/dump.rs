//! The command lines of pg_dump and pg_dumpall for everything but table rows. It starts nothing and opens no store.

use std::ffi::OsString;
use std::path::Path;

use model::{Connection, TlsMode};

use super::snapshot::LOCK_WAIT_MS;
use crate::programs::Programs;
use crate::tools::Tool;

/// How to reach the source with libpq: by environment, the password in a file.
pub(crate) struct Libpq<'a> {
    pub(crate) source: &'a Connection,
    pub(crate) passfile: Option<&'a Path>,
}

impl Libpq<'_> {
    fn env(&self, database: &str) -> Vec<(&'static str, OsString)> {
        let source = self.source;
        let mut env: Vec<(&'static str, OsString)> = vec![
            ("PGHOST", (&source.host).into()),
            ("PGPORT", source.port.to_string().into()),
            ("PGUSER", (&source.username).into()),
            // Unlike an argument it is taken as a name, whatever it looks like.
            ("PGDATABASE", database.into()),
            ("PGSSLMODE", source.tls.as_str().into()),
            ("PGGSSENCMODE", "disable".into()),
            ("PGCONNECT_TIMEOUT", "30".into()),
            ("PGAPPNAME", "toygres".into()),
            ("PGCLIENTENCODING", "UTF8".into()),
            ("PGPASSFILE", self.passfile.unwrap_or(Path::new("/nonexistent")).into()),
        ];
        if source.tls == TlsMode::VerifyFull {
            let bundles = [
                "/etc/ssl/certs/ca-certificates.crt",
                "/etc/pki/tls/certs/ca-bundle.crt",
                "/etc/ssl/cert.pem",
            ];
            let bundle = bundles.iter().find(|path| Path::new(path).exists());
            env.push(("PGSSLROOTCERT", bundle.unwrap_or(&bundles[0]).into()));
        }
        env
    }

    /// Roles, memberships and their settings. Without `passwords` their verifiers are left out, which only a superuser
    /// may read.
    pub(crate) fn globals(&self, programs: &Programs, passwords: bool) -> Tool {
        let database = &self.source.database;
        let connection =
            format!("--database=dbname='{}'", database.replace('\\', r"\\").replace('\'', r"\'"));
        let tool = Tool::new(&programs.path("pg_dumpall"), None)
            .args([
                "--globals-only",
                "--no-password",
                &format!("--lock-wait-timeout={LOCK_WAIT_MS}"),
                &connection,
            ])
            .envs(self.env(database));
        if passwords { tool } else { tool.args(["--no-role-passwords"]) }
    }

    /// Everything of a database but rows, sequences' values and large objects.
    pub(crate) fn schema(&self, programs: &Programs, database: &str, snapshot: &str) -> Tool {
        self.dump(programs, database, snapshot).args([
            "--create",
            "--section=pre-data",
            "--section=post-data",
        ])
    }

    /// Large objects' contents alone: the pattern leaves out every table and sequence.
    pub(crate) fn large_objects(&self, programs: &Programs, database: &str, snapshot: &str) -> Tool {
        let blobs = if programs.major >= 16 { "--large-objects" } else { "--blobs" };
        self.dump(programs, database, snapshot).args(["--section=data", "--exclude-table-data=*.*", blobs])
    }

    fn dump(&self, programs: &Programs, database: &str, snapshot: &str) -> Tool {
        Tool::new(&programs.path("pg_dump"), None)
            .args(["--format=custom", "--no-password"])
            .args([format!("--snapshot={snapshot}"), format!("--lock-wait-timeout={LOCK_WAIT_MS}")])
            .envs(self.env(database))
    }
}
