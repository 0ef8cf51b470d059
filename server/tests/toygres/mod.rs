//! A real `toygres-server standalone` of a test's own: a database of its own, a fresh data directory, a free port.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(unreachable_pub, reason = "shared by test files")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const NAME: &str = "admin";
pub const PASSWORD: &str = "canary-8f3d-admin-password";

pub struct Toygres {
    child: Child,
    pub port: u16,
    pub dir: tempfile::TempDir,
    pub database: String,
}

/// The PostgreSQL of the tests: `DATABASE_URL`, as the other crates' tests use it.
pub fn database_url(database: &str) -> String {
    let url = std::env::var("DATABASE_URL").expect("the tests need DATABASE_URL; `cargo xtask test` sets it");
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{database}")
}

pub fn psql(database: &str, sql: &str) -> String {
    let output =
        Command::new("psql").args(["-X", "-At", "-d", &database_url(database), "-c", sql]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Toygres {
    /// Starts it at a free port.
    pub fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::start_at(port)
    }

    pub fn start_at(port: u16) -> Self {
        // The client that tests use brings none of its own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let database = format!("server_test_{port}_{}", std::process::id());
        psql("postgres", &format!("create database {database}"));
        let dir = tempfile::Builder::new().prefix("toygres-server-test-").tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let child = spawn(port, dir.path(), &database);
        let mut toygres = Self { child, port, dir, database };
        toygres.wait_until_ready();
        toygres
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !Command::new("curl").args(["-sf", &self.url("/ready")]).output().unwrap().status.success() {
            assert!(self.child.try_wait().unwrap().is_none(), "the server ended: {}", self.log());
            assert!(Instant::now() < deadline, "the server is not ready: {}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The most memory that it ever had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// SIGTERM; how it ended.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

pub fn command(port: u16, dir: &std::path::Path, database: &str) -> Command {
    let mut server = Command::new(env!("CARGO_BIN_EXE_toygres-server"));
    server
        .args(["standalone", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(dir.join("data"))
        .env("DATABASE_URL", database_url(database))
        .env("TOYGRES_ADMIN_USERNAME", NAME)
        .env("TOYGRES_ADMIN_PASSWORD", PASSWORD)
        .env("TOYGRES_AGENT", agent())
        .env("RUST_LOG", "debug")
        .stdin(Stdio::null());
    server
}

fn spawn(port: u16, dir: &std::path::Path, database: &str) -> Child {
    let log = std::fs::File::create(dir.join("log")).unwrap();
    command(port, dir, database).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

/// The agent beside the server, which `cargo xtask test` has built.
fn agent() -> std::path::PathBuf {
    let agent = std::path::Path::new(env!("CARGO_BIN_EXE_toygres-server")).with_file_name("toygres-agent");
    if !agent.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "-p", "agent"]).status().unwrap();
        assert!(built.success());
    }
    agent
}

impl Drop for Toygres {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            self.stop();
        }
        // Instances outlive their server: these are the test's own.
        let data = self.dir.path().join("data/instances");
        for entry in std::fs::read_dir(data).into_iter().flatten().flatten() {
            let pid = std::fs::read_to_string(entry.path().join("data/postmaster.pid")).unwrap_or_default();
            let pid =
                pid.lines().next().and_then(|pid| pid.parse().ok()).and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
            }
        }
        let _ = Command::new("psql")
            .args(["-X", "-q", "-d", &database_url("postgres"), "-c"])
            .arg(format!("drop database if exists {} with (force)", self.database))
            .output();
    }
}
