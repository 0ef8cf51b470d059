//! The agent around its work: its directory, its events, its result, its end. The real program, started as the platform does.

mod scratch;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use image::{ImageWriter, Index, Store};
use model::agent::{MAX_MESSAGE, MAX_RESULT, SECRET_PASSWORD};
use model::image::FORMAT_VERSION;
use model::{
    AgentEvent, AgentResult, AgentTask, Connection, Database, EventBody, ExitClass, ImageId, ImageKind, ImageType, Location,
    Manifest, Outcome, Source, TlsMode, Work,
};
use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

const AGENT: &str = env!("CARGO_BIN_EXE_toygres-agent");

/// A job directory as the platform makes it, and a store.
struct JobDir(tempfile::TempDir);

impl JobDir {
    fn new(work: Work, password: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("secrets")).expect("made");
        std::fs::create_dir(dir.path().join("store")).expect("made");
        std::fs::write(dir.path().join("secrets").join(SECRET_PASSWORD), password).expect("written");
        let log = Some(Location { store: url(&dir.path().join("store")), prefix: "images/a/1".into() });
        let task = AgentTask { run: Uuid::from_u128(rand::random()), step: "Test".into(), attempt: 1, work, log };
        std::fs::write(dir.path().join("task.json"), serde_json::to_vec(&task).expect("JSON")).expect("written");
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(AGENT);
        command.arg("run").arg("--job-dir").arg(self.0.path()).env_clear().stdin(Stdio::null());
        command.stderr(std::fs::File::options().create(true).append(true).open(self.path("stderr.log")).expect("opened"));
        command
    }

    fn start(&self) -> Child {
        let events = std::fs::File::options().create(true).append(true).open(self.path("events.jsonl")).expect("opened");
        self.command().stdout(events).spawn().expect("started")
    }

    /// Starts it and waits for its end.
    fn run(&self) -> i32 {
        self.start().wait().expect("ended").code().expect("a code")
    }

    fn events(&self) -> Vec<AgentEvent> {
        lines(&std::fs::read_to_string(self.path("events.jsonl")).unwrap_or_default())
    }

    fn result(&self) -> AgentResult {
        let bytes = std::fs::read(self.path("result.json")).expect("a result");
        assert!(bytes.len() <= MAX_RESULT, "{}", bytes.len());
        serde_json::from_slice(&bytes).expect("whole")
    }

    /// The events of all segments of the log, in the order of their numbers.
    fn segments(&self) -> Vec<AgentEvent> {
        let mut text = String::new();
        for k in 0.. {
            match std::fs::read_to_string(self.path(&format!("store/images/a/1/log-{k}.jsonl"))) {
                Ok(more) => text += &more,
                Err(_) => return lines(&text),
            }
        }
        unreachable!("numbers do not end")
    }

    /// All bytes that the job left anywhere in its directory, its task and secrets aside.
    fn everything(&self) -> String {
        let (mut all, mut todo) = (String::new(), vec![self.0.path().to_owned()]);
        while let Some(dir) = todo.pop() {
            for entry in std::fs::read_dir(dir).expect("listed") {
                let path = entry.expect("listed").path();
                if path.is_dir() {
                    todo.push(path);
                } else if !path.ends_with("task.json") && !path.ends_with("secrets/password") {
                    all += &String::from_utf8_lossy(&std::fs::read(path).expect("read"));
                }
            }
        }
        all
    }
}

fn lines(text: &str) -> Vec<AgentEvent> {
    text.split_inclusive('\n').filter(|l| l.ends_with('\n')).map(|l| serde_json::from_str(l).expect("an event")).collect()
}

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn to(host: &str, port: u16) -> Connection {
    Connection { host: host.into(), port, username: "postgres".into(), database: "postgres".into(), tls: TlsMode::Prefer }
}

fn probe(target: Connection, dns_seconds: u64) -> Work {
    Work::Probe { target, dns_seconds }
}

/// A job that goes on until it is stopped: names below .invalid never resolve.
fn endless() -> Work {
    probe(to("nowhere.invalid", 5432), 3600)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("there");
}

