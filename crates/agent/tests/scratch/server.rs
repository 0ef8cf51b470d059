//! PostgreSQL servers for the tests, on a socket.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use model::TlsMode;
use model::agent::Connection;

use super::PASSWORD;
use super::programs::{bin, short_dir, unprivileged};

/// A server that is stopped when dropped.
pub(crate) struct Server {
    dir: tempfile::TempDir,
    data: PathBuf,
    user: String,
    password: String,
    server: Option<Child>,
}

impl Server {
    /// Creates an empty server.
    pub(crate) fn new() -> Self {
        let dir = short_dir();
        let data = dir.path().join("data");
        let password = dir.path().join("pw");
        std::fs::write(&password, PASSWORD).unwrap();
        let created = unprivileged("initdb")
            .args([
                "-D",
                data.to_str().unwrap(),
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-N",
                "-A",
                "scram-sha-256",
            ])
            .arg(format!("--pwfile={}", password.display()))
            .output()
            .unwrap();
        assert!(created.status.success(), "{}", text(&created));
        let mut server = Self { dir, data, user: "postgres".into(), password: PASSWORD.into(), server: None };
        server.configure("max_locks_per_transaction = 256");
        server.start();
        server
    }

    /// Starts a server on an existing data directory, with a socket directory of its own.
    pub(crate) fn on(data: &Path) -> Self {
        Self::on_as(data, "postgres", PASSWORD)
    }

    /// The same, with another role for the clients.
    pub(crate) fn on_as(data: &Path, user: &str, password: &str) -> Self {
        let mut server = Self {
            dir: short_dir(),
            data: data.to_owned(),
            user: user.into(),
            password: password.into(),
            server: None,
        };
        server.start();
        server
    }

    pub(crate) fn start(&mut self) {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let mut command = unprivileged("postgres");
        command.args([
            "-D",
            self.data.to_str().unwrap(),
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "max_wal_size=4GB",
        ]);
        command.args(["-c", &format!("unix_socket_directories={}", self.socket())]);
        self.server = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.try_psql("template1", "select 1").status.success() {
            assert!(
                Instant::now() < deadline,
                "{}",
                std::fs::read_to_string(self.dir.path().join("log")).unwrap()
            );
            assert!(
                self.server.as_mut().unwrap().try_wait().unwrap().is_none(),
                "{}",
                std::fs::read_to_string(self.dir.path().join("log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Adds lines to its configuration. They take effect at the next start.
    pub(crate) fn configure(&self, lines: &str) {
        let path = self.data.join("postgresql.auto.conf");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{before}\n{lines}\n")).unwrap();
    }

    /// Stops it in the mode immediate.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let pid = rustix::process::Pid::from_child(&server);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
            server.wait().unwrap();
        }
    }

    pub(crate) fn socket(&self) -> String {
        self.dir.path().to_str().unwrap().to_owned()
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection {
            host: self.socket(),
            port: 5432,
            username: "postgres".into(),
            database: "postgres".into(),
            tls: TlsMode::Disable,
        }
    }

    /// What the server has logged since its last start.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(bin().join(program));
        command.env_clear().envs([
            ("PATH", "/usr/bin:/bin"),
            ("LC_ALL", "C.UTF-8"),
            ("PGUSER", &self.user),
            ("PGPASSWORD", &self.password),
        ]);
        command
            .env("PGHOST", self.socket())
            .env("PGPORT", "5432")
            .env("PGDATABASE", "postgres")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn try_psql(&self, database: &str, sql: &str) -> Output {
        self.client("psql")
            .env("PGDATABASE", database)
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .output()
            .unwrap()
    }

    /// Executes statements and returns their output.
    pub(crate) fn psql(&self, database: &str, sql: &str) -> String {
        let output = self.try_psql(database, sql);
        assert!(output.status.success(), "{sql}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Executes a file of the tests.
    pub(crate) fn load(&self, file: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
        let output = self
            .client("psql")
            .args(["-X", "-q", "-o", "/dev/null", "-f", path.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }

    /// Makes `pg_hba.conf` reject all connections to a database.
    pub(crate) fn reject(&self, database: &str) {
        let path = self.data.join("pg_hba.conf");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("local {database} all reject\n{before}")).unwrap();
        self.psql("postgres", "select pg_reload_conf()");
        while self.try_psql(database, "select 1").status.success() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The sorted lines of pg_dumpall.
    pub(crate) fn dumpall(&self) -> Vec<String> {
        self.dumpall_with(&[])
    }

    /// The same, with more arguments.
    pub(crate) fn dumpall_with(&self, args: &[&str]) -> Vec<String> {
        let output =
            self.client("pg_dumpall").args(args).env("PGCLIENTENCODING", "SQL_ASCII").output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let mut lines: Vec<String> = output
            .stdout
            .split(|b| *b == b'\n')
            .filter(|l| !l.starts_with(b"\\restrict") && !l.starts_with(b"\\unrestrict"))
            .map(|l| String::from_utf8_lossy(l).into_owned())
            .collect();
        lines.sort_unstable();
        lines
    }
}

/// A client that executes statements in one session.
pub(crate) struct Session(Child);

impl Session {
    pub(crate) fn start(server: &Server, database: &str) -> Self {
        let mut command = server.client("psql");
        command.env("PGDATABASE", database).args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]);
        Self(command.stdin(Stdio::piped()).spawn().unwrap())
    }

    /// Sends statements; it does not wait for them.
    pub(crate) fn run(&mut self, sql: &str) {
        use std::io::Write as _;

        writeln!(self.0.stdin.as_mut().unwrap(), "{sql}").unwrap();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
