//! A restore whose programs run through `toygres-agent execute`, as in two containers of a pod.

mod scratch;

use std::time::{Duration, Instant};

use model::agent::EventBody;
use model::{AgentEvent, FailureCode};
use rustix::process::Signal;
use scratch::{Executor, PASSWORD, Server, Workspace, assert_same, processes_with};
use uuid::Uuid;

fn new_run() -> Uuid {
    Uuid::from_u128(rand::random())
}

fn rows_are_moving(event: &AgentEvent) -> bool {
    matches!(&event.body, EventBody::Progress(progress) if progress.phase == "rows" && progress.bytes > 0)
}

/// Waits until no process but the executor has this text in its command line.
fn until_programs_ended(text: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut running = processes_with(text);
        running.retain(|line| !line.contains(" execute "));
        if running.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{running:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn restore_through_the_executor_is_identical() {
    let source = Server::new();
    source.load("nasty.sql");
    let (workspace, executor) = (Workspace::new(), Executor::start("UTC"));
    let image = executor.backed_up(&workspace, &source);
    let restored = executor.restore(&workspace, new_run(), image).wait().succeeded();
    assert!(!restored.output.contains(PASSWORD));
    assert_eq!(executor.left(), [executor.data_dir()]);
    until_programs_ended(executor.dir.path().to_str().expect("text"));
    assert_same(&source.dumpall(), &Server::on(&executor.data_dir()).dumpall());
}

#[test]
fn content_of_an_image_is_executed_by_the_executor() {
    let source = Server::new();
    // The function executes harmless code at the source, and a program where the rows are restored.
    source.psql(
        "postgres",
        "create function f(int) returns bool language sql as 'select true';
         create table t (i int check (f(i)));
         insert into t values (1);
         create or replace function f(int) returns bool language plpgsql as $f$
         begin execute 'copy (select 1) to program ''cat; echo $TZ $TOYGRES_SECRETS >> found'''; return true; end $f$",
    );
    let (workspace, executor) = (Workspace::new(), Executor::start("Antarctica/Troll"));
    let image = executor.backed_up(&workspace, &source);
    executor.restore(&workspace, new_run(), image).wait().succeeded();
    let found = std::fs::read_to_string(executor.data_dir().join("found")).expect("the program ran");
    assert_eq!(found, "Antarctica/Troll\n");
}

#[test]
fn failure_of_a_program_keeps_its_code() {
    let source = Server::new();
    source.psql(
        "postgres",
        "create function f(int) returns int immutable language plpgsql as 'begin return 1; end';
         create table t as select 1 as i;
         create index on t (f(i));
         create or replace function f(int) returns int immutable language plpgsql as 'begin return missing(); end'",
    );
    let (workspace, executor) = (Workspace::new(), Executor::start("UTC"));
    let image = executor.backed_up(&workspace, &source);
    let ended = executor.restore(&workspace, new_run(), image).wait();
    ended.expect_failure(FailureCode::StatementInvalid);
    assert_eq!(executor.left(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn cancelled_and_killed_restores_leave_no_program_and_the_next_one_succeeds() {
    let source = Server::new();
    source.psql(
        "postgres",
        "create table big as select i, repeat(md5(i::text), 4) from generate_series(1, 1200000) i",
    );
    let (workspace, executor, run) = (Workspace::new(), Executor::start("UTC"), new_run());
    let image = executor.backed_up(&workspace, &source);
    let dir = executor.dir.path().to_str().expect("text").to_owned();

    let mut agent = executor.restore(&workspace, run, image);
    agent.until(rows_are_moving);
    assert!(processes_with(&dir).iter().any(|line| line.contains("postgres -D")), "a server runs");
    agent.signal(Signal::TERM);
    agent.wait().expect_failure(FailureCode::Cancelled);
    assert_eq!(executor.left(), Vec::<std::path::PathBuf>::new());
    until_programs_ended(&dir);

    let mut agent = executor.restore(&workspace, run, image);
    agent.until(rows_are_moving);
    agent.signal(Signal::KILL);
    agent.wait();
    until_programs_ended(&dir);

    executor.restore(&workspace, run, image).wait().succeeded();
    assert_eq!(executor.left(), [executor.data_dir()]);
}

#[test]
fn other_programs_and_variables_are_refused() {
    let executor = Executor::start_as_tester();
    for program in ["sh", "/bin/sh", "../../../../bin/sh", "pg_restore/../psql", "psql", ""] {
        let mut connection = executor.connect();
        connection.request(program, &[], "PGHOST");
        let refusal = connection.refusal();
        let subject = Some(program).filter(|program| !program.is_empty());
        assert_eq!((refusal.code, refusal.subject.as_deref()), (FailureCode::Refused, subject));
    }
    for variable in ["LD_PRELOAD", "PATH", "TOYGRES_SECRETS"] {
        let mut connection = executor.connect();
        connection.request("initdb", &[], variable);
        assert_eq!(connection.refusal().subject.as_deref(), Some(variable));
    }
}

#[test]
fn invalid_frames_are_refused_and_end_the_program() {
    let executor = Executor::start_as_tester();
    let oversized = [0x7f, 0xff, 0xff, 0xff];
    let mut connection = executor.connect();
    connection.send(&oversized);
    assert_eq!(connection.refusal().code, FailureCode::TaskInvalid);

    // pg_restore waits for its input.
    let marker = format!("--file={}", executor.dir.path().join("server/list").display());
    let waiting = || {
        let mut connection = executor.connect();
        connection.request("pg_restore", &["--list", &marker], "PGHOST");
        let deadline = Instant::now() + Duration::from_secs(20);
        while processes_with(&marker).is_empty() {
            assert!(Instant::now() < deadline, "pg_restore does not run");
        }
        connection
    };
    type Send = fn(&mut scratch::Connection);
    let sends: [Send; 3] = [
        |connection| connection.send(&[0x7f, 0xff, 0xff, 0xff]),
        |connection| connection.send_frame(1, &[0; 65 * 1024]),
        |connection| connection.send_frame(99, b""),
    ];
    for send in sends {
        let mut connection = waiting();
        send(&mut connection);
        assert_eq!(connection.refusal().code, FailureCode::TaskInvalid);
        until_programs_ended(&marker);
    }
    drop(waiting());
    until_programs_ended(&marker);
}

#[test]
fn number_of_programs_is_limited() {
    let executor = Executor::start_as_tester();
    let mut open: Vec<scratch::Connection> = (0..8).map(|_| executor.connect()).collect();
    let marker = format!("--file={}", executor.dir.path().join("server/list").display());
    for connection in &mut open {
        connection.request("pg_restore", &["--list", &marker], "PGHOST");
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes_with(&marker).len() < 8 {
        assert!(Instant::now() < deadline, "{:?}", processes_with(&marker));
    }
    let too_many = executor.connect().refusal();
    assert_eq!((too_many.code, too_many.subject), (FailureCode::Refused, None));
    open.pop();
    let refused = || {
        let mut next = executor.connect();
        next.request("psql", &[], "PGHOST");
        next.refusal().subject
    };
    while refused().as_deref() != Some("psql") {
        assert!(Instant::now() < deadline, "the slot of the closed connection is not free");
    }
}

#[test]
#[ignore = "needs root"]
fn other_accounts_are_refused() {
    let executor = Executor::start("UTC");
    assert_eq!(executor.connect().refusal().code, FailureCode::Refused);
}
