//! What goes in comes out: a server with nearly everything in it, backed up and restored, has the same pg_dumpall.

mod scratch;

use model::agent::{Outcome, Work};
use model::{ExitClass, ImageId};
use scratch::{Cluster, Desk, PASSWORD, assert_same, processes_with};

#[test]
fn a_nasty_schema_comes_back_equal() {
    let source = Cluster::new();
    source.load("nasty.sql");
    let desk = Desk::new();
    let image = ImageId::new();
    let before = source.dumpall();

    let backup = desk.run(desk.backup(&source, image)).expect(ExitClass::Ok);
    let Some(Outcome::Backup { tables, rows, databases, .. }) =
        backup.result.as_ref().and_then(|r| r.outcome.clone())
    else {
        panic!("{backup:?}")
    };
    assert!(tables > 420 && rows > 90_000 && databases == 5, "{tables} {rows} {databases}");
    assert_same(&before, &source.dumpall());

    let restore = desk.run(desk.restore(image)).expect(ExitClass::Ok);
    let Some(Outcome::Restore { receipt, .. }) = restore.result.as_ref().and_then(|r| r.outcome.clone())
    else {
        panic!("{restore:?}")
    };
    assert_eq!(
        (receipt.difference_count, receipt.tables, receipt.rows, receipt.large_objects),
        (0, tables, rows, 3)
    );
    assert!(!backup.output.contains(PASSWORD) && !restore.output.contains(PASSWORD));
    assert_eq!(processes_with(desk.dir.path().to_str().unwrap_or_default()), Vec::<String>::new());

    let restored = Cluster::on(&desk.data_dir());
    assert_same(&before, &restored.dumpall());
    let large_object = "select sum(hashtext(encode(lo_get(oid), 'hex'))) from pg_largeobject_metadata";
    assert_eq!(restored.psql("shop", large_object), source.psql("shop", large_object));
    assert_eq!(
        restored.psql("shop", "select count(*) > 0 from pg_statistic where starelid = 'app.large'::regclass"),
        "t"
    );
    assert_eq!(
        restored.psql(
            "shop",
            "select string_agg(relispopulated::text, ' ' order by relname) from pg_class where relkind = 'm'"
        ),
        "true false true"
    );
}

#[test]
fn chosen_databases_come_alone_and_a_changed_template1_comes_too() {
    let source = Cluster::new();
    source.psql(
        "template1",
        "create table in_every_new_database (a int); insert into in_every_new_database values (1)",
    );
    for name in ["one", "two"] {
        source.psql("postgres", &format!("create database {name}"));
        source.psql(name, "create table t as select generate_series(1, 10) as a");
    }
    let desk = Desk::new();
    let all = desk.round_trip(&source);
    assert_same(&source.dumpall(), &all.dumpall());
    drop(all);

    let other = Desk::new();
    let image = ImageId::new();
    let Work::Backup { to, source: connection, image_type, bin_dir, .. } = other.backup(&source, image)
    else {
        unreachable!()
    };
    let chosen = Work::Backup {
        image,
        to,
        source: connection,
        image_type,
        databases: vec!["two".into()],
        streams: 1,
        bin_dir,
    };
    other.run(chosen).expect(ExitClass::Ok);
    other.run(other.restore(image)).expect(ExitClass::Ok);
    let restored = Cluster::on(&other.data_dir());
    assert_eq!(
        restored.psql("postgres", "select string_agg(datname, ' ' order by datname) from pg_database"),
        "postgres template0 template1 two"
    );

    let Work::Backup { image, to, source: connection, image_type, bin_dir, .. } =
        other.backup(&source, ImageId::new())
    else {
        unreachable!()
    };
    let missing = Work::Backup {
        image,
        to,
        source: connection,
        image_type,
        databases: vec!["three".into()],
        streams: 1,
        bin_dir,
    };
    let refused = other.run(missing).expect(ExitClass::Configuration);
    assert!(refused.error().contains("three"), "{}", refused.error());
}

#[test]
fn writers_do_not_tear_what_belongs_together() {
    let source = Cluster::new();
    source.psql(
        "postgres",
        "create table head (id int primary key, lines int); create table line (head int references head, n int, filler text); \
         create sequence s; insert into head select i, 3 from generate_series(1, 20000) i; \
         insert into line select i, n, repeat('x', 100) from generate_series(1, 20000) i, generate_series(1, 3) n",
    );
    let stop = std::sync::atomic::AtomicBool::new(false);
    let desk = Desk::new();
    let image = ImageId::new();
    std::thread::scope(|scope| {
        for worker in 1..=2 {
            let (source, stop) = (&source, &stop);
            scope.spawn(move || {
                let mut id = worker * 1_000_000;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    id += 1;
                    source.psql(
                        "postgres",
                        &format!(
                            "begin; insert into head values ({id}, 2); insert into line select {id}, nextval('s') from generate_series(1, 2); \
                             delete from line where head = {id} - 1000000 * {worker} and n = 3; update head set lines = 2 where id = {id} - 1000000 * {worker}; commit"
                        ),
                    );
                }
            });
        }
        let ended = desk.run(desk.backup(&source, image));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        ended.expect(ExitClass::Ok);
    });
    desk.run(desk.restore(image)).expect(ExitClass::Ok);
    let restored = Cluster::on(&desk.data_dir());
    let torn = "select count(*) from head h where lines <> (select count(*) from line l where l.head = h.id)";
    assert_eq!(restored.psql("postgres", torn), "0");
    assert_eq!(
        restored.psql(
            "postgres",
            "select coalesce(max(n), 0) <= (select last_value from s) from line where head > 1000000"
        ),
        "t"
    );
}

