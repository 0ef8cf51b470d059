//! Agents for the tests: tasks, results and events in directories of their own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use model::agent::{ENV_RESULT, ENV_SECRETS, ENV_TASK, Location, SECRET_PASSWORD, Work};
use model::{
    AgentEvent, AgentResult, AgentTask, ExitClass, Failure, FailureCode, ImageId, ImageType, Outcome,
};
use uuid::Uuid;

use super::PASSWORD;
use super::programs::short_dir;
use super::server::Server;

pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_toygres-agent");

/// A directory with a store and a restored data directory.
pub(crate) struct Workspace {
    pub(crate) dir: tempfile::TempDir,
}

/// A running agent.
pub(crate) struct Agent {
    child: Child,
    result: PathBuf,
    events: PathBuf,
    _secrets: tempfile::TempDir,
}

/// The end of an agent.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) result: Option<AgentResult>,
    pub(crate) events: Vec<AgentEvent>,
    pub(crate) output: String,
}

impl Ended {
    /// Asserts that the agent succeeded.
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{:?}\n{}", self.result, self.output);
        self
    }

    /// Asserts that the agent failed with this code, and returns the failure.
    pub(crate) fn expect_failure(&self, code: FailureCode) -> &Failure {
        let failure = self.result.as_ref().and_then(|result| result.failure.as_ref()).expect("a failure");
        assert_eq!(failure.code, code, "{failure:?}\n{}", self.output);
        assert_eq!(self.code, Some(ExitClass::from(code).code()));
        failure
    }

    /// The outcome of the task.
    pub(crate) fn outcome(&self) -> Outcome {
        self.result.clone().and_then(|result| result.outcome).expect("an outcome")
    }
}

impl Workspace {
    pub(crate) fn new() -> Self {
        Self { dir: short_dir() }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub(crate) fn image(&self, image: ImageId) -> Location {
        std::fs::create_dir_all(self.store()).unwrap();
        Location { store: format!("file://{}", self.store().display()), prefix: format!("images/{image}/1") }
    }

    /// A backup of all databases.
    pub(crate) fn backup(&self, source: &Server, image: ImageId) -> Work {
        Work::Backup {
            image,
            to: self.image(image),
            source: source.connection(),
            image_type: ImageType::Stock,
            databases: Vec::new(),
            streams: 2,
            bin_dir: None,
            fixed_clients: false,
            previous: None,
        }
    }

    pub(crate) fn restore(&self, image: ImageId) -> Work {
        Work::Restore {
            from: self.image(image),
            manifest_sha256: None,
            data_dir: self.data_dir().to_str().unwrap().into(),
            superuser: "postgres".into(),
            preload: None,
            streams: 2,
            bin_dir: None,
            fixed_clients: false,
        }
    }

    pub(crate) fn verify(&self, image: ImageId) -> Work {
        Work::Verify { from: self.image(image), manifest_sha256: None }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("restored")
    }

    /// Starts an agent for a task of a new run.
    pub(crate) fn start(&self, work: Work) -> Agent {
        self.start_as(Uuid::from_u128(rand::random()), work, PASSWORD)
    }

    pub(crate) fn start_as(&self, run: Uuid, work: Work, password: &str) -> Agent {
        self.start_command(Command::new(AGENT), run, work, password)
    }

    /// Starts an agent that cannot allocate more than 4 GB of memory.
    pub(crate) fn start_limited(&self, work: Work) -> Agent {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v 4000000 && exec \"$0\" \"$@\"", AGENT]);
        self.start_command(command, Uuid::from_u128(rand::random()), work, PASSWORD)
    }

    /// Starts an agent with this command.
    pub(crate) fn start_command(&self, mut command: Command, run: Uuid, work: Work, password: &str) -> Agent {
        let task = AgentTask { run, step: "Test".into(), attempt: 1, work, log: None, network: None };
        let secrets = short_dir();
        std::fs::write(secrets.path().join(SECRET_PASSWORD), password).unwrap();
        let file = secrets.path().join("task.json");
        std::fs::write(&file, serde_json::to_vec(&task).unwrap()).unwrap();
        let (result, events) = (secrets.path().join("result.json"), secrets.path().join("events"));
        let child = command
            .arg("run")
            .env(ENV_TASK, &file)
            .env(ENV_SECRETS, secrets.path())
            .env(ENV_RESULT, &result)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&events).unwrap())
            .stderr(std::fs::File::create(secrets.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        Agent { child, result, events, _secrets: secrets }
    }

    pub(crate) fn run(&self, work: Work) -> Ended {
        self.start(work).wait()
    }

    /// Backs up, restores, and starts the restored server.
    pub(crate) fn round_trip(&self, source: &Server) -> Server {
        let image = ImageId::new();
        self.run(self.backup(source, image)).succeeded();
        self.run(self.restore(image)).succeeded();
        Server::on(&self.data_dir())
    }

    /// The objects in the store without the log.
    pub(crate) fn objects(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut todo = vec![self.store()];
        while let Some(dir) = todo.pop() {
            for entry in std::fs::read_dir(dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    todo.push(path);
                } else if !path.file_name().unwrap().to_str().unwrap().starts_with("log-") {
                    found.push(path.strip_prefix(self.store()).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

impl Agent {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The events until now.
    pub(crate) fn events(&self) -> Vec<AgentEvent> {
        let text = std::fs::read_to_string(&self.events).unwrap();
        text.split_inclusive('\n')
            .filter(|l| l.ends_with('\n'))
            .filter_map(|l| serde_json::from_str(l).ok())
            .collect()
    }

    /// Waits for an event; panics if the agent ends without it.
    pub(crate) fn until(&mut self, what: impl Fn(&AgentEvent) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !self.events().iter().any(&what) {
            assert!(Instant::now() < deadline, "the event did not occur");
            assert!(
                self.child.try_wait().unwrap().is_none() || self.events().iter().any(&what),
                "the agent ended before the event: {:?}",
                self.events()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn wait(mut self) -> Ended {
        let status = self.child.wait().unwrap();
        let result = std::fs::read(&self.result).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let stderr = std::fs::read_to_string(self.events.with_file_name("stderr")).unwrap_or_default();
        let events = self.events();
        let output = format!("{}\n{stderr}", std::fs::read_to_string(&self.events).unwrap());
        Ended { code: status.code(), result, events, output }
    }
}
