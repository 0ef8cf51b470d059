//! Sources with something that an image cannot have: it is said, and everything else is restored.

mod scratch;

use model::agent::{Connection, Work};
use model::{EventBody, FailureCode, ImageId, LeftOutReason, Manifest, Remark};
use scratch::{Server, Workspace, assert_same};

fn manifest(workspace: &Workspace, image: ImageId) -> Manifest {
    let path = workspace.store().join(workspace.image(image).prefix).join("manifest.json");
    let mut written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path).expect("a manifest")).expect("JSON");
    written.as_object_mut().expect("an object").remove("sha256");
    serde_json::from_value(written).expect("a manifest")
}

/// A backup with another account.
fn backup_as(workspace: &Workspace, source: &Server, image: ImageId, account: &str) -> Work {
    let mut work = workspace.backup(source, image);
    let Work::Backup { source: connection, .. } = &mut work else { unreachable!() };
    *connection = Connection { username: account.into(), ..source.connection() };
    work
}

#[test]
fn databases_that_cannot_be_entered_are_left_out_and_named() {
    let source = Server::new();
    for name in ["closed", "denied", "rejected", "shop"] {
        source.psql("postgres", &format!("create database {name}"));
    }
    source.psql("shop", "create table t as select generate_series(1, 10) as a");
    source.psql("postgres", "alter database closed allow_connections false");
    source.psql("postgres", "revoke connect on database denied from public");
    source.psql("postgres", "revoke connect on database template1 from public");
    let password = scratch::PASSWORD.replace('\'', "''");
    source.psql(
        "postgres",
        &format!("create role reader login password '{password}'; grant pg_read_all_data to reader"),
    );
    source.reject("rejected");
    let workspace = Workspace::new();
    let image = ImageId::new();
    let ended = workspace.run(backup_as(&workspace, &source, image, "reader")).succeeded();
    let manifest = manifest(&workspace, image);
    let names: Vec<&str> = manifest.databases.iter().map(|database| database.name.as_str()).collect();
    assert_eq!(names, ["postgres", "shop"]);
    let remarks = manifest.remarks();
    assert_eq!(
        remarks,
        [
            Remark::LeftOut(LeftOutReason::Closed, vec!["closed".into()]),
            Remark::LeftOut(LeftOutReason::NoPrivilege, vec!["denied".into(), "template1".into()]),
            Remark::LeftOut(LeftOutReason::NotAdmitted, vec!["rejected".into()]),
        ]
    );
    let logged = |remark: &Remark| {
        let text = remark.text();
        ended
            .events
            .iter()
            .any(|event| matches!(&event.body, EventBody::Log { message, .. } if *message == text))
    };
    assert!(remarks.iter().all(logged), "{}", ended.output);

    // A database that was named is not left out.
    for (name, code) in [
        ("closed", FailureCode::DatabaseMissing),
        ("denied", FailureCode::PermissionDenied),
        ("rejected", FailureCode::ConnectionNotAdmitted),
    ] {
        let mut work = backup_as(&workspace, &source, ImageId::new(), "reader");
        let Work::Backup { databases, .. } = &mut work else { unreachable!() };
        databases.push(name.into());
        workspace.run(work).expect_failure(code);
    }
}

#[test]
fn objects_in_tablespaces_are_restored_into_the_default_one() {
    let source = Server::new();
    let directories: Vec<_> = (0..3).map(|_| scratch::short_dir()).collect();
    for (name, directory) in ["fast", "slow", "unused"].iter().zip(&directories) {
        let path = directory.path().display();
        source.psql("postgres", &format!("create tablespace {name} location '{path}'"));
    }
    source.psql("postgres", "comment on tablespace fast is 'x'; grant create on tablespace fast to public");
    source.psql("postgres", "create database shop tablespace slow");
    source.psql(
        "shop",
        "create table t tablespace fast as select generate_series(1, 10) as a; create index i on t (a) tablespace fast;
         create materialized view m tablespace fast as select a from t",
    );
    let workspace = Workspace::new();
    let image = ImageId::new();
    workspace.run(workspace.backup(&source, image)).succeeded();
    let remarks = manifest(&workspace, image).remarks();
    assert_eq!(remarks, [Remark::Tablespaces(vec!["fast".into(), "slow".into()])]);
    workspace.run(workspace.restore(image)).succeeded();
    let restored = Server::on(&workspace.data_dir());
    let without = ["--no-tablespaces"];
    assert_same(&source.dumpall_with(&without), &restored.dumpall_with(&without));
    assert_eq!(restored.psql("shop", "select count(*) from m"), "10");
}
