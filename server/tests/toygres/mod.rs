//! A `toygres-server standalone` of one test: with a database, a data directory and a port of its own.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(unreachable_pub, reason = "shared by test files")]
#![allow(dead_code, reason = "each test file uses a part")]

pub mod state_database;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub const NAME: &str = "admin";
pub const PASSWORD: &str = "canary-8f3d-admin-password";
/// The password of the roles that own the databases of tests.
const OWNER_PASSWORD: &str = "canary-51c7-owner-password";

pub struct Toygres {
    child: Child,
    pub port: u16,
    pub dir: tempfile::TempDir,
    pub database: String,
}

/// The URL of a database on the PostgreSQL server of the tests, for its administrator.
pub fn database_url(database: &str) -> String {
    let url = std::env::var("DATABASE_URL").expect(
        "DATABASE_URL is not set: set it to a PostgreSQL server on which tests may create databases, or run `cargo xtask test`",
    );
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{database}")
}

/// The URL of a database as the server under test gets it: for the database's owner, a role without any other right.
pub fn owner_url(database: &str) -> String {
    let mut url = reqwest::Url::parse(&database_url(database)).unwrap();
    url.set_username(database).unwrap();
    url.set_password(Some(OWNER_PASSWORD)).unwrap();
    url.into()
}

/// Executes a statement as the administrator.
pub fn psql(database: &str, sql: &str) -> String {
    let output =
        Command::new("psql").args(["-X", "-At", "-d", &database_url(database), "-c", sql]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Toygres {
    /// Starts a server.
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// Starts a server with other arguments or variables.
    pub fn start_with(change: impl Fn(&mut Command)) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // reqwest is built without a TLS provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let database = format!("server_test_{}_{number}", std::process::id());
        psql("postgres", &format!("create role {database} login password '{OWNER_PASSWORD}'"));
        psql("postgres", &format!("create database {database} owner {database}"));
        let dir = tempfile::Builder::new().prefix("toygres-server-test-").tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let child = spawn(0, dir.path(), &database, change);
        let mut toygres = Self { child, port: 0, dir, database };
        toygres.wait_until_ready();
        toygres
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            assert!(self.child.try_wait().unwrap().is_none(), "the server ended: {}", self.log());
            assert!(Instant::now() < deadline, "the server is not ready: {}", self.log());
            if let Some(port) = listening_port(&self.log()) {
                self.port = port;
                if Command::new("curl").args(["-sf", &self.url("/ready")]).output().unwrap().status.success()
                {
                    return;
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A command on this server's state database and data directory.
    pub fn tool(&self, arguments: &[&str]) -> Command {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_toygres-server"));
        tool.args(arguments)
            .env("DATABASE_URL", owner_url(&self.database))
            .env("TOYGRES_DATA_DIR", self.dir.path().join("data"))
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null());
        tool
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Starts the stopped server again, at the same port.
    pub fn start_again(&mut self, change: impl Fn(&mut Command)) {
        self.child = spawn(self.port, self.dir.path(), &self.database, change);
        self.wait_until_ready();
    }

    /// The server's peak memory, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the server, as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops the server with SIGTERM and returns its exit status.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

/// The port of a server that listens, from its output.
pub fn listening_port(output: &str) -> Option<u16> {
    let address = output.lines().rev().find_map(|line| line.strip_prefix("Listening on "))?;
    address.rsplit_once(':')?.1.parse().ok()
}

/// Logs in and returns a client with the session cookie.
pub async fn log_in(toygres: &Toygres) -> reqwest::Client {
    let client = reqwest::Client::builder().cookie_store(true).redirect(reqwest::redirect::Policy::none());
    let client = client.build().unwrap();
    let form = [("username", NAME), ("password", PASSWORD)];
    assert_eq!(client.post(toygres.url("/login")).form(&form).send().await.unwrap().status(), 200);
    client
}

/// The state of a run; empty while the state database is unavailable.
pub async fn state_of(client: &reqwest::Client, toygres: &Toygres, run: &str) -> String {
    let answer = client.get(toygres.url(&format!("/api/runs/{run}"))).send().await.unwrap();
    let detail: serde_json::Value = answer.json().await.unwrap();
    detail["state"].as_str().unwrap_or_default().to_owned()
}

/// Waits until a run has succeeded.
pub async fn succeeds(client: &reqwest::Client, toygres: &Toygres, run: &str) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        match state_of(client, toygres, run).await.as_str() {
            "succeeded" => return,
            "running" | "" => assert!(Instant::now() < deadline, "{run} does not end: {}", toygres.log()),
            other => panic!("{run} is {other}: {}", toygres.log()),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Starts the creation of an instance, and returns its run.
pub async fn create_instance(client: &reqwest::Client, toygres: &Toygres, name: &str) -> String {
    let request = client.post(toygres.url("/api/instances")).json(&serde_json::json!({ "name": name }));
    let started: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    started["run_id"].as_str().unwrap().to_owned()
}

/// Waits until a step of a run waits for its job.
pub async fn waits_for_its_job(client: &reqwest::Client, toygres: &Toygres, run: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = client.get(toygres.url(&format!("/api/runs/{run}"))).send().await.unwrap();
        let detail: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(detail["state"], "running", "{detail}");
        let steps = detail["step_rows"].as_array().unwrap();
        if steps.iter().any(|step| step["name"] == "TestConnection" && step["state"] == "waiting") {
            return;
        }
        assert!(Instant::now() < deadline, "{run} does not launch its job: {detail}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A server at a port; 0 selects a free one.
pub fn command(port: u16, dir: &Path, database: &str) -> Command {
    let mut server = Command::new(env!("CARGO_BIN_EXE_toygres-server"));
    server
        .args(["standalone", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(dir.join("data"))
        .env("DATABASE_URL", owner_url(database))
        .env("TOYGRES_ADMIN_USERNAME", NAME)
        .env("TOYGRES_ADMIN_PASSWORD", PASSWORD)
        .env("TOYGRES_AGENT", agent())
        .env("RUST_LOG", "debug")
        .stdin(Stdio::null());
    server
}

fn spawn(port: u16, dir: &Path, database: &str, change: impl Fn(&mut Command)) -> Child {
    let log = std::fs::File::create(dir.join("log")).unwrap();
    let mut server = command(port, dir, database);
    change(&mut server);
    server.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

/// The agent's program beside the server, which `cargo xtask test` builds; it is built here if it does not exist.
pub fn agent() -> PathBuf {
    let agent = Path::new(env!("CARGO_BIN_EXE_toygres-server")).with_file_name("toygres-agent");
    if !agent.exists() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--workspace", "--bin", "toygres-agent"])
            .status()
            .unwrap();
        assert!(built.success());
    }
    agent
}

impl Drop for Toygres {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            self.stop();
        }
        // Instances outlive their server.
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
            .args(["-X", "-q", "-d", &database_url("postgres")])
            .args(["-c", &format!("drop database if exists {} with (force)", self.database)])
            .args(["-c", &format!("drop role if exists {}", self.database)])
            .output();
    }
}
