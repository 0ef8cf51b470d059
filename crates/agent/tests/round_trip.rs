//! Round trips: a server that is backed up and restored has the same pg_dumpall.

mod scratch;

use model::agent::{Outcome, Work};
use model::client_version::has_fixed_clients;
use model::{FailureCode, ImageId};
use scratch::{PASSWORD, Server, Session, Workspace, assert_same, processes_with};

#[test]
fn schema_with_nearly_every_feature_is_restored_identically() {
    let source = Server::new();
    source.load("nasty.sql");
    let workspace = Workspace::new();
    let image = ImageId::new();
    let before = source.dumpall();

    let backup = workspace.run(workspace.backup(&source, image)).succeeded();
    let Outcome::Backup { tables, rows, databases, source_databases, .. } = backup.outcome() else {
        panic!("{backup:?}")
    };
    assert!(tables > 420 && rows > 90_000 && databases == 5, "{tables} {rows} {databases}");
    assert_eq!(source_databases, databases);
    assert_same(&before, &source.dumpall());

    let restore = workspace.run(workspace.restore(image)).succeeded();
    let Outcome::Restore { receipt, .. } = restore.outcome() else { panic!("{restore:?}") };
    assert_eq!(
        (receipt.difference_count, receipt.tables, receipt.rows, receipt.large_objects),
        (0, tables, rows, 3)
    );
    assert!(!backup.output.contains(PASSWORD) && !restore.output.contains(PASSWORD));
    assert_eq!(processes_with(workspace.dir.path().to_str().unwrap_or_default()), Vec::<String>::new());

    let restored = Server::on(&workspace.data_dir());
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
fn named_databases_are_copied_alone_and_a_modified_template1_is_copied_too() {
    let source = Server::new();
    source.psql(
        "template1",
        "create table in_every_new_database (a int); insert into in_every_new_database values (1)",
    );
    for name in ["one", "two"] {
        source.psql("postgres", &format!("create database {name}"));
        source.psql(name, "create table t as select generate_series(1, 10) as a");
    }
    let workspace = Workspace::new();
    let all = workspace.round_trip(&source);
    assert_same(&source.dumpall(), &all.dumpall());
    drop(all);

    let other = Workspace::new();
    let image = ImageId::new();
    let Work::Backup { to, source: connection, image_type, bin_dir, .. } = other.backup(&source, image)
    else {
        unreachable!()
    };
    let named = Work::Backup {
        image,
        to,
        source: connection,
        image_type,
        databases: vec!["two".into()],
        streams: 1,
        bin_dir,
        fixed_clients: false,
        previous: None,
    };
    let backup = other.run(named).succeeded();
    let Outcome::Backup { databases, source_databases, .. } = backup.outcome() else { panic!("{backup:?}") };
    assert_eq!((databases, source_databases), (1, 3), "postgres, one and two accept connections");
    other.run(other.restore(image)).succeeded();
    let restored = Server::on(&other.data_dir());
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
        fixed_clients: false,
        previous: None,
    };
    let refused = other.run(missing);
    let failure = refused.expect_failure(FailureCode::DatabaseMissing);
    assert_eq!(failure.subject.as_deref(), Some("three"));
}

#[test]
fn image_of_a_server_with_concurrent_writers_is_consistent() {
    let source = Server::new();
    source.psql(
        "postgres",
        "create table head (id int primary key, lines int); create table line (head int references head, n int, filler text); \
         create sequence s; insert into head select i, 3 from generate_series(1, 20000) i; \
         insert into line select i, n, repeat('x', 100) from generate_series(1, 20000) i, generate_series(1, 3) n",
    );
    let stop = std::sync::atomic::AtomicBool::new(false);
    let workspace = Workspace::new();
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
        let ended = workspace.run(workspace.backup(&source, image));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        ended.succeeded();
    });
    workspace.run(workspace.restore(image)).succeeded();
    let restored = Server::on(&workspace.data_dir());
    let inconsistent =
        "select count(*) from head h where lines <> (select count(*) from line l where l.head = h.id)";
    assert_eq!(restored.psql("postgres", inconsistent), "0");
    assert_eq!(
        restored.psql(
            "postgres",
            "select coalesce(max(n), 0) <= (select last_value from s) from line where head > 1000000"
        ),
        "t"
    );
}

#[test]
fn rows_of_the_user_in_configuration_tables_of_extensions_are_restored() {
    // pg_cron has a configuration table with a sequence, and can be created only if it is preloaded.
    const PRELOAD: &str = "shared_preload_libraries = 'pg_cron'\ncron.database_name = 'jobs'";
    let mut source = Server::new();
    source.configure(PRELOAD);
    source.psql("postgres", "create database jobs");
    source.kill();
    source.start();
    source.psql("jobs", "create extension pg_cron; select cron.schedule('nightly', '0 3 * * *', 'vacuum'); select cron.schedule('5 5 * * *', 'select 1')");
    let workspace = Workspace::new();
    let image = ImageId::new();
    workspace.run(workspace.backup(&source, image)).succeeded();
    workspace.run(workspace.restore(image)).succeeded();
    let mut restored = Server::on(&workspace.data_dir());
    restored.configure(PRELOAD);
    restored.kill();
    restored.start();
    assert_same(&source.dumpall(), &restored.dumpall());
    assert_eq!(restored.psql("jobs", "select count(*), max(jobid) from cron.job"), "2|2");
}

