//! The local platform: the conformance suite, and what only this one promises (processes, directories, ports).

mod conformance;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use conformance::{CANARY, Tested, connect, end_of, spec, waiting_job};
use futures::TryStreamExt;
use model::agent::Connection;
use model::{EventBody, ExitClass, ImageId, ImageType, InstanceId, Location, TlsMode, Work};
use platform::cluster::{PRIVATE_PORT, PRIVATE_USER, PrivateCluster};
use platform::local::{LocalConfig, LocalPlatform, find_installations, lock};
use platform::{Error, InstanceSpec, JobSpec, JobState, Platform, Secret, ServerState};
use rustix::process::{Pid, Signal, kill_process};

/// A machine's data directory of its own.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        // PostgreSQL and jobs run as another user when we are root.
        let everybody = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path(), everybody).expect("open the directory");
        Self { dir }
    }

    async fn open(&self) -> LocalPlatform {
        LocalPlatform::open(LocalConfig {
            data_dir: self.dir.path().to_owned(),
            agent_program: agent(),
            user: None,
            bin_dirs: vec![],
        })
        .await
        .expect("open the platform")
    }

    async fn platform(&self) -> Tested {
        Arc::new(self.open().await)
    }

    fn job(&self, name: &str) -> PathBuf {
        self.dir.path().join("jobs").join(name)
    }
}

/// The agent, built as the tests are.
fn agent() -> PathBuf {
    let exe = std::env::current_exe().expect("our own path");
    let agent = exe.ancestors().nth(2).expect("the target directory").join("toygres-agent");
    if !agent.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = std::process::Command::new(cargo).args(["build", "-p", "agent"]).status();
        assert!(built.expect("start cargo").success(), "the agent can be built");
    }
    agent
}

fn first_number(path: &Path) -> i32 {
    let text = std::fs::read_to_string(path).expect("a file that begins with a process' number");
    text.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("a number")
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a pid"), signal).expect("signal");
}

/// Looks again and again until something is so.
async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), looking).await.is_ok(), "in vain: {what}");
}

#[tokio::test]
async fn instances_conform() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    conformance::instances(&platform, async |endpoint| endpoint).await;
    conformance::unknown_version(&platform).await;
}

#[tokio::test]
async fn jobs_conform() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    conformance::jobs(&platform).await;
    conformance::stopping(&platform).await;
}

#[tokio::test]
async fn a_directory_that_is_not_ours_is_left_alone() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let spec = spec(&platform).await;
    let dir = machine.dir.path().join("instances").join(spec.id.to_string());
    std::fs::create_dir_all(dir.join("somebody-s")).expect("make a directory");
    let error = platform.create_volume(&spec).await.expect_err("it is not ours");
    assert!(matches!(&error, Error::Foreign(words) if words.contains(&spec.id.to_string())), "{error}");
}

#[tokio::test]
async fn instances_come_back_after_a_reboot_if_they_ran() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let (ran, stopped) = (spec(&platform).await, spec(&platform).await);
    for spec in [&ran, &stopped] {
        platform.deploy_server(spec, &Secret::new(CANARY.to_owned())).await.expect("deploy");
    }
    platform.stop_server(stopped.id).await.expect("stop");
    let endpoint = platform.endpoint(ran.id).await.expect("endpoint");
    signal(first_number(&Path::new(&platform.data_dir(ran.id)).join("postmaster.pid")), Signal::KILL);
    until("its end is seen", async || {
        matches!(platform.observe_server(ran.id).await, Ok(ServerState::Failed(_)))
    })
    .await;

    let after = machine.open().await;
    after.resume().await;
    let after: Tested = Arc::new(after);
    assert_eq!(after.observe_server(stopped.id).await.expect("observe"), ServerState::Stopped);
    assert_eq!(after.observe_server(ran.id).await.expect("observe"), ServerState::Running);
    assert_eq!(after.endpoint(ran.id).await.expect("endpoint"), endpoint);
    connect(&after, ran.id, CANARY).await.expect("connect");
    for id in [ran.id, stopped.id] {
        after.delete_volume(id).await.expect("delete");
    }
}

#[tokio::test]
async fn a_port_that_another_program_took_is_named() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let spec = spec(&platform).await;
    platform.deploy_server(&spec, &Secret::new(CANARY.to_owned())).await.expect("deploy");
    platform.stop_server(spec.id).await.expect("stop");
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = other.local_addr().expect("its address").port();
    // Its own port might be taken by another test's instance first.
    let record = machine.dir.path().join("instances").join(spec.id.to_string()).join("instance.json");
    let text = std::fs::read_to_string(&record).expect("its record");
    let own = platform.endpoint(spec.id).await.expect("endpoint").expect("it was deployed").port;
    std::fs::write(&record, text.replace(&own.to_string(), &port.to_string())).expect("give it that port");
    let error = platform.start_server(spec.id).await.expect_err("the port is taken");
    assert!(error.to_string().contains(&format!("Port {port} of tested is taken")), "{error}");
    drop(other);
    platform.start_server(spec.id).await.expect("start");
    platform.delete_volume(spec.id).await.expect("delete");
}

