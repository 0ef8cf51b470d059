//! The state database stops and starts again while runs are running.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use platform::ExposeSecret;
use platform::local::account::Account;
use platform::postgres_server::{EMBEDDED_PORT, EMBEDDED_USER, EmbeddedServer};
use serde_json::{Value, json};
use toygres::{Toygres, log_in, succeeds};

/// How long to wait for something that must happen.
const DEADLINE: Duration = Duration::from_secs(60);

/// Holds every job at its start until the gate is opened.
struct Gate {
    agent: PathBuf,
    file: PathBuf,
}

impl Gate {
    fn new(dir: &Path) -> Self {
        let (agent, file, copy) = (dir.join("gated-agent"), dir.join("gate"), dir.join("agent"));
        // Jobs may run as another account, which cannot enter the build directory.
        std::fs::copy(toygres::agent(), &copy).unwrap();
        let script = format!(
            "#!/bin/sh\nwhile [ \"$1\" = run ] && [ ! -e '{}' ]; do /bin/sleep 0.1; done\nexec '{}' \"$@\"\n",
            file.display(),
            copy.display()
        );
        std::fs::write(&agent, script).unwrap();
        std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { agent, file }
    }

    fn open(&self) {
        std::fs::write(&self.file, "").unwrap();
    }
}

#[tokio::test]
async fn runs_survive_an_outage_of_the_state_database() {
    let dir = tempfile::Builder::new().prefix("toygres-outage-").tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let gate = Gate::new(dir.path());
    let start = async || {
        let installed = platform::local::find_installations(&[]).await.unwrap();
        let (data, socket) = (dir.path().join("state"), dir.path().join("s"));
        EmbeddedServer::ensure(&installed, &data, &socket, Account::find(None).unwrap()).await.unwrap()
    };
    let database = start().await;
    let url = format!(
        "postgres://{EMBEDDED_USER}:{}@localhost:{EMBEDDED_PORT}/postgres?host={}",
        database.password().expose_secret(),
        database.socket_dir().display()
    );
    let toygres = Toygres::start_with(|server| {
        server.env("DATABASE_URL", &url).env("RUST_LOG", "info").env("TOYGRES_AGENT", &gate.agent);
    });
    let client = log_in(&toygres).await;
    let create = async |name: &str| {
        let request = client.post(toygres.url("/api/instances")).json(&json!({ "name": name }));
        let started: Value = request.send().await.unwrap().json().await.unwrap();
        started["run_id"].as_str().unwrap().to_owned()
    };
    let runs = [create("one").await, create("two").await];
    for run in &runs {
        waits_for_its_job(&client, &toygres, run).await;
    }

    database.stop().await.unwrap();
    let status = async |path: &str| {
        // The limit keeps the test from hanging with the server.
        let request = client.get(toygres.url(path)).timeout(DEADLINE);
        request.send().await.unwrap().status().as_u16()
    };
    // The client sends a session cookie: liveness does not depend on the caller.
    assert_eq!(status("/health").await, 200);
    assert_eq!(status("/ready").await, 503);
    assert_eq!(status("/api/runs").await, 503);
    assert_eq!(status("/runs").await, 503);
    let page = client.get(toygres.url("/runs")).header("accept", "text/html").send().await.unwrap();
    assert_eq!((page.status().as_u16(), &page.headers()["retry-after"]), (503, &"2".parse().unwrap()));
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    // The jobs work and end during the outage.
    gate.open();
    assert_eq!(status("/health").await, 200);

    let database = start().await;
    let deadline = Instant::now() + DEADLINE;
    while status("/ready").await != 200 {
        assert!(Instant::now() < deadline, "the server does not reconnect: {}", toygres.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(status("/runs").await, 200);
    for run in &runs {
        succeeds(&client, &toygres, run).await;
        let log = client.get(toygres.url(&format!("/api/runs/{run}/log"))).send().await.unwrap();
        let lines: Vec<Value> = log.json().await.unwrap();
        // A gap would be logged as a warning.
        assert!(lines.iter().all(|line| line["level"] == "info" || line["level"] == "debug"), "{lines:?}");
    }
    let after = create("three").await;
    succeeds(&client, &toygres, &after).await;
    drop(toygres);
    database.stop().await.unwrap();
}

/// Waits until a step of a run waits for its job.
async fn waits_for_its_job(client: &reqwest::Client, toygres: &Toygres, run: &str) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = client.get(toygres.url(&format!("/api/runs/{run}"))).send().await.unwrap();
        let detail: Value = answer.json().await.unwrap();
        assert_eq!(detail["state"], "running", "{detail}");
        let steps = detail["step_rows"].as_array().unwrap();
        if steps.iter().any(|step| step["name"] == "TestConnection" && step["state"] == "waiting") {
            return;
        }
        assert!(Instant::now() < deadline, "{run} does not launch its job: {detail}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn server_waits_for_a_migration_that_takes_longer_than_a_query_may() {
    let mut toygres = Toygres::start();
    assert!(toygres.stop().success());
    let lock = "begin; lock table toygres._sqlx_migrations; select pg_sleep(12)";
    let mut migration = std::process::Command::new("psql")
        .args(["-X", "-q", "-d", &toygres::database_url(&toygres.database), "-c", lock])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let locked = "select count(*) from pg_locks where relation = 'toygres._sqlx_migrations'::regclass and mode = 'AccessExclusiveLock'";
    while toygres::psql(&toygres.database, locked).trim() == "0" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    toygres.start_again(|_| {});
    assert!(migration.wait().unwrap().success());
}

#[tokio::test]
async fn embedded_state_database_restarts_after_a_crash() {
    let mut toygres = Toygres::start_with(|server| {
        server.env_remove("DATABASE_URL");
    });
    let client = log_in(&toygres).await;
    let file = toygres.dir.path().join("data/cms/data/postmaster.pid");
    let pid = || -> Option<i32> { std::fs::read_to_string(&file).ok()?.lines().next()?.parse().ok() };
    let killed = pid().unwrap();
    let process = rustix::process::Pid::from_raw(killed).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    let deadline = Instant::now() + DEADLINE;
    while pid().is_none_or(|pid| pid == killed)
        || client.get(toygres.url("/ready")).send().await.unwrap().status() != 200
    {
        assert!(Instant::now() < deadline, "it does not restart: {}", toygres.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(client.get(toygres.url("/api/instances")).send().await.unwrap().status(), 200);
    assert!(toygres.stop().success(), "it is stopped with the server");
}
