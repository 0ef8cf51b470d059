//! The local platform: the conformance suite, and what is specific to this platform (processes, directories, ports).

mod conformance;
mod machine;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conformance::{CANARY, Tested, connect, end_of, spec, until, waiting_job};
use futures::TryStreamExt;
use machine::Machine;
use model::agent::Connection;
use model::{
    EventBody, ExitClass, Failure, FailureCode, ImageId, ImageType, InstanceId, Location, TlsMode, Work,
};
use platform::local::{find_installations, lock};
use platform::postgres_server::{EMBEDDED_PORT, EMBEDDED_USER, EmbeddedServer};
use platform::{ExposeSecret, InstanceSpec, JobEnd, JobSpec, JobState, Jobs, Secret, ServerState};
use rustix::process::{Pid, Signal, kill_process};

/// The process number at the beginning of a file.
fn first_number(path: &Path) -> i32 {
    let text = std::fs::read_to_string(path).expect("a file with a process number");
    text.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("a number")
}

/// The process of a job's agent, once it has locked the job's directory.
async fn agent_of(dir: &Path) -> i32 {
    let file = dir.join("pid");
    until("the agent locked its directory", async || file.exists().then(|| first_number(&file))).await
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a process number"), signal).expect("signal");
}

async fn deploy(platform: &Tested, spec: &InstanceSpec) {
    platform.deploy_server(spec, &Secret::from(CANARY)).await.expect("deploy");
}

#[tokio::test]
async fn instances_conform() {
    let machine = Machine::new();
    let platform = machine.open().await;
    conformance::instances(&platform, async |endpoint| endpoint).await;
    conformance::unknown_version(&platform).await;
}

#[tokio::test]
async fn jobs_conform() {
    let machine = Machine::new();
    let platform = machine.open().await;
    conformance::jobs(&platform).await;
    conformance::stopping(&platform).await;
}

#[tokio::test]
async fn foreign_directory_is_refused_and_kept() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let spec = spec(&*platform).await;
    let dir = machine.dir.path().join("instances").join(spec.id.to_string());
    std::fs::create_dir_all(dir.join("foreign")).expect("create a directory");
    let error = platform.create_volume(&spec).await.expect_err("the directory is foreign");
    assert_eq!(error.code(), FailureCode::NotOwned);
    assert!(dir.join("foreign").exists());
}

#[tokio::test]
async fn running_instances_are_restarted_after_a_reboot() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let (running, stopped) = (spec(&*platform).await, spec(&*platform).await);
    for spec in [&running, &stopped] {
        deploy(&platform, spec).await;
    }
    platform.stop_server(stopped.id).await.expect("stop");
    let endpoint = platform.endpoint(running.id).await.expect("endpoint");
    let data_dir = platform.data_dir(running.id);
    signal(first_number(&Path::new(&data_dir).join("postmaster.pid")), Signal::KILL);
    let failure = until("the crash is observed", async || {
        match platform.observe_server(running.id).await.expect("observe") {
            ServerState::Failed(failure) => Some(failure),
            _ => None,
        }
    })
    .await;
    assert_eq!(failure.code, FailureCode::ServerStartFailed);

    let after = machine.open().await;
    after.resume().await;
    let after: Tested = Arc::new(after);
    assert_eq!(after.observe_server(stopped.id).await.expect("observe"), ServerState::Stopped);
    assert_eq!(after.observe_server(running.id).await.expect("observe"), ServerState::Running);
    assert_eq!(after.endpoint(running.id).await.expect("endpoint"), endpoint);
    connect(&*after, running.id, CANARY).await.expect("connect");
    for id in [running.id, stopped.id] {
        after.delete_volume(id).await.expect("delete");
    }
}