/// Writes a small image and gives its place.
fn image_in(dir: &Path) -> Location {
    let image = ImageId::new();
    let location = Location { store: url(dir), prefix: format!("images/{image}/1") };
    let database = Database {
        ordinal: 0,
        name: "app".into(),
        owner: "postgres".into(),
        encoding: "UTF8".into(),
        locale_provider: "libc".into(),
        collate: "C".into(),
        ctype: "C".into(),
        locale: None,
        icu_rules: None,
        collation_version: None,
        bytes: 1,
        extensions: Vec::new(),
        tables: Vec::new(),
        sequences: 0,
        large_objects: 0,
    };
    let source = Source {
        version: "15.20".into(),
        major: 15,
        image_type: ImageType::Stock,
        preload: Vec::new(),
        bytes: 1,
        bootstrap: None,
    };
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        image,
        kind: ImageKind::Logical,
        created_at: chrono::Utc::now(),
        source,
        databases: vec![database],
        objects: Vec::new(),
        tools: std::collections::BTreeMap::new(),
    };
    let write = async {
        let writer = ImageWriter::new(Store::open(&location.store)?, location.prefix.as_str(), image);
        writer.write("0/schema.dump", "pg_dump-custom", None, &vec![9; 3_000_000]).await?;
        writer.write(&Index::key(0), "jsonl", Some("zstd"), &Index::default().pack()?).await?;
        writer.commit(manifest).await
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(write).expect("an image");
    location
}

#[test]
fn a_stopped_job_ends_as_cancelled_with_result_and_log() {
    let job = JobDir::new(endless(), "canary-1");
    let mut agent = job.start();
    until("the first event", || !job.events().is_empty());
    signal(&agent, Signal::TERM);
    assert_eq!(agent.wait().expect("ended").code(), Some(143));
    let result = job.result();
    assert_eq!((result.class, result.error.as_deref()), (ExitClass::Cancelled, Some("cancelled")));
    let events = job.events();
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=result.events + 1).collect::<Vec<u64>>());
    assert_eq!(events.last().map(|event| event.body.clone()), Some(EventBody::Result(result)));
    assert_eq!(job.segments(), events);
}

#[test]
fn a_job_is_done_by_one_process_and_only_once() {
    let job = JobDir::new(endless(), "canary-2");
    let mut first = job.start();
    until("the first event", || !job.events().is_empty());

    // The pid file names this process for ever: number and start time.
    let pid = std::fs::read_to_string(job.path("pid")).expect("written");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", first.id())).expect("it runs");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a stat line").1.split(' ').collect();
    assert_eq!(pid, format!("{} {}\n", first.id(), fields[19]));
    // A session of its own: whoever started it may go.
    assert_eq!(fields[3], first.id().to_string());

    let words = |job: &JobDir| std::fs::read_to_string(job.path("stderr.log")).expect("there");
    assert_eq!(job.run(), 0);
    assert!(words(&job).contains("another agent is at work"), "{}", words(&job));
    signal(&first, Signal::KILL);
    first.wait().expect("ended");
    let before = job.events();
    assert_eq!(job.run(), 0);
    assert!(words(&job).contains("ended already"), "{}", words(&job));
    assert_eq!(job.events(), before);
    assert!(!job.path("result.json").exists());
}

#[test]
fn a_reader_that_went_away_stops_nothing() {
    let store = tempfile::tempdir().expect("a directory");
    let job = JobDir::new(Work::Verify { from: image_in(store.path()) }, "canary-3");
    let mut agent = job.command().stdout(Stdio::piped()).spawn().expect("started");
    drop(agent.stdout.take());
    assert_eq!(agent.wait().expect("ended").code(), Some(0));
    let result = job.result();
    assert!(matches!(result.outcome, Some(Outcome::Verify { objects: 3, .. })), "{result:?}");
    let numbers: Vec<u64> = job.segments().iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=result.events + 1).collect::<Vec<u64>>());
}

#[test]
fn a_secret_is_nowhere_even_if_a_server_says_it() {
    let server = scratch::Cluster::new();
    // The server answers with the name that it does not know, which is the secret here.
    let target = Connection { database: scratch::PASSWORD.into(), ..server.connection() };
    let job = JobDir::new(probe(target, 0), scratch::PASSWORD);
    assert_eq!(job.run(), ExitClass::Configuration.code());
    assert!(job.result().error.is_some_and(|error| error.contains("[secret]") && error.contains("does not exist")));
    for secret in [scratch::PASSWORD, r"p:a\\s", "p:a\\s"] {
        assert!(!job.everything().contains(secret), "{}", job.everything());
    }
}

