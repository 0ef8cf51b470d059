//! Bad luck and bad input: a clear end of the right class, nothing half-made left, and the next attempt works.

mod scratch;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use model::agent::{EventBody, Work};
use model::{AgentEvent, ExitClass, ImageId};
use rustix::process::Signal;
use scratch::{Agent, Cluster, Desk, assert_same, processes_with};
use uuid::Uuid;

/// Enough that copying it takes a moment.
fn filled() -> Cluster {
    let source = Cluster::new();
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

/// Waits until the agent waits for a lock at the source.
fn until_it_waits(source: &Cluster) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while source.psql("postgres", "select count(*) from pg_locks where not granted") == "0" {
        assert!(Instant::now() < deadline, "the agent never came to the lock");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn nothing_left(desk: &Desk) {
    let dir = desk.dir.path().to_str().expect("text");
    assert_eq!(processes_with(dir), Vec::<String>::new());
    let left: Vec<PathBuf> = std::fs::read_dir(desk.dir.path())
        .expect("there")
        .map(|e| e.expect("there").path())
        .filter(|p| *p != desk.store())
        .collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}

fn work_dir_of(run: Uuid) -> PathBuf {
    std::env::temp_dir().join(format!("toygres-{}", &run.simple().to_string()[16..]))
}

#[test]
fn a_wrong_password_is_named_as_such() {
    let source = Cluster::new();
    let desk = Desk::new();
    let refused = desk
        .start_as(Uuid::from_u128(1), desk.backup(&source, ImageId::new()), "canary-77")
        .wait()
        .expect(ExitClass::Authentication);
    assert!(refused.error().contains("password"), "{}", refused.error());
    assert!(!refused.output.contains("canary-77"));
    assert_eq!(desk.objects(), Vec::<String>::new());
}

#[test]
fn a_source_that_stops_in_the_middle_fails_the_backup() {
    let mut source = filled();
    let desk = Desk::new();
    let mut agent = desk.start(desk.backup(&source, ImageId::new()));
    agent.until(rows_are_moving);
    source.kill();
    let ended = agent.wait();
    assert!(matches!(ended.code, Some(12 | 20)), "{ended:?}");
    assert!(!ended.error().is_empty());
    assert_eq!(desk.objects(), Vec::<String>::new());
}

#[test]
fn a_table_dropped_while_the_backup_looks_is_left_out_and_the_rest_is_whole() {
    let source = Cluster::new();
    source.psql("postgres", "create table goes as select generate_series(1, 10) as a; create table stays as select generate_series(1, 10) as a");
    let desk = Desk::new();
    let image = ImageId::new();
    std::thread::scope(|scope| {
        let holder =
            scope.spawn(|| source.psql("postgres", "begin; drop table goes; select pg_sleep(3); commit"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while source
            .psql("postgres", "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted")
            == "0"
        {
            assert!(Instant::now() < deadline);
        }
        let agent = desk.start(desk.backup(&source, image));
        until_it_waits(&source);
        holder.join().expect("dropped");
        agent.wait().expect(ExitClass::Ok);
    });
    desk.run(desk.restore(image)).expect(ExitClass::Ok);
    assert_same(&source.dumpall(), &Cluster::on(&desk.data_dir()).dumpall());
}

#[test]
fn a_lock_that_stays_ends_the_backup_and_a_drop_waits_for_it() {
    let source = filled();
    let desk = Desk::new();
    let mut agent = desk.start(desk.backup(&source, ImageId::new()));
    agent.until(rows_are_moving);
    // The rows that the image is to hold cannot be taken away under it.
    let dropped = source.try_psql("postgres", "set lock_timeout = '100ms'; drop table small");
    assert!(String::from_utf8_lossy(&dropped.stderr).contains("lock timeout"), "{dropped:?}");
    agent.wait().expect(ExitClass::Ok);
    source.psql("postgres", "drop table small");
}

#[test]
fn a_cancelled_backup_leaves_nothing() {
    let source = filled();
    let desk = Desk::new();
    let mut agent = desk.start(desk.backup(&source, ImageId::new()));
    agent.until(rows_are_moving);
    agent.signal(Signal::TERM);
    agent.wait().expect(ExitClass::Cancelled);
    assert_eq!(desk.objects(), Vec::<String>::new());
    nothing_left(&desk);
    let deadline = Instant::now() + Duration::from_secs(20);
    while source.psql("postgres", "select count(*) from pg_stat_activity where application_name = 'toygres'")
        != "0"
    {
        assert!(Instant::now() < deadline, "the source still works for a backup that is gone");
    }
}

#[test]
fn a_backup_that_is_killed_while_it_waits_for_a_lock_leaves_the_queue() {
    let source = Cluster::new();
    source.psql("postgres", "create table held as select generate_series(1, 10) as a");
    let desk = Desk::new();
    std::thread::scope(|scope| {
        let holder =
            scope.spawn(|| source.try_psql("postgres", "begin; lock table held; select pg_sleep(25)"));
        let held = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted";
        let deadline = Instant::now() + Duration::from_secs(20);
        while source.psql("postgres", held) == "0" {
            assert!(Instant::now() < deadline);
        }
        let agent = desk.start(desk.backup(&source, ImageId::new()));
        until_it_waits(&source);
        agent.signal(Signal::KILL);
        agent.wait();
        let deadline = Instant::now() + Duration::from_secs(15);
        while source.psql("postgres", "select count(*) from pg_locks where not granted") != "0" {
            assert!(Instant::now() < deadline, "a session waits for a lock that nobody wants any more");
        }
        assert!(!holder.is_finished(), "the queue was left because the lock was let go");
        source.psql(
            "postgres",
            "select pg_terminate_backend(pid) from pg_stat_activity where query like 'begin; lock%'",
        );
    });
}

fn restore_that_moves(desk: &Desk, run: Uuid, image: ImageId) -> Agent {
    let mut agent = desk.start_as(run, desk.restore(image), scratch::PASSWORD);
    agent.until(rows_are_moving);
    agent
}

#[test]
fn a_restore_that_was_cancelled_or_killed_can_be_done_again() {
    let source = filled();
    let desk = Desk::new();
    let image = ImageId::new();
    desk.run(desk.backup(&source, image)).expect(ExitClass::Ok);
    let run = Uuid::from_u128(rand::random());

    let agent = restore_that_moves(&desk, run, image);
    agent.signal(Signal::TERM);
    agent.wait().expect(ExitClass::Cancelled);
    nothing_left(&desk);
    assert!(!work_dir_of(run).exists());

    let agent = restore_that_moves(&desk, run, image);
    agent.signal(Signal::KILL);
    assert_eq!(agent.wait().code, None);
    assert!(!desk.data_dir().exists());

    desk.start_as(run, desk.restore(image), scratch::PASSWORD).wait().expect(ExitClass::Ok);
    assert!(!work_dir_of(run).exists());
    assert_eq!(processes_with(desk.dir.path().to_str().expect("text")), Vec::<String>::new());
    // Asked once more, it finds its own work done.
    desk.start_as(run, desk.restore(image), scratch::PASSWORD).wait().expect(ExitClass::Ok);
    assert_same(&source.dumpall(), &Cluster::on(&desk.data_dir()).dumpall());
}

#[test]
fn damaged_missing_and_swapped_parts_are_refused() {
    let source = Cluster::new();
    source.psql(
        "postgres",
        "create table t as select i, md5(i::text) from generate_series(1, 50000) i; create role somebody; select lo_from_bytea(7, decode(repeat('ab', 50000), 'hex'))",
    );
    let desk = Desk::new();
    let (image, other) = (ImageId::new(), ImageId::new());
    desk.run(desk.backup(&source, image)).expect(ExitClass::Ok);
    source.psql("postgres", "update t set md5 = reverse(md5)");
    desk.run(desk.backup(&source, other)).expect(ExitClass::Ok);

    let dir = |image: ImageId| desk.store().join(format!("images/{image}/1"));
    let parts: Vec<String> = desk
        .objects()
        .into_iter()
        .filter_map(|o| o.strip_prefix(&format!("images/{image}/1/")).map(str::to_owned))
        .collect();
    assert!(parts.len() >= 6, "{parts:?}");
    for part in parts.iter().filter(|p| *p != "RESTORE.md") {
        let path = dir(image).join(part);
        let whole = std::fs::read(&path).expect("there");
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x10;
        let foreign = std::fs::read(dir(other).join(part)).expect("there");
        let cases = [
            ("flipped", Some(flipped)),
            ("cut", Some(whole[..whole.len() - 1].to_vec())),
            ("gone", None),
            ("swapped", Some(foreign).filter(|f| *f != whole)),
        ];
        for (what, bytes) in cases.into_iter().filter(|(what, bytes)| *what == "gone" || bytes.is_some()) {
            // Another image's whole manifest describes that image: its parts are what does not match then.
            match bytes {
                Some(bytes) => std::fs::write(&path, bytes).expect("written"),
                None => std::fs::remove_file(&path).expect("removed"),
            }
            let ended = desk.run(desk.restore(image));
            assert_eq!(
                ended.code,
                Some(ExitClass::Verification.code()),
                "{part} {what}: {:?}\n{}",
                ended.result,
                ended.output
            );
            assert!(!desk.data_dir().exists(), "{part} {what}");
            nothing_left(&desk);
        }
        std::fs::write(&path, &whole).expect("written");
    }
    desk.run(desk.restore(image)).expect(ExitClass::Ok);
}

#[test]
fn what_the_task_names_and_the_machine_lacks_is_said() {
    let source = Cluster::new();
    let desk = Desk::new();
    let Work::Backup { image, to, source: connection, image_type, databases, streams, .. } =
        desk.backup(&source, ImageId::new())
    else {
        unreachable!()
    };
    let bin_dir = Some("/no/such/bin".to_owned());
    let refused = desk
        .run(Work::Backup { image, to, source: connection, image_type, databases, streams, bin_dir })
        .expect(ExitClass::Configuration);
    assert!(refused.error().contains("/no/such/bin"), "{}", refused.error());
}
