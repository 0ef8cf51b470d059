//! Failed backups and restores: each cause has its own code.

mod scratch;

use model::agent::Work;
use model::{FailureCode, ImageId, Outcome};
use scratch::{Server, Workspace};
use uuid::Uuid;

#[test]
fn wrong_password_has_its_own_code() {
    let source = Server::new();
    let workspace = Workspace::new();
    let refused =
        workspace.start_as(Uuid::from_u128(1), workspace.backup(&source, ImageId::new()), "canary-77").wait();
    refused.expect_failure(FailureCode::PasswordRejected);
    assert!(!refused.output.contains("canary-77"));
    assert_eq!(workspace.objects(), Vec::<String>::new());
}

#[test]
fn directory_without_programs_fails_the_backup() {
    let source = Server::new();
    let workspace = Workspace::new();
    let Work::Backup { image, to, source: connection, image_type, databases, streams, .. } =
        workspace.backup(&source, ImageId::new())
    else {
        unreachable!()
    };
    let bin_dir = Some("/no/such/bin".to_owned());
    let refused = workspace.run(Work::Backup {
        image,
        to,
        source: connection,
        image_type,
        databases,
        streams,
        bin_dir,
        fixed_clients: false,
        previous: None,
    });
    let failure = refused.expect_failure(FailureCode::ProgramsMissing);
    assert!(failure.detail.contains("/no/such/bin"), "{failure}");
}

#[test]
fn restore_that_differs_has_its_own_code_and_a_receipt() {
    let source = Server::new();
    // Each refresh of the view inserts a row, so that the restored table has one row more than the image.
    source.psql(
        "postgres",
        "create schema app; create table app.extension_settings as select generate_series(1, 4) as i; \
         create function app.insert_row() returns int language plpgsql as \
         $$ begin insert into app.extension_settings values (0); return 1; end $$; \
         create materialized view app.inserts as select app.insert_row()",
    );
    let workspace = Workspace::new();
    let image = ImageId::new();
    workspace.run(workspace.backup(&source, image)).succeeded();
    let ended = workspace.run(workspace.restore(image));
    let failure = ended.expect_failure(FailureCode::RestoreDiffers);
    assert!(failure.detail.contains("app.extension_settings"), "{failure}");
    let Outcome::Restore { receipt, .. } = ended.outcome() else { panic!("{ended:?}") };
    assert_eq!(receipt.difference_count, 1, "{receipt:?}");
    assert!(!workspace.data_dir().exists());
}

#[test]
fn full_lock_table_of_the_source_has_its_own_code() {
    let mut source = Server::new();
    source.psql(
        "postgres",
        "do $$ begin for i in 1..600 loop execute format('create table t%s (a int)', i); \
         if i % 50 = 0 then commit; end if; end loop; end $$",
    );
    source.configure("max_locks_per_transaction = 10\nmax_connections = 10");
    source.kill();
    source.start();
    let workspace = Workspace::new();
    let ended = workspace.run(workspace.backup(&source, ImageId::new()));
    ended.expect_failure(FailureCode::LockTableFull);
}

#[test]
fn lock_that_is_not_granted_in_time_has_its_own_code() {
    let source = Server::new();
    source.psql("postgres", "create table held (a int)");
    let workspace = Workspace::new();
    std::thread::scope(|scope| {
        let holder =
            scope.spawn(|| source.try_psql("postgres", "begin; lock table held; select pg_sleep(120)"));
        let held = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted";
        while source.psql("postgres", held) == "0" {}
        let ended = workspace.run(workspace.backup(&source, ImageId::new()));
        ended.expect_failure(FailureCode::LockTimeout);
        assert!(!holder.is_finished());
        source.psql(
            "postgres",
            "select pg_terminate_backend(pid) from pg_stat_activity where query like 'begin; lock%'",
        );
    });
}

#[test]
fn row_that_the_target_rejects_fails_the_restore_permanently() {
    let source = Server::new();
    // A constraint that the existing row violates is valid in the catalogs only.
    source.psql(
        "postgres",
        "create table t (a int); insert into t values (-1); alter table t add constraint positive check (a > 0) not valid; \
         update pg_constraint set convalidated = true where conname = 'positive'",
    );
    let workspace = Workspace::new();
    let image = ImageId::new();
    workspace.run(workspace.backup(&source, image)).succeeded();
    let ended = workspace.run(workspace.restore(image));
    let failure = ended.expect_failure(FailureCode::ConstraintViolated);
    assert!(failure.code.is_permanent());
}

#[test]
fn index_expression_that_fails_fails_the_restore_permanently() {
    let source = Server::new();
    source.psql(
        "postgres",
        "create function f(int) returns int language sql immutable as 'select 1'; create table t as select 0 as a; \
         create index on t (f(a)); create or replace function f(int) returns int language sql immutable as 'select 1 / $1'",
    );
    let workspace = Workspace::new();
    let image = ImageId::new();
    workspace.run(workspace.backup(&source, image)).succeeded();
    workspace.run(workspace.restore(image)).expect_failure(FailureCode::DataInvalid);
}