#[test]
fn an_endless_error_fits_everywhere() {
    let job = JobDir::new(probe(to(&"x.".repeat(20_000), 5432), 0), "canary-4");
    assert_eq!(job.run(), ExitClass::Unreachable.code());
    assert!(job.result().error.is_some_and(|error| error.ends_with('…') && error.len() > 1000));
    let longest = job.events().into_iter().filter_map(|event| match &event.body {
        EventBody::Log { message, .. } => Some(message.len()),
        _ => None,
    });
    assert_eq!(longest.max().map(|longest| (MAX_MESSAGE - 8..=MAX_MESSAGE).contains(&longest)), Some(true));
}

#[test]
fn a_broken_task_is_the_configuration_s_fault() {
    for text in ["{", "null", r#"{"run":"x"}"#, "\0"] {
        let job = JobDir::new(endless(), "canary-5");
        std::fs::write(job.path("task.json"), text).expect("written");
        assert_eq!(job.run(), ExitClass::Configuration.code(), "{text}");
        assert!(job.result().error.is_some_and(|error| error.contains("task.json")), "{text}");
    }
    let output = Command::new(AGENT).arg("run").env_clear().output().expect("started");
    assert_eq!(output.status.code(), Some(10));
    assert!(String::from_utf8_lossy(&output.stderr).contains("TOYGRES_TASK"));
}

#[test]
fn a_store_that_takes_no_log_stops_nothing() {
    let store = tempfile::tempdir().expect("a directory");
    let job = JobDir::new(Work::Verify { from: image_in(store.path()) }, "canary-6");
    std::fs::remove_dir(job.path("store")).expect("removed");
    std::fs::write(job.path("store"), "no directory").expect("written");
    assert_eq!(job.run(), 0);
    assert!(std::fs::read_to_string(job.path("stderr.log")).expect("there").contains("log"));
}

#[test]
fn an_image_is_looked_at_and_verified_without_a_server() {
    let store = tempfile::tempdir().expect("a directory");
    let at = image_in(store.path());
    let place = store.path().join(&at.prefix);
    let run = |args: &[&str]| Command::new(AGENT).args(args).arg(&place).env_clear().output().expect("started");
    let text = |output: &std::process::Output| String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();

    let shown = run(&["inspect"]);
    assert!(shown.status.success() && text(&shown).contains("database   \"app\""), "{}", text(&shown));
    let manifest: Manifest = serde_json::from_slice(&run(&["inspect", "--json"]).stdout).expect("JSON");
    assert_eq!(manifest.databases[0].name, "app");
    let verified = run(&["verify"]);
    assert!(verified.status.success() && text(&verified).contains("The image is whole: 3 objects"), "{}", text(&verified));
    let events = run(&["verify", "--json"]).stdout;
    let events = lines(&String::from_utf8(events).expect("text"));
    assert!(matches!(events.last().map(|e| &e.body), Some(EventBody::Result(AgentResult { class: ExitClass::Ok, .. }))));

    std::fs::write(place.join("0/schema.dump"), vec![8; 3_000_000]).expect("written");
    let damaged = run(&["verify"]);
    assert_eq!(damaged.status.code(), Some(13));
    assert!(text(&damaged).contains("0/schema.dump is damaged"), "{}", text(&damaged));
    std::fs::remove_file(place.join("manifest.json")).expect("removed");
    for command in ["inspect", "verify"] {
        let gone = run(&[command]);
        assert_eq!(gone.status.code(), Some(13), "{command}");
        assert!(text(&gone).contains("manifest.json is missing"), "{}", text(&gone));
    }
    let nowhere = store.path().join("no/such/place");
    let gone = Command::new(AGENT).arg("verify").arg(nowhere.join("x")).env_clear().output().expect("started");
    assert_eq!(gone.status.code(), Some(10), "{}", text(&gone));
    assert!(!nowhere.exists(), "looking made a directory");
    let refused = Command::new(AGENT).args(["restore", "--data-dir", "/tmp/x"]).arg(&place).env_clear().output().expect("started");
    assert!(!refused.status.success());
}

/// A server on a port of loopback, with TLS if there is a program that makes certificates.
struct Tcp {
    server: Child,
    dir: tempfile::TempDir,
    port: u16,
    tls: bool,
}