/// pg_cron's worker connects over TCP without a password.
#[tokio::test]
async fn a_worker_that_connects_over_tcp_needs_the_trust_lines() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let installed = platform.installations().await.expect("installations");
    let Some(major) = installed.iter().find(|i| i.extensions.iter().flatten().any(|e| e == "pg_cron")) else {
        panic!("this test needs pg_cron: apt-get install postgresql-{}-cron", installed[0].major)
    };
    let spec =
        InstanceSpec { major: major.major, preload: vec!["pg_cron".to_owned()], ..spec(&platform).await };
    let with_another_id =
        |spec: &InstanceSpec| InstanceSpec { id: InstanceId::from(uuid::Uuid::now_v7()), ..spec.clone() };
    let stock = with_another_id(&spec);
    let asked = InstanceSpec { trust_loopback: true, ..with_another_id(&spec) };
    let durable = InstanceSpec { image_type: ImageType::PgDurable, ..with_another_id(&spec) };
    for (spec, outcome) in [(&stock, "failed"), (&asked, "succeeded"), (&durable, "succeeded")] {
        assert_eq!(run_by_cron(&platform, spec).await, outcome);
        let stranger = connect(&platform, spec.id, "wrong").await;
        assert_eq!(stranger.is_ok(), outcome == "succeeded", "the lines hold for everybody");
        platform.delete_volume(spec.id).await.expect("delete");
    }
}

/// How a job ends that pg_cron runs when its server starts.
async fn run_by_cron(platform: &Tested, spec: &InstanceSpec) -> String {
    platform.deploy_server(spec, &Secret::new(CANARY.to_owned())).await.expect("deploy");
    let client = connect(platform, spec.id, CANARY).await.expect("connect");
    client
        .batch_execute("create extension pg_cron; select cron.schedule('@reboot', 'select 1')")
        .await
        .expect("schedule");
    platform.stop_server(spec.id).await.expect("stop");
    platform.start_server(spec.id).await.expect("start");
    let client = connect(platform, spec.id, CANARY).await.expect("connect");
    let mut status = String::new();
    until("the job ran", async || {
        let query = "select status from cron.job_run_details where status in ('succeeded', 'failed')";
        let row = client.query_opt(query, &[]).await.expect("ask");
        status = row.map(|row| row.get(0)).unwrap_or_default();
        !status.is_empty()
    })
    .await;
    status
}

#[tokio::test]
async fn a_job_s_secrets_are_in_its_files_only_and_go_with_its_end() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let job = waiting_job(300);
    platform.launch(&job).await.expect("launch");
    let dir = machine.job(&job.name);
    until("it took its directory", async || dir.join("pid").exists()).await;
    let pid = first_number(&dir.join("pid"));
    for file in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{pid}/{file}")).expect("read");
        assert!(!bytes.is_empty() && !String::from_utf8_lossy(&bytes).contains(CANARY));
    }
    platform.stop(&job.name, Duration::from_secs(30)).await.expect("stop");
    end_of(&platform, &job.name).await;
    for entry in std::fs::read_dir(&dir).expect("the job's directory").flatten() {
        assert_ne!(entry.file_name(), "secrets");
        if let Ok(bytes) = std::fs::read(entry.path()) {
            assert!(!String::from_utf8_lossy(&bytes).contains(CANARY), "{}", entry.path().display());
        }
    }
}

#[tokio::test]
async fn a_job_that_does_not_listen_is_killed_after_its_grace() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let job = waiting_job(300);
    platform.launch(&job).await.expect("launch");
    let pid_file = machine.job(&job.name).join("pid");
    until("it took its directory", async || pid_file.exists()).await;
    signal(first_number(&pid_file), Signal::STOP);
    platform.stop(&job.name, Duration::from_millis(200)).await.expect("stop");
    let end = end_of(&platform, &job.name).await;
    assert_eq!((end.code, end.result), (None, None));
    assert_eq!(end.reason.as_deref(), Some("The job's process was killed by signal 9."));
}

