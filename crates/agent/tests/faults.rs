//! Faults and invalid input: the failure has the right code, nothing incomplete is left, and the next attempt succeeds.

mod scratch;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use model::agent::EventBody;
use model::{AgentEvent, ExitClass, FailureCode, ImageId};
use rustix::process::Signal;
use scratch::{Agent, Server, Workspace, assert_same, processes_with};
use uuid::Uuid;

/// A server with enough rows that a copy takes about a second.
fn filled() -> Server {
    let source = Server::new();
    source.psql(
        "postgres",
        "create table big as select i, md5(i::text) as a, repeat(md5(i::text), 3) as b from generate_series(1, 1200000) i; \
         create table small as select generate_series(1, 100) as i; select lo_from_bytea(0, 'x')",
    );
    source
}

fn rows_are_moving(event: &AgentEvent) -> bool {
    matches!(&event.body, EventBody::Progress(progress) if progress.phase == "rows" && progress.bytes > 0)
}

/// Waits until a session at the source waits for a lock.
fn until_lock_wait(source: &Server) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while source.psql("postgres", "select count(*) from pg_locks where not granted") == "0" {
        assert!(Instant::now() < deadline, "the agent does not wait for a lock");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn assert_nothing_left(workspace: &Workspace) {
    let dir = workspace.dir.path().to_str().expect("text");
    assert_eq!(processes_with(dir), Vec::<String>::new());
    let left: Vec<PathBuf> = std::fs::read_dir(workspace.dir.path())
        .expect("exists")
        .map(|e| e.expect("exists").path())
        .filter(|p| *p != workspace.store())
        .collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}

fn work_dir_of(run: Uuid) -> PathBuf {
    std::env::temp_dir().join(format!("toygres-{}", &run.simple().to_string()[16..]))
}

#[test]
fn backup_fails_when_the_source_stops() {
    let mut source = filled();
    let workspace = Workspace::new();
    let mut agent = workspace.start(workspace.backup(&source, ImageId::new()));
    agent.until(rows_are_moving);
    source.kill();
    let ended = agent.wait();
    ended.expect_failure(FailureCode::ConnectionLost);
    assert_eq!(workspace.objects(), Vec::<String>::new());
}

#[test]
fn backup_waits_for_a_server_that_is_not_reachable_yet() {
    let mut source = Server::new();
    source.psql("postgres", "create table t as select 1 as a");
    source.kill();
    let workspace = Workspace::new();
    let mut agent = workspace.start(workspace.backup(&source, ImageId::new()));
    agent.until(|event| {
        matches!(&event.body, EventBody::Log { message, .. } if message.contains("not reachable, retrying"))
    });
    source.start();
    agent.wait().succeeded();

    let refused = workspace.start_as(
        Uuid::from_u128(rand::random()),
        workspace.backup(&source, ImageId::new()),
        "wrong",
    );
    let refused = refused.wait();
    refused.expect_failure(FailureCode::PasswordRejected);
    assert!(!refused.output.contains("retrying"), "{}", refused.output);
}

#[test]
fn table_that_is_dropped_before_the_snapshot_is_not_copied() {
    let source = Server::new();
    source.psql("postgres", "create table dropped as select generate_series(1, 10) as a; create table kept as select generate_series(1, 10) as a");
    let workspace = Workspace::new();
    let image = ImageId::new();
    std::thread::scope(|scope| {
        let holder =
            scope.spawn(|| source.psql("postgres", "begin; drop table dropped; select pg_sleep(3); commit"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while source
            .psql("postgres", "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted")
            == "0"
        {
            assert!(Instant::now() < deadline);
        }
        let agent = workspace.start(workspace.backup(&source, image));
        until_lock_wait(&source);
        holder.join().expect("dropped");
        agent.wait().succeeded();
    });
    workspace.run(workspace.restore(image)).succeeded();
    assert_same(&source.dumpall(), &Server::on(&workspace.data_dir()).dumpall());
}

#[test]
fn table_cannot_be_dropped_during_a_backup() {
    let source = filled();
    let workspace = Workspace::new();
    let mut agent = workspace.start(workspace.backup(&source, ImageId::new()));
    agent.until(rows_are_moving);
    let dropped = source.try_psql("postgres", "set lock_timeout = '100ms'; drop table small");
    assert!(String::from_utf8_lossy(&dropped.stderr).contains("lock timeout"), "{dropped:?}");
    agent.wait().succeeded();
    source.psql("postgres", "drop table small");
}

#[test]
fn cancelled_backup_leaves_nothing() {
    let source = filled();
    let workspace = Workspace::new();
    let mut agent = workspace.start(workspace.backup(&source, ImageId::new()));
    agent.until(rows_are_moving);
    agent.signal(Signal::TERM);
    agent.wait().expect_failure(FailureCode::Cancelled);
    assert_eq!(workspace.objects(), Vec::<String>::new());
    assert_nothing_left(&workspace);
    let deadline = Instant::now() + Duration::from_secs(20);
    while source.psql("postgres", "select count(*) from pg_stat_activity where application_name = 'toygres'")
        != "0"
    {
        assert!(Instant::now() < deadline, "a session of the cancelled backup is still connected");
    }
}

#[test]
fn killed_backup_leaves_the_lock_queue() {
    let source = Server::new();
    source.psql("postgres", "create table held as select generate_series(1, 10) as a");
    let workspace = Workspace::new();
    std::thread::scope(|scope| {
        let holder =
            scope.spawn(|| source.try_psql("postgres", "begin; lock table held; select pg_sleep(25)"));
        let held = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted";
        let deadline = Instant::now() + Duration::from_secs(20);
        while source.psql("postgres", held) == "0" {
            assert!(Instant::now() < deadline);
        }
        let agent = workspace.start(workspace.backup(&source, ImageId::new()));
        until_lock_wait(&source);
        agent.signal(Signal::KILL);
        agent.wait();
        let deadline = Instant::now() + Duration::from_secs(15);
        while source.psql("postgres", "select count(*) from pg_locks where not granted") != "0" {
            assert!(Instant::now() < deadline, "the session of the killed backup still waits for the lock");
        }
        assert!(!holder.is_finished(), "the lock was released before the session left the queue");
        source.psql(
            "postgres",
            "select pg_terminate_backend(pid) from pg_stat_activity where query like 'begin; lock%'",
        );
    });
}

fn restore_until_rows_move(workspace: &Workspace, run: Uuid, image: ImageId) -> Agent {
    let mut agent = workspace.start_as(run, workspace.restore(image), scratch::PASSWORD);
    agent.until(rows_are_moving);
    agent
}

#[test]
fn restore_succeeds_after_a_cancelled_and_a_killed_attempt() {
    let source = filled();
    let workspace = Workspace::new();
    let image = ImageId::new();
    workspace.run(workspace.backup(&source, image)).succeeded();
    let run = Uuid::from_u128(rand::random());

    let agent = restore_until_rows_move(&workspace, run, image);
    agent.signal(Signal::TERM);
    agent.wait().expect_failure(FailureCode::Cancelled);
    assert_nothing_left(&workspace);
    assert!(!work_dir_of(run).exists());

    let agent = restore_until_rows_move(&workspace, run, image);
    agent.signal(Signal::KILL);
    assert_eq!(agent.wait().code, None);
    assert!(!workspace.data_dir().exists());

    workspace.start_as(run, workspace.restore(image), scratch::PASSWORD).wait().succeeded();
    assert!(!work_dir_of(run).exists());
    assert_eq!(processes_with(workspace.dir.path().to_str().expect("text")), Vec::<String>::new());
    // Another attempt finds the restore completed.
    workspace.start_as(run, workspace.restore(image), scratch::PASSWORD).wait().succeeded();
    assert_same(&source.dumpall(), &Server::on(&workspace.data_dir()).dumpall());
}

#[test]
fn second_process_of_an_attempt_does_not_change_the_image_of_the_first() {
    let source = Server::new();
    source.psql("postgres", "create table t as select i, md5(i::text) from generate_series(1, 1000) i");
    let workspace = Workspace::new();
    let (run, image) = (Uuid::from_u128(rand::random()), ImageId::new());
    let backup = || workspace.start_as(run, workspace.backup(&source, image), scratch::PASSWORD).wait();
    backup().succeeded();
    source.psql("postgres", "update t set md5 = reverse(md5)");
    backup().expect_failure(FailureCode::AttemptInUse);
    workspace.run(workspace.verify(image)).succeeded();
}

#[test]
fn damaged_missing_and_swapped_objects_are_refused() {
    let source = Server::new();
    source.psql(
        "postgres",
        "create table t as select i, md5(i::text) from generate_series(1, 50000) i; create role someone; select lo_from_bytea(7, decode(repeat('ab', 50000), 'hex'))",
    );
    let workspace = Workspace::new();
    let (image, other) = (ImageId::new(), ImageId::new());
    workspace.run(workspace.backup(&source, image)).succeeded();
    source.psql("postgres", "update t set md5 = reverse(md5)");
    workspace.run(workspace.backup(&source, other)).succeeded();

    let dir = |image: ImageId| workspace.store().join(format!("images/{image}/1"));
    let parts: Vec<String> = workspace
        .objects()
        .into_iter()
        .filter_map(|o| o.strip_prefix(&format!("images/{image}/1/")).map(str::to_owned))
        .collect();
    assert!(parts.len() >= 6, "{parts:?}");
    // The guide and the claim are not in the manifest.
    for part in parts.iter().filter(|p| *p != "RESTORE.md" && !p.starts_with("writer-")) {
        let path = dir(image).join(part);
        let intact = std::fs::read(&path).expect("exists");
        let mut flipped = intact.clone();
        flipped[intact.len() / 2] ^= 0x10;
        let foreign = std::fs::read(dir(other).join(part)).expect("exists");
        let cases = [
            ("flipped", Some(flipped)),
            ("cut", Some(intact[..intact.len() - 1].to_vec())),
            ("missing", None),
            ("swapped", Some(foreign).filter(|f| *f != intact)),
        ];
        for (what, bytes) in cases.into_iter().filter(|(what, bytes)| *what == "missing" || bytes.is_some()) {
            // The intact manifest of another image does not match the other objects.
            match bytes {
                Some(bytes) => std::fs::write(&path, bytes).expect("written"),
                None => std::fs::remove_file(&path).expect("removed"),
            }
            let ended = workspace.run(workspace.restore(image));
            assert_eq!(
                ended.code,
                Some(ExitClass::Verification.code()),
                "{part} {what}: {:?}\n{}",
                ended.result,
                ended.output
            );
            assert!(!workspace.data_dir().exists(), "{part} {what}");
            assert_nothing_left(&workspace);
        }
        std::fs::write(&path, &intact).expect("written");
    }
    workspace.run(workspace.restore(image)).succeeded();
}
