//! Toygres' own database goes away and comes back while runs are going.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use platform::cluster::{PRIVATE_PORT, PRIVATE_USER, PrivateCluster};
use platform::local::account::Account;
use serde_json::{Value, json};
use toygres::{Toygres, free_port, log_in, succeeds};

#[tokio::test]
async fn runs_survive_an_outage_of_the_cms_and_nothing_hangs() {
    let dir = tempfile::Builder::new().prefix("toygres-outage-").tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let start = async || {
        let installed = platform::local::find_installations(&[]).await.unwrap();
        let (cms, socket) = (dir.path().join("cms"), dir.path().join("s"));
        PrivateCluster::ensure(&installed, &cms, &socket, Account::find(None).unwrap()).await.unwrap()
    };
    let cms = start().await;
    let url = format!(
        "postgres://{PRIVATE_USER}@localhost:{PRIVATE_PORT}/postgres?host={}",
        cms.socket_dir().display()
    );
    let toygres = Toygres::start_with(free_port(), |server| {
        server.env("DATABASE_URL", &url).env("RUST_LOG", "info");
    });
    let client = log_in(&toygres).await;
    let begin = async |name: &str| {
        let create = client.post(toygres.url("/api/instances")).json(&json!({ "name": name }));
        let made: Value = create.send().await.unwrap().json().await.unwrap();
        made["run_id"].as_str().unwrap().to_owned()
    };
    let runs = [begin("one").await, begin("two").await];
    tokio::time::sleep(Duration::from_millis(700)).await;
    let running = client.get(toygres.url("/api/runs?active=true")).send().await.unwrap();
    assert_eq!(
        running.json::<Vec<Value>>().await.unwrap().len(),
        2,
        "the runs ended too early to see anything"
    );

    cms.stop().await.unwrap();
    let status = async |path: &str| {
        let began = Instant::now();
        let answer = client.get(toygres.url(path)).send().await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(15), "{path} hangs");
        answer.status().as_u16()
    };
    // Also with a cookie: whether the process lives is no matter of who asks.
    assert_eq!(status("/health").await, 200);
    assert_eq!(status("/ready").await, 503);
    assert_eq!(status("/api/runs").await, 503);
    assert_eq!(status("/runs").await, 503);
    let page = client.get(toygres.url("/runs")).header("accept", "text/html").send().await.unwrap();
    assert_eq!((page.status().as_u16(), &page.headers()["retry-after"]), (503, &"2".parse().unwrap()));
    let page = page.text().await.unwrap();
    assert!(page.contains("Not available now") && page.contains("database does not answer"), "{page}");
    assert_eq!(status("/health").await, 200);

    let _cms = start().await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while status("/ready").await != 200 {
        assert!(Instant::now() < deadline, "the server does not find its database again: {}", toygres.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(status("/runs").await, 200);
    for run in &runs {
        succeeds(&client, &toygres, run).await;
        let log = client.get(toygres.url(&format!("/api/runs/{run}/log"))).send().await.unwrap();
        let log = log.text().await.unwrap();
        assert!(!log.contains("are missing here"), "{log}");
    }
    // What is asked for now is done now.
    let after = begin("three").await;
    succeeds(&client, &toygres, &after).await;
    drop(toygres);
    _cms.stop().await.unwrap();
}

#[tokio::test]
async fn the_own_database_comes_back_after_it_was_killed() {
    let mut toygres = Toygres::start_with(free_port(), |server| {
        server.env_remove("DATABASE_URL");
    });
    let client = log_in(&toygres).await;
    let file = toygres.dir.path().join("data/cms/data/postmaster.pid");
    let pid = || -> Option<i32> { std::fs::read_to_string(&file).ok()?.lines().next()?.parse().ok() };
    let killed = pid().unwrap();
    let process = rustix::process::Pid::from_raw(killed).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while pid().is_none_or(|pid| pid == killed)
        || client.get(toygres.url("/ready")).send().await.unwrap().status() != 200
    {
        assert!(Instant::now() < deadline, "it stays away: {}", toygres.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(client.get(toygres.url("/api/instances")).send().await.unwrap().status(), 200);
    assert!(toygres.stop().success(), "and is stopped with the server");
}
