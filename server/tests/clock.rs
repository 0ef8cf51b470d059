//! Clocks that are wrong, and clocks that jump: results do not depend on the time of day. The clocks are libfaketime's (Debian:
//! faketime).

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use std::path::{Path, PathBuf};

use serde_json::Value;
use toygres::state_database::{Gate, StateDatabase};
use toygres::{Toygres, create_instance, log_in, succeeds, waits_for_its_job};

/// Offsets of a clock, in the syntax of libfaketime.
const JUMPS: [&str; 5] = ["+1h", "-1h", "+1y", "-1y", "+0"];

fn library() -> String {
    let found = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map(|machine| format!("/usr/lib/{machine}/faketime/libfaketimeMT.so.1"))
        .into_iter()
        .find(|path| Path::new(path).exists());
    found.expect("libfaketime is not installed (Debian: faketime)")
}

/// A clock that can be set.
struct Clock(PathBuf);

impl Clock {
    fn new(dir: &Path) -> Self {
        let clock = Self(dir.join("clock"));
        clock.set("+0");
        clock
    }

    /// Sets it to the time of this machine plus an offset.
    fn set(&self, offset: &str) {
        // The file is read at any moment.
        let next = self.0.with_extension("next");
        std::fs::write(&next, offset).unwrap();
        std::fs::rename(next, &self.0).unwrap();
    }

    /// The variables of a process that has this clock.
    fn variables(&self) -> [(String, String); 4] {
        [
            ("LD_PRELOAD".to_owned(), library()),
            ("FAKETIME_TIMESTAMP_FILE".to_owned(), self.0.display().to_string()),
            ("FAKETIME_NO_CACHE".to_owned(), "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
        ]
    }
}

#[tokio::test]
async fn sudo_mode_does_not_depend_on_the_clock_of_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::new(dir.path());
    let mut toygres = Toygres::start_with(|server| {
        server.envs(clock.variables());
    });
    let client = log_in(&toygres).await;
    let sudo = [("password", toygres::PASSWORD)];
    for confirmed_at in ["+0", "-10m", "+1y"] {
        clock.set(confirmed_at);
        let confirmed = client.post(toygres.url("/api/sudo")).json(&std::collections::BTreeMap::from(sudo));
        let confirmed = confirmed.send().await.unwrap();
        assert_eq!(confirmed.status(), 200, "{}", confirmed.text().await.unwrap());
        for used_at in ["+10m", "-10m", "+1y", "-1y"] {
            clock.set(used_at);
            let deletion = client.delete(toygres.url("/api/instances/missing?confirm=missing"));
            let status = deletion.send().await.unwrap().status();
            assert_eq!(status, 404, "confirmed at {confirmed_at}, used at {used_at}");
        }
    }
    assert!(toygres.stop().success());
}

/// Makes a clock jump while a run waits for its job.
async fn succeeds_although(clock: &Clock, toygres: &Toygres, gate: &Gate) {
    let client = log_in(toygres).await;
    let run = create_instance(&client, toygres, "one").await;
    waits_for_its_job(&client, toygres, &run).await;
    for jump in JUMPS {
        clock.set(jump);
        // The engine, the collector and the platform look at their clocks at least once a second.
        tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    }
    clock.set("+1h");
    gate.open();
    // A session ends by the clock of the state database.
    let client = log_in(toygres).await;
    succeeds(&client, toygres, &run).await;
    let answer = client.get(toygres.url(&format!("/api/runs/{run}"))).send().await.unwrap();
    let detail: Value = answer.json().await.unwrap();
    let steps = detail["step_rows"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["attempt"].as_i64() <= Some(1)), "{detail}");
}

#[tokio::test]
async fn run_survives_jumps_of_a_servers_clock() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (clock, gate) = (Clock::new(dir.path()), Gate::new(dir.path()));
    let toygres = Toygres::start_with(|server| {
        server.envs(clock.variables()).env("TOYGRES_AGENT", &gate.agent).env("RUST_LOG", "info");
    });
    succeeds_although(&clock, &toygres, &gate).await;
}

#[tokio::test]
async fn run_survives_jumps_of_the_state_databases_clock() {
    let database = StateDatabase::start().await;
    database.stop().await;
    let (clock, gate) = (Clock::new(database.dir.path()), Gate::new(database.dir.path()));
    database.start_with(&clock.variables());
    let toygres = database.toygres(&gate);
    succeeds_although(&clock, &toygres, &gate).await;
    drop(toygres);
    database.stop().await;
}