#[tokio::test]
async fn log_of_a_running_server_is_limited() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let spec = spec(&*platform).await;
    deploy(&platform, &spec).await;
    let dir = machine.dir.path().join("instances").join(spec.id.to_string());
    let (log, previous) = (dir.join("server.log"), dir.join("server.log.1"));
    let size = |path: &Path| path.metadata().map_or(0, |found| found.len());
    let line = "2026-11-28 FATAL:  password authentication failed\n";
    let append = |lines: usize| {
        let mut file = std::fs::File::options().append(true).open(&log).expect("its log");
        std::io::Write::write_all(&mut file, line.repeat(lines).as_bytes()).expect("written");
    };
    append(1000);
    platform.observe_server(spec.id).await.expect("observe");
    assert!(size(&log) >= 50_000 && !previous.exists(), "a small log is kept");
    append(400_000);
    platform.observe_server(spec.id).await.expect("observe");
    assert_eq!(size(&previous), 16 << 20);
    assert!(std::fs::read_to_string(&previous).expect("its end").ends_with(line));
    assert!(size(&log) < 10_000);
    // The server writes to the emptied file, without a gap.
    connect(&*platform, spec.id, "wrong").await.expect_err("the password is wrong");
    let text = std::fs::read(&log).expect("its log");
    assert!(!text.is_empty() && !text.contains(&0));
    platform.delete_volume(spec.id).await.expect("delete");
}

#[tokio::test]
async fn port_of_another_program_is_reported() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let spec = spec(&*platform).await;
    deploy(&platform, &spec).await;
    platform.stop_server(spec.id).await.expect("stop");
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = other.local_addr().expect("its address").port();
    // Another port than its own, which the instance of another test might use first.
    let record = machine.dir.path().join("instances").join(spec.id.to_string()).join("instance.json");
    let text = std::fs::read_to_string(&record).expect("its record");
    let own = platform.endpoint(spec.id).await.expect("endpoint").expect("a deployed server has one").port;
    std::fs::write(&record, text.replace(&own.to_string(), &port.to_string())).expect("assign the port");
    let error = platform.start_server(spec.id).await.expect_err("the port is in use");
    assert_eq!(error.code(), FailureCode::ServerStartFailed);
    assert_eq!(error.failure().subject, Some(format!("port {port} of tested")));
    drop(other);
    platform.start_server(spec.id).await.expect("start");
    platform.delete_volume(spec.id).await.expect("delete");
}

/// pg_cron's worker connects over TCP without a password.
#[tokio::test]
async fn worker_that_connects_over_tcp_needs_the_trust_lines() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let installed = platform.installations().await.expect("installations");
    let Some(major) = installed.iter().find(|i| i.extensions.iter().flatten().any(|e| e == "pg_cron")) else {
        panic!("this test needs pg_cron: apt-get install postgresql-{}-cron", installed[0].major)
    };
    let spec =
        InstanceSpec { major: major.major, preload: vec!["pg_cron".to_owned()], ..spec(&*platform).await };
    let with_another_id =
        |spec: &InstanceSpec| InstanceSpec { id: InstanceId::from(uuid::Uuid::now_v7()), ..spec.clone() };
    let stock = with_another_id(&spec);
    let trusting = InstanceSpec { trust_loopback: true, ..with_another_id(&spec) };
    let durable = InstanceSpec { image_type: ImageType::PgDurable, ..with_another_id(&spec) };
    for (spec, outcome) in [(&stock, "failed"), (&trusting, "succeeded"), (&durable, "succeeded")] {
        assert_eq!(run_by_cron(&platform, spec).await, outcome);
        let wrong_password = connect(&*platform, spec.id, "wrong").await;
        assert_eq!(wrong_password.is_ok(), outcome == "succeeded", "the lines apply to all clients");
        platform.delete_volume(spec.id).await.expect("delete");
    }
}

/// The outcome of a job that pg_cron runs at the start of its server.
async fn run_by_cron(platform: &Tested, spec: &InstanceSpec) -> String {
    deploy(platform, spec).await;
    let client = connect(&**platform, spec.id, CANARY).await.expect("connect");
    let schedule = "create extension pg_cron; select cron.schedule('@reboot', 'select 1')";
    client.batch_execute(schedule).await.expect("schedule");
    platform.stop_server(spec.id).await.expect("stop");
    platform.start_server(spec.id).await.expect("start");
    let client = connect(&**platform, spec.id, CANARY).await.expect("connect");
    let query = "select status from cron.job_run_details where status in ('succeeded', 'failed')";
    until("pg_cron ran the job", async || {
        client.query_opt(query, &[]).await.expect("query").map(|row| row.get(0))
    })
    .await
}