#[test]
fn superuser_with_another_name_keeps_its_password() {
    let source = Server::new();
    source.psql("postgres", "create role boss superuser login password 'boss pass'; create role member; grant member to boss; create table t as select 1 as a");
    let workspace = Workspace::new();
    let image = ImageId::new();
    let mut backup = workspace.backup(&source, image);
    if let Work::Backup { source: connection, .. } = &mut backup {
        connection.username = "boss".into();
    }
    workspace.start_as(uuid::Uuid::from_u128(rand::random()), backup, "boss pass").wait().succeeded();
    let mut restore = workspace.restore(image);
    if let Work::Restore { superuser, .. } = &mut restore {
        *superuser = "boss".into();
    }
    workspace.start_as(uuid::Uuid::from_u128(rand::random()), restore, "boss pass").wait().succeeded();
    let restored = Server::on(&workspace.data_dir());
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
fn role_without_read_privileges_is_refused_and_one_with_them_makes_an_image_without_passwords() {
    let source = Server::new();
    source.psql(
        "postgres",
        "create role limited login password 'limited'; create table t as select generate_series(1, 5) as a",
    );
    let workspace = Workspace::new();
    let image = ImageId::new();
    let mut backup = workspace.backup(&source, image);
    if let Work::Backup { source: connection, .. } = &mut backup {
        connection.username = "limited".into();
    }
    let run = || uuid::Uuid::from_u128(rand::random());
    let refused = workspace.start_as(run(), backup.clone(), "limited").wait();
    refused.expect_failure(FailureCode::PermissionDenied);
    source.psql("postgres", "grant pg_read_all_data to limited");
    workspace.start_as(run(), backup, "limited").wait().succeeded();
    let mut restore = workspace.restore(image);
    if let Work::Restore { superuser, .. } = &mut restore {
        *superuser = "limited".into();
    }
    // The image has no verifier for the role: the job's password is set.
    workspace.start_as(run(), restore, "limited").wait().succeeded();
    let restored = Server::on_as(&workspace.data_dir(), "limited", "limited");
    assert_eq!(restored.psql("postgres", "select count(*) from t"), "5");
}

#[test]
fn roles_that_are_created_and_dropped_during_the_backup_are_restored() {
    let source = Server::new();
    for name in ["first", "second"] {
        source.psql("postgres", &format!("create database {name}"));
    }
    source.psql("postgres", "create role early");
    source.psql("first", "create schema s authorization early");
    source.psql("second", "create table t as select 1 as a");
    let mut writer = Session::start(&source, "second");
    // The backup of the second database waits for this transaction.
    writer.run("begin; create role late; alter table t owner to late;");
    while source
        .psql("postgres", "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted")
        == "0"
    {}
    let workspace = Workspace::new();
    let image = ImageId::new();
    let agent = workspace.start(workspace.backup(&source, image));
    while source.psql("postgres", "select count(*) from pg_locks where not granted") == "0" {}
    // The first database is copied, with a schema that the role owns.
    source.psql("first", "alter schema s owner to postgres; drop role early");
    writer.run("commit;");
    agent.wait().succeeded();
    workspace.run(workspace.restore(image)).succeeded();
    let restored = Server::on(&workspace.data_dir());
    let owner = "select nspowner::regrole from pg_namespace where nspname = 's'";
    assert_eq!(restored.psql("first", owner), "early");
    assert_eq!(restored.psql("second", "select relowner::regrole from pg_class where relname = 't'"), "late");
}

#[test]
fn programs_with_known_vulnerabilities_are_refused_where_fixed_ones_are_required() {
    let source = Server::new();
    let workspace = Workspace::new();
    let version = source.client("pg_dump").arg("--version").output().expect("pg_dump").stdout;
    let version = String::from_utf8(version).expect("text");
    let version = version.trim().rsplit_once(") ").map_or(version.as_str(), |(_, version)| version);
    let version = version.split(' ').next().unwrap_or_default();
    let image = ImageId::new();
    let mut work = workspace.backup(&source, image);
    if let Work::Backup { fixed_clients, .. } = &mut work {
        *fixed_clients = true;
    }
    let ended = workspace.run(work);
    match has_fixed_clients(version) {
        Some(false) => {
            ended.expect_failure(FailureCode::ProgramsVulnerable);
            let warned = workspace.run(workspace.backup(&source, image)).succeeded();
            assert!(warned.output.contains("known vulnerabilities"), "{}", warned.output);
        }
        _ => drop(ended.succeeded()),
    }
}

#[test]
fn restore_into_a_directory_that_is_not_empty_is_refused() {
    let source = Server::new();
    let workspace = Workspace::new();
    let image = ImageId::new();
    workspace.run(workspace.backup(&source, image)).succeeded();
    std::fs::create_dir(workspace.data_dir()).expect("created");
    std::fs::write(workspace.data_dir().join("precious"), "x").expect("written");
    workspace.run(workspace.restore(image)).expect_failure(FailureCode::Refused);
    assert_eq!(std::fs::read_dir(workspace.data_dir()).expect("exists").count(), 1);
}
