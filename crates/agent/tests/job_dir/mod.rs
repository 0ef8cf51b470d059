//! Job directories for the tests, as the platform creates them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use model::agent::{MAX_RESULT, SECRET_PASSWORD};
use model::{
    AgentEvent, AgentResult, AgentTask, Connection, Failure, Location, NetworkPolicy, TlsMode, Work,
};
use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_toygres-agent");

/// A job directory with a store.
pub(crate) struct JobDir(tempfile::TempDir);

impl JobDir {
    pub(crate) fn new(work: Work, password: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("secrets")).expect("created");
        std::fs::create_dir(dir.path().join("store")).expect("created");
        std::fs::write(dir.path().join("secrets").join(SECRET_PASSWORD), password).expect("written");
        let log = Some(Location { store: url(&dir.path().join("store")), prefix: "images/a/1".into() });
        let run = Uuid::from_u128(rand::random());
        let task = AgentTask { run, step: "Test".into(), attempt: 1, work, log, network: None };
        std::fs::write(dir.path().join("task.json"), serde_json::to_vec(&task).expect("JSON"))
            .expect("written");
        Self(dir)
    }

    /// Limits the addresses that the job may connect to.
    #[allow(dead_code, reason = "not every test file names hosts")]
    pub(crate) fn with_network(self, network: NetworkPolicy) -> Self {
        let path = self.path("task.json");
        let task: AgentTask = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("a task");
        let task = AgentTask { network: Some(network), ..task };
        std::fs::write(path, serde_json::to_vec(&task).expect("JSON")).expect("written");
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(AGENT);
        command.arg("run").arg("--job-dir").arg(self.0.path()).env_clear().stdin(Stdio::null());
        command.stderr(
            std::fs::File::options().create(true).append(true).open(self.path("stderr.log")).expect("opened"),
        );
        command
    }

    pub(crate) fn start(&self) -> Child {
        let events = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("events.jsonl"))
            .expect("opened");
        self.command().stdout(events).spawn().expect("started")
    }

    /// Executes the job and returns the exit code.
    pub(crate) fn run(&self) -> i32 {
        self.start().wait().expect("ended").code().expect("a code")
    }

    pub(crate) fn events(&self) -> Vec<AgentEvent> {
        lines(&std::fs::read_to_string(self.path("events.jsonl")).unwrap_or_default())
    }

    pub(crate) fn result(&self) -> AgentResult {
        let bytes = std::fs::read(self.path("result.json")).expect("a result");
        assert!(bytes.len() <= MAX_RESULT, "{}", bytes.len());
        serde_json::from_slice(&bytes).expect("valid")
    }

    /// The failure that ended the job.
    pub(crate) fn failure(&self) -> Failure {
        self.result().failure.expect("a failure")
    }

    /// The events of all segments of the log, in order.
    pub(crate) fn segments(&self) -> Vec<AgentEvent> {
        let mut text = String::new();
        for k in 0.. {
            match std::fs::read_to_string(self.path(&format!("store/images/a/1/log-{k}.jsonl"))) {
                Ok(more) => text += &more,
                Err(_) => return lines(&text),
            }
        }
        unreachable!("numbers do not end")
    }

    /// The content of all files in the directory without the task and the secrets.
    pub(crate) fn everything(&self) -> String {
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

pub(crate) fn lines(text: &str) -> Vec<AgentEvent> {
    text.split_inclusive('\n')
        .filter(|l| l.ends_with('\n'))
        .map(|l| serde_json::from_str(l).expect("an event"))
        .collect()
}

pub(crate) fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn to(host: &str, port: u16) -> Connection {
    Connection {
        host: host.into(),
        port,
        username: "postgres".into(),
        database: "postgres".into(),
        tls: TlsMode::Prefer,
    }
}

pub(crate) fn probe(target: Connection, dns_seconds: u64) -> Work {
    Work::Probe { target, dns_seconds }
}

/// A job that runs until it is stopped: names below .invalid never resolve.
pub(crate) fn endless() -> Work {
    probe(to("nowhere.invalid", 5432), 3600)
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("exists");
}