#[tokio::test]
async fn secrets_of_a_job_are_in_files_only_and_deleted_at_its_end() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let job = waiting_job(300);
    platform.launch(&job).await.expect("launch");
    let dir = machine.job(&job.name);
    let agent = agent_of(&dir).await;
    for file in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{agent}/{file}")).expect("read");
        assert!(!bytes.is_empty() && !String::from_utf8_lossy(&bytes).contains(CANARY));
    }
    platform.stop(&job.name, Duration::from_secs(30)).await.expect("stop");
    end_of(&*platform, &job.name).await;
    for entry in std::fs::read_dir(&dir).expect("the job's directory").flatten() {
        assert_ne!(entry.file_name(), "secrets");
        if let Ok(bytes) = std::fs::read(entry.path()) {
            assert!(!String::from_utf8_lossy(&bytes).contains(CANARY), "{}", entry.path().display());
        }
    }
}

#[tokio::test]
async fn job_that_does_not_stop_is_killed_after_its_grace_period() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let job = waiting_job(300);
    platform.launch(&job).await.expect("launch");
    signal(agent_of(&machine.job(&job.name)).await, Signal::STOP);
    platform.stop(&job.name, Duration::from_millis(200)).await.expect("stop");
    let failure = Failure::new(FailureCode::JobKilled, "killed by signal 9").on(&*job.name);
    assert_eq!(end_of(&*platform, &job.name).await, JobEnd::failed(failure));
}

#[tokio::test]
async fn killed_job_is_reported_by_every_server() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let job = waiting_job(300);
    platform.launch(&job).await.expect("launch");
    let agent = agent_of(&machine.job(&job.name)).await;

    let later = machine.platform().await;
    later.launch(&job).await.expect("a restarted server adopts the job");
    assert_eq!(later.observe(&job.name).await.expect("observe"), JobState::Running);
    signal(agent, Signal::KILL);
    for platform in [&later, &platform] {
        let end = end_of(&**platform, &job.name).await;
        assert_eq!((end.code, end.result), (None, None));
        assert_eq!(end.failure.map(|failure| failure.code), Some(FailureCode::JobKilled));
    }
}

/// The processes with this text in their arguments or environment.
fn processes(needle: &str) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let has = |pid: &i32| {
        ["cmdline", "environ"].iter().any(|file| {
            let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            text.windows(needle.len()).any(|window| window == needle.as_bytes())
        })
    };
    pids.filter(has).collect()
}

/// Creates programs of PostgreSQL that do not end.
fn endless_programs(dir: &Path, major: i32) {
    std::fs::create_dir(dir).expect("create a directory");
    for program in ["pg_dump", "pg_dumpall"] {
        let version = format!("[ \"$1\" = --version ] && echo '{program} (PostgreSQL) {major}.99' && exit");
        let path = dir.join(program);
        std::fs::write(&path, format!("#!/bin/sh\n{version}\nexec sleep 6001\n")).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("make it executable");
    }
}

#[tokio::test]
async fn programs_of_a_killed_job_are_killed_by_the_next_server() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let spec = spec(&*platform).await;
    deploy(&platform, &spec).await;
    let bin_dir = machine.dir.path().join("slow");
    endless_programs(&bin_dir, spec.major);
    let endpoint = platform.endpoint(spec.id).await.expect("endpoint").expect("a deployed server has one");
    let image = ImageId::new();
    let mut job = waiting_job(1);
    job.task.work = Work::Backup {
        image,
        to: Location { store: machine.open().await.store_url(), prefix: format!("images/{image}/1") },
        source: Connection {
            host: endpoint.host,
            port: endpoint.port,
            username: "postgres".to_owned(),
            database: "postgres".to_owned(),
            tls: TlsMode::Disable,
        },
        image_type: ImageType::Stock,
        databases: vec![],
        streams: 1,
        bin_dir: Some(bin_dir.display().to_string()),
        fixed_clients: false,
        previous: None,
    };
    // A server that launches the job and ends, with the task that waits for the job.
    let (launcher, launched) = (machine.open().await, job.clone());
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(launcher.launch(&launched)).expect("launch");
        runtime.shutdown_background();
    });
    server.join().expect("launched");
    let marker = machine.job(&job.name).join("result.json").display().to_string();
    let runs = || processes(&marker).iter().any(|pid| processes("sleep\u{0}6001").contains(pid));
    until("a program runs", async || runs().then_some(())).await;
    signal(first_number(&machine.job(&job.name).join("pid")), Signal::KILL);

    let next = machine.platform().await;
    let end = end_of(&*next, &job.name).await;
    assert_eq!((end.code, end.result), (None, None));
    assert_eq!(processes(&marker), Vec::<i32>::new(), "a program of the job runs");
    platform.delete_volume(spec.id).await.expect("delete");
}