#[tokio::test]
async fn a_job_that_vanished_is_seen_by_whoever_looks() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let job = waiting_job(300);
    platform.launch(&job).await.expect("launch");
    let pid_file = machine.job(&job.name).join("pid");
    until("it took its directory", async || pid_file.exists()).await;

    let later = machine.platform().await;
    later.launch(&job).await.expect("a server started anew adopts it");
    assert_eq!(later.observe(&job.name).await.expect("observe"), JobState::Running);
    signal(first_number(&pid_file), Signal::KILL);
    for platform in [&later, &platform] {
        let end = end_of(platform, &job.name).await;
        assert_eq!((end.code, end.result), (None, None));
        assert!(end.reason.is_some_and(|words| words.starts_with("The job's process ")));
    }
}

/// The processes that have this in their arguments or environment.
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

#[tokio::test]
async fn what_a_killed_job_had_started_is_ended_by_the_next_server() {
    use std::os::unix::fs::PermissionsExt;
    let machine = Machine::new();
    let platform = machine.platform().await;
    let spec = spec(&platform).await;
    platform.deploy_server(&spec, &Secret::new(CANARY.to_owned())).await.expect("deploy");
    // Programs that take their time.
    let bin_dir = machine.dir.path().join("slow");
    std::fs::create_dir(&bin_dir).expect("made");
    for program in ["pg_dump", "pg_dumpall"] {
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && echo '{program} (PostgreSQL) {}.99' && exit\nexec sleep 6001\n",
            spec.major
        );
        let path = bin_dir.join(program);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    }
    let endpoint = platform.endpoint(spec.id).await.expect("endpoint").expect("there");
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
    };
    // A server that starts a job and is gone, with all that waits for it.
    let (launcher, of_launcher) = (machine.open().await, job.clone());
    let gone = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(launcher.launch(&of_launcher)).expect("launch");
        runtime.shutdown_background();
    });
    gone.join().expect("launched");
    let mark = machine.job(&job.name).join("result.json").display().to_string();
    let sleeps = || processes(&mark).iter().any(|pid| processes("sleep\u{0}6001").contains(pid));
    until("a program is at work", async || sleeps()).await;
    signal(first_number(&machine.job(&job.name).join("pid")), Signal::KILL);

    let next = machine.platform().await;
    let end = end_of(&next, &job.name).await;
    assert_eq!((end.code, end.result), (None, None));
    assert_eq!(processes(&mark), Vec::<i32>::new(), "something is at work still");
    platform.delete_volume(spec.id).await.expect("delete");
}

#[tokio::test]
async fn a_job_that_has_had_its_time_is_stopped() {
    let machine = Machine::new();
    let platform = machine.platform().await;
    let job = JobSpec { deadline: Duration::from_secs(1), ..waiting_job(300) };
    platform.launch(&job).await.expect("launch");
    // Whoever follows it enforces it, also a server that did not launch it.
    let later = machine.platform().await;
    let events: Vec<_> =
        later.events(&job.name, 0).await.expect("follow").try_collect().await.expect("events");
    assert!(matches!(events.last().map(|event| &event.body), Some(EventBody::Result(_))), "{events:?}");
    let end = end_of(&later, &job.name).await;
    assert_eq!(end.result.map(|result| result.class), Some(ExitClass::Cancelled));
    assert!(end.reason.is_some_and(|words| words.contains("took longer than it may")));
}

#[tokio::test]
async fn a_second_server_on_the_data_directory_says_so() {
    let machine = Machine::new();
    let first = lock(machine.dir.path()).expect("the first takes it");
    let error = lock(machine.dir.path()).expect_err("the second does not");
    assert!(error.to_string().contains("Another Toygres"), "{error}");
    drop(first);
    lock(machine.dir.path()).expect("it is free again");
}

#[tokio::test]
async fn the_private_cluster_is_adopted_and_survives_a_crash() {
    let machine = Machine::new();
    let local = machine.open().await;
    let installed = find_installations(&[]).await.expect("installations");
    let (dir, sockets) = (machine.dir.path().join("cms"), local.run_dir().join("cms"));
    let ensure = async || {
        let account = local.account().clone();
        PrivateCluster::ensure(&installed, &dir, &sockets, account).await.expect("a cluster")
    };
    let ask = async |sql: &str| {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&sockets).port(PRIVATE_PORT).user(PRIVATE_USER).dbname("postgres");
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.expect("connect");
        tokio::spawn(connection);
        client.batch_execute(sql).await.expect("ask");
    };
    let pid = || first_number(&dir.join("data/postmaster.pid"));
    ensure().await;
    ask("create table kept (n int)").await;
    let first = pid();
    ensure().await;
    assert_eq!(pid(), first, "the running one is adopted");
    signal(first, Signal::KILL);
    until("it is gone", async || !Path::new(&format!("/proc/{first}")).exists()).await;
    let cluster = ensure().await;
    ask("select n from kept").await;
    cluster.stop().await.expect("stop");
    assert!(!dir.join("data/postmaster.pid").exists());
}