#[test]
fn an_extensions_own_rows_stay_and_the_users_rows_come() {
    // pg_cron keeps jobs in a table of its own, with a sequence, and must be preloaded to be made at all.
    const PRELOAD: &str = "shared_preload_libraries = 'pg_cron'\ncron.database_name = 'jobs'";
    let mut source = Cluster::new();
    source.configure(PRELOAD);
    source.psql("postgres", "create database jobs");
    source.kill();
    source.start();
    source.psql("jobs", "create extension pg_cron; select cron.schedule('nightly', '0 3 * * *', 'vacuum'); select cron.schedule('5 5 * * *', 'select 1')");
    let desk = Desk::new();
    let image = ImageId::new();
    desk.run(desk.backup(&source, image)).expect(ExitClass::Ok);
    desk.run(desk.restore(image)).expect(ExitClass::Ok);
    let mut restored = Cluster::on(&desk.data_dir());
    restored.configure(PRELOAD);
    restored.kill();
    restored.start();
    assert_same(&source.dumpall(), &restored.dumpall());
    assert_eq!(restored.psql("jobs", "select count(*), max(jobid) from cron.job"), "2|2");
}

#[test]
fn a_superuser_of_another_name_gets_in_with_its_own_password() {
    let source = Cluster::new();
    source.psql("postgres", "create role boss superuser login password 'boss pass'; create role member; grant member to boss; create table t as select 1 as a");
    let desk = Desk::new();
    let image = ImageId::new();
    let mut backup = desk.backup(&source, image);
    if let Work::Backup { source: connection, .. } = &mut backup {
        connection.username = "boss".into();
    }
    desk.start_as(uuid::Uuid::from_u128(rand::random()), backup, "boss pass").wait().expect(ExitClass::Ok);
    let mut restore = desk.restore(image);
    if let Work::Restore { superuser, .. } = &mut restore {
        *superuser = "boss".into();
    }
    desk.start_as(uuid::Uuid::from_u128(rand::random()), restore, "boss pass").wait().expect(ExitClass::Ok);
    let restored = Cluster::on(&desk.data_dir());
    assert_same(&source.dumpall(), &restored.dumpall());
    let login = restored
        .client("psql")
        .envs([("PGUSER", "boss"), ("PGPASSWORD", "boss pass")])
        .args(["-X", "-c", "table t"])
        .output()
        .expect("psql");
    assert!(login.status.success(), "{login:?}");
}

#[test]
fn who_may_not_read_everything_is_told_so_and_who_may_gets_an_image_without_passwords() {
    let source = Cluster::new();
    source.psql(
        "postgres",
        "create role limited login password 'limited'; create table t as select generate_series(1, 5) as a",
    );
    let desk = Desk::new();
    let image = ImageId::new();
    let mut backup = desk.backup(&source, image);
    if let Work::Backup { source: connection, .. } = &mut backup {
        connection.username = "limited".into();
    }
    let run = || uuid::Uuid::from_u128(rand::random());
    let refused = desk.start_as(run(), backup.clone(), "limited").wait().expect(ExitClass::Configuration);
    assert!(refused.error().contains("pg_read_all_data"), "{}", refused.error());
    source.psql("postgres", "grant pg_read_all_data to limited");
    let made = desk.start_as(run(), backup, "limited").wait().expect(ExitClass::Ok);
    assert!(made.output.contains("without their passwords"), "{}", made.output);
    let mut restore = desk.restore(image);
    if let Work::Restore { superuser, .. } = &mut restore {
        *superuser = "limited".into();
    }
    // Its password came without a verifier, so that the one that the platform has is set.
    desk.start_as(run(), restore, "limited").wait().expect(ExitClass::Ok);
    let restored = Cluster::on_as(&desk.data_dir(), "limited", "limited");
    assert_eq!(restored.psql("postgres", "select count(*) from t"), "5");
}

#[test]
fn a_restore_never_goes_into_a_directory_that_holds_anything() {
    let source = Cluster::new();
    let desk = Desk::new();
    let image = ImageId::new();
    desk.run(desk.backup(&source, image)).expect(ExitClass::Ok);
    std::fs::create_dir(desk.data_dir()).expect("made");
    std::fs::write(desk.data_dir().join("precious"), "x").expect("written");
    let refused = desk.run(desk.restore(image)).expect(ExitClass::Configuration);
    assert!(refused.error().contains("not empty"), "{}", refused.error());
    assert_eq!(std::fs::read_dir(desk.data_dir()).expect("there").count(), 1);
}