#[tokio::test]
async fn job_is_stopped_at_its_deadline() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let job = JobSpec { deadline: Duration::from_secs(1), ..waiting_job(300) };
    platform.launch(&job).await.expect("launch");
    // Every server that follows the job enforces the deadline, also one that did not launch it.
    let later = machine.platform().await;
    let events: Vec<_> =
        later.events(&job.name, 0).await.expect("follow").try_collect().await.expect("events");
    assert!(matches!(events.last().map(|event| &event.body), Some(EventBody::Result(_))), "{events:?}");
    let end = end_of(&*later, &job.name).await;
    assert_eq!(end.result.map(|result| result.class()), Some(ExitClass::Cancelled));
    assert_eq!(end.failure.map(|failure| failure.code), Some(FailureCode::JobDeadline));
}

#[tokio::test]
async fn data_directory_is_locked_by_one_server() {
    let machine = Machine::new();
    let first = lock(machine.dir.path()).expect("the first lock");
    let error = lock(machine.dir.path()).expect_err("the second lock");
    assert_eq!(error.code(), FailureCode::Refused);
    drop(first);
    lock(machine.dir.path()).expect("the lock is free");
}

#[tokio::test]
async fn embedded_server_is_adopted_and_recovers_from_a_crash() {
    let machine = Machine::new();
    let local = machine.open().await;
    let installed = find_installations(&[]).await.expect("installations");
    let (dir, sockets) = (machine.dir.path().join("embedded"), local.run_dir().join("embedded"));
    let ensure = async || {
        let account = local.account().clone();
        EmbeddedServer::ensure(&installed, &dir, &sockets, account).await.expect("a server")
    };
    let connect = async |password: Option<&str>| {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&sockets).port(EMBEDDED_PORT).user(EMBEDDED_USER).dbname("postgres");
        if let Some(password) = password {
            config.password(password);
        }
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok::<_, tokio_postgres::Error>(client)
    };
    let execute = async |server: &EmbeddedServer, sql: &str| {
        let client = connect(Some(server.password().expose_secret())).await.expect("connect");
        client.batch_execute(sql).await.expect("execute");
    };
    let pid = || first_number(&dir.join("data/postmaster.pid"));
    let server = ensure().await;
    execute(&server, "create table kept (n int)").await;
    assert!(connect(None).await.is_err(), "a client without the password is refused");
    let file = std::fs::metadata(dir.with_extension("password")).expect("the file of the password");
    assert_eq!((file.mode() & 0o777, file.uid()), (0o600, rustix::process::geteuid().as_raw()));
    let first = pid();
    let server = ensure().await;
    assert_eq!(pid(), first, "the running server is adopted");
    execute(&server, "select n from kept").await;
    signal(first, Signal::KILL);
    until("it ended", async || (!Path::new(&format!("/proc/{first}")).exists()).then_some(())).await;
    let server = ensure().await;
    execute(&server, "select n from kept").await;

    // As an earlier version left it: running, with every client trusted, and no file with a password.
    let hba = dir.join("data/pg_hba.conf");
    std::fs::write(&hba, "local all all trust\n").expect("write");
    std::fs::remove_file(dir.with_extension("password")).expect("remove");
    signal(pid(), Signal::HUP);
    until("every client is trusted", async || connect(None).await.ok()).await;
    let server = ensure().await;
    assert!(connect(None).await.is_err(), "the earlier server is secured");
    execute(&server, "select n from kept").await;
    server.stop().await.expect("stop");
    assert!(!dir.join("data/postmaster.pid").exists());
}