impl Tcp {
    fn start() -> Self {
        let dir = scratch::short_dir();
        let data = dir.path().join("data");
        std::fs::write(dir.path().join("pw"), scratch::PASSWORD).expect("written");
        let made = scratch::unprivileged("initdb")
            .args(["-U", "postgres", "-N", "-A", "scram-sha-256", "-D"])
            .arg(&data)
            .arg(format!("--pwfile={}", dir.path().join("pw").display()))
            .output()
            .expect("initdb");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let tls = certificate(&data);
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("bound").port();
        let server = scratch::unprivileged("postgres")
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-p", &port.to_string()])
            .args(["-c", if tls { "ssl=on" } else { "ssl=off" }, "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("log")).expect("made"))
            .spawn()
            .expect("started");
        let tcp = Self { server, dir, port, tls };
        let ready = || std::fs::read_to_string(tcp.dir.path().join("log")).is_ok_and(|log| log.contains("ready to accept"));
        until("the server is ready", ready);
        tcp
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.server), Signal::QUIT);
        let _ = self.server.wait();
    }
}

/// Makes a certificate that no authority signed; it belongs to the owner of the data directory.
fn certificate(data: &Path) -> bool {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let (key, crt) = (data.join("server.key"), data.join("server.crt"));
    let made = Command::new("openssl")
        .args(["req", "-new", "-x509", "-days", "2", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&crt)
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: there is no openssl here, so TLS was not tried");
        return false;
    }
    let owner = data.metadata().expect("there");
    for file in [&key, &crt] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("set");
        std::os::unix::fs::chown(file, Some(owner.uid()), Some(owner.gid())).expect("given");
    }
    true
}

#[test]
fn a_probe_tells_the_ways_to_fail_apart() {
    let server = Tcp::start();
    let local = || to("localhost", server.port);
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("bound").port();
    let cases = [
        (local(), scratch::PASSWORD, ExitClass::Ok, ""),
        // However long it may wait for the DNS: a wrong password ends it.
        (local(), "wrong password", ExitClass::Authentication, "password of user"),
        (local(), "", ExitClass::Authentication, "password"),
        (Connection { database: "nope".into(), ..local() }, scratch::PASSWORD, ExitClass::Configuration, "does not exist"),
        (to("127.0.0.1", free), scratch::PASSWORD, ExitClass::Unreachable, "no server listens"),
        (to("/nonexistent", 5432), scratch::PASSWORD, ExitClass::Unreachable, "no such socket"),
    ];
    for (target, password, class, words) in cases {
        let job = JobDir::new(probe(target.clone(), 3600), password);
        assert_eq!(job.run(), class.code(), "{target:?}: {:?}", job.result());
        let result = job.result();
        assert!(result.error.as_deref().unwrap_or_default().contains(words), "{result:?}");
        if class == ExitClass::Ok {
            let Some(Outcome::Probe { major, superuser, databases, workers, .. }) = result.outcome else { panic!("no facts") };
            assert!(major >= 13 && superuser && databases == ["postgres"], "{major} {databases:?}");
            assert!(workers.iter().any(|worker| worker == "checkpointer"), "{workers:?}");
        }
    }
}

#[test]
fn tls_is_asked_for_as_the_mode_says() {
    let server = Tcp::start();
    let run = |tls: TlsMode, authorities: Option<&Path>| {
        let job = JobDir::new(probe(Connection { tls, ..to("localhost", server.port) }, 0), scratch::PASSWORD);
        let mut command = job.command();
        if let Some(path) = authorities {
            command.env("SSL_CERT_FILE", path);
        }
        let mut agent = command.stdout(Stdio::null()).spawn().expect("started");
        (agent.wait().expect("ended").code(), job.result().error.unwrap_or_default())
    };
    assert_eq!(run(TlsMode::Disable, None).0, Some(0));
    assert_eq!(run(TlsMode::Prefer, None).0, Some(0));
    if !server.tls {
        let (code, words) = run(TlsMode::Require, None);
        assert_eq!(code, Some(10), "{words}");
        return;
    }
    assert_eq!(run(TlsMode::Require, None).0, Some(0));
    let (code, words) = run(TlsMode::VerifyFull, None);
    assert_eq!(code, Some(10), "{words}");
    assert!(words.contains("certificate"), "{words}");
    let mut trusted = String::new();
    let crt = server.dir.path().join("data/server.crt");
    std::fs::File::open(&crt).and_then(|mut file| file.read_to_string(&mut trusted)).expect("read");
    let (code, words) = run(TlsMode::VerifyFull, Some(&crt));
    assert_eq!(code, Some(0), "{words}");
}
