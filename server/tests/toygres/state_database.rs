//! A state database of one test, on a PostgreSQL server of its own that can be stopped, filled and misled.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use platform::ExposeSecret;
use platform::local::account::Account;
use platform::postgres_server::{EMBEDDED_PORT, EMBEDDED_USER, EmbeddedServer};

use super::{Toygres, agent};

pub struct StateDatabase {
    pub dir: tempfile::TempDir,
    server: EmbeddedServer,
    bin_dir: PathBuf,
}

impl StateDatabase {
    pub async fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("toygres-state-").tempdir().unwrap();
        Self::start_in(dir).await
    }

    pub async fn start_in(dir: tempfile::TempDir) -> Self {
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let (server, bin_dir) = ensure(dir.path()).await;
        Self { dir, server, bin_dir }
    }

    pub fn url(&self) -> String {
        format!(
            "postgres://{EMBEDDED_USER}:{}@localhost:{EMBEDDED_PORT}/postgres?host={}",
            self.server.password().expose_secret(),
            self.server.socket_dir().display()
        )
    }

    /// A Toygres with this state database.
    pub fn toygres(&self, gate: &Gate) -> Toygres {
        Toygres::start_with(|server| {
            server.env("DATABASE_URL", self.url()).env("RUST_LOG", "info").env("TOYGRES_AGENT", &gate.agent);
        })
    }

    pub async fn stop(&self) {
        self.server.stop().await.unwrap();
    }

    pub async fn start_again(&mut self) {
        (self.server, _) = ensure(self.dir.path()).await;
    }

    /// Starts the stopped server with other environment variables.
    pub fn start_with(&self, variables: &[(String, String)]) {
        let data = self.dir.path().join("state/data");
        let owner = std::fs::metadata(&data).unwrap();
        let mut start = Command::new(self.bin_dir.join("pg_ctl"));
        start
            .args(["start", "-w", "-s", "-D"])
            .arg(&data)
            .arg("-l")
            .arg(self.dir.path().join("state/server.log"));
        start.envs(variables.iter().cloned()).current_dir("/");
        if rustix::process::geteuid().is_root() {
            start.uid(owner.uid()).gid(owner.gid());
        }
        assert!(start.status().unwrap().success());
    }

    /// A session that executes statements.
    pub fn session(&self, sql: &str) -> Child {
        let mut psql = Command::new("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", &self.url(), "-c", sql]);
        psql.env("PGAPPNAME", "test").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn sql(&self, sql: &str) -> String {
        let output = self.session(sql).wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

async fn ensure(dir: &Path) -> (EmbeddedServer, PathBuf) {
    let installed = platform::local::find_installations(&[]).await.unwrap();
    let (data, socket) = (dir.join("state"), dir.join("s"));
    let server =
        EmbeddedServer::ensure(&installed, &data, &socket, Account::find(None).unwrap()).await.unwrap();
    (server, installed[0].bin_dir.as_deref().unwrap().into())
}

/// Holds every job at its start until the gate is opened.
pub struct Gate {
    pub agent: PathBuf,
    file: PathBuf,
}

impl Gate {
    pub fn new(dir: &Path) -> Self {
        let (gated, file, copy) = (dir.join("gated-agent"), dir.join("gate"), dir.join("agent"));
        // Jobs may run as another account, which cannot enter the build directory.
        std::fs::copy(agent(), &copy).unwrap();
        let script = format!(
            "#!/bin/sh\nwhile [ \"$1\" = run ] && [ ! -e '{}' ]; do /bin/sleep 0.1; done\nexec '{}' \"$@\"\n",
            file.display(),
            copy.display()
        );
        std::fs::write(&gated, script).unwrap();
        std::fs::set_permissions(&gated, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { agent: gated, file }
    }

    pub fn open(&self) {
        std::fs::write(&self.file, "").unwrap();
    }
}
