//! The state database stops and starts again while runs are running.

#![expect(clippy::unwrap_used, reason = "tests")]

mod toygres;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use toygres::state_database::{Gate, StateDatabase};
use toygres::{Toygres, create_instance, log_in, succeeds, waits_for_its_job};

/// How long to wait for something that must happen.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn runs_survive_an_outage_of_the_state_database() {
    let mut database = StateDatabase::start().await;
    let gate = Gate::new(database.dir.path());
    let toygres = database.toygres(&gate);
    let client = log_in(&toygres).await;
    let runs =
        [create_instance(&client, &toygres, "one").await, create_instance(&client, &toygres, "two").await];
    for run in &runs {
        waits_for_its_job(&client, &toygres, run).await;
    }

    database.stop().await;
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

    database.start_again().await;
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
    let after = create_instance(&client, &toygres, "three").await;
    succeeds(&client, &toygres, &after).await;
    drop(toygres);
    database.stop().await;
}

/// Impairs the state database while a run waits for its job, and ends that: requests answer 503 meanwhile, and the run succeeds
/// at its first attempt without a restart of Toygres.
async fn recovers<T>(
    mut database: StateDatabase,
    impair: impl FnOnce(&mut StateDatabase) -> T,
    end: impl FnOnce(&mut StateDatabase, T),
) {
    let gate = Gate::new(database.dir.path());
    let toygres = database.toygres(&gate);
    let client = log_in(&toygres).await;
    let run = create_instance(&client, &toygres, "one").await;
    waits_for_its_job(&client, &toygres, &run).await;
    let create = async |name: &str| {
        let request = client.post(toygres.url("/api/instances")).json(&serde_json::json!({ "name": name }));
        request.timeout(DEADLINE).send().await.unwrap()
    };

    let impaired = impair(&mut database);
    // Some space or a connection may be left.
    for attempt in 0.. {
        let answer = create(&format!("more-{attempt}")).await;
        let (status, body) = (answer.status(), answer.text().await.unwrap());
        if status == 503 {
            assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["error"]["code"], "unavailable");
            break;
        }
        assert!(status == 202 && attempt < 200, "{status} {body}\n{}", toygres.log());
    }
    // The job ends, and the engine cannot record it.
    gate.open();
    assert_eq!(client.get(toygres.url("/health")).send().await.unwrap().status(), 200);

    end(&mut database, impaired);
    succeeds(&client, &toygres, &run).await;
    let answer = client.get(toygres.url(&format!("/api/runs/{run}"))).send().await.unwrap();
    let detail: Value = answer.json().await.unwrap();
    let steps = detail["step_rows"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["attempt"].as_i64() <= Some(1)), "{detail}");
    let after = create_instance(&client, &toygres, "three").await;
    succeeds(&client, &toygres, &after).await;
    drop(toygres);
    database.stop().await;
}

#[tokio::test]
async fn runs_survive_a_read_only_state_database() {
    let set = |database: &StateDatabase, value: &str| {
        database.sql(&format!("alter system set default_transaction_read_only = {value}"));
        database.sql("select pg_reload_conf()");
        while database.sql("show default_transaction_read_only") != value {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let database = StateDatabase::start().await;
    recovers(database, |database| set(database, "on"), |database, ()| set(database, "off")).await;
}

#[tokio::test]
async fn runs_survive_a_state_database_without_free_connections() {
    let database = StateDatabase::start().await;
    let occupy = |database: &mut StateDatabase| {
        // The first one disconnects Toygres again and again, the others take every place.
        let disconnect = "do $$ begin loop
                 perform pg_terminate_backend(pid) from pg_stat_activity
                     where backend_type = 'client backend' and application_name <> 'test';
                 perform pg_stat_clear_snapshot(), pg_sleep(0.05);
             end loop; end $$";
        let sleep = "set client_connection_check_interval = '100ms'; select pg_sleep(600)";
        let disconnecting = format!("set client_connection_check_interval = '100ms'; {disconnect}");
        let mut sessions = vec![database.session(&disconnecting)];
        sessions.extend((0..110).map(|_| database.session(sleep)));
        let deadline = Instant::now() + DEADLINE;
        while database.session("select 1").wait().unwrap().success() {
            assert!(Instant::now() < deadline, "connections are still free");
        }
        sessions
    };
    let free = |_: &mut StateDatabase, sessions: Vec<Child>| sessions.into_iter().for_each(kill);
    recovers(database, occupy, free).await;
}

#[tokio::test]
async fn runs_survive_a_lock_of_a_killed_client() {
    let lock = |database: &mut StateDatabase| {
        let session =
            database.session("begin; lock table toygres.instance, toygres.step; select pg_sleep(600)");
        let locked = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted
             and relation = 'toygres.step'::regclass";
        while database.sql(locked) == "0" {
            std::thread::sleep(Duration::from_millis(20));
        }
        session
    };
    let end = |database: &mut StateDatabase, session: Child| {
        kill(session);
        // PostgreSQL itself notices a vanished client when it sends something.
        database.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where query like '%lock table%' and pid <> pg_backend_pid()",
        );
    };
    recovers(StateDatabase::start().await, lock, end).await;
}

fn kill(mut session: Child) {
    session.kill().unwrap();
    session.wait().unwrap();
}

/// A tmpfs, unmounted when dropped.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
#[ignore = "needs root and mount"]
async fn runs_survive_a_full_disk_of_the_state_database() {
    let dir = tempfile::Builder::new().prefix("toygres-state-").tempdir().unwrap();
    let mount = Mount(dir.path().to_owned());
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=800m", "tmpfs"]).arg(dir.path()).status();
    assert!(mounted.unwrap().success(), "this account may not mount");
    let fill = |database: &mut StateDatabase| {
        let path = database.dir.path().join("full");
        let mut file = std::fs::File::create(&path).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
        // A table that grows finds no page.
        let mut growing =
            database.session("create table public.growing as select 1 from generate_series(1, 100000)");
        assert!(!growing.wait().unwrap().success());
        path
    };
    let free = |_: &mut StateDatabase, path: PathBuf| std::fs::remove_file(path).unwrap();
    recovers(StateDatabase::start_in(dir).await, fill, free).await;
    drop(mount);
}

#[tokio::test]
async fn server_waits_for_a_migration_that_takes_longer_than_a_query_may() {
    let mut toygres = Toygres::start();
    assert!(toygres.stop().success());
    let lock = "begin; lock table toygres._sqlx_migrations; select pg_sleep(12)";
    let mut migration = Command::new("psql")
        .args(["-X", "-q", "-d", &toygres::database_url(&toygres.database), "-c", lock])
        .stdout(Stdio::null())
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
