//! Scratch servers and agents for the tests: real PostgreSQL on a socket, the real program. It knows no test.
#![expect(clippy::unwrap_used, reason = "a test's scaffold fails loudly")]
#![expect(dead_code, reason = "each test file uses its own part")]

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use model::agent::{Connection, ENV_RESULT, ENV_SECRETS, ENV_TASK, Location, SECRET_PASSWORD, Work};
use model::{AgentEvent, AgentResult, AgentTask, ExitClass, ImageId, ImageType, TlsMode};
use uuid::Uuid;

/// A password that every layer has to quote.
pub(crate) const PASSWORD: &str = r#"p:a\s's "w$(id)"#;

/// Where PostgreSQL's programs are.
pub(crate) fn bin() -> PathBuf {
    let mut dirs: Vec<PathBuf> =
        std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|e| e.unwrap().path().join("bin")).collect();
    dirs.sort();
    dirs.pop().unwrap()
}

/// A command that PostgreSQL's server programs accept: not root's.
pub(crate) fn unprivileged(program: &str) -> Command {
    let mut command = Command::new(bin().join(program));
    if let Some((uid, gid)) = server_user() {
        command.uid(uid).gid(gid);
    }
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir("/");
    command
}

fn server_user() -> Option<(u32, u32)> {
    let me = std::fs::metadata("/proc/self").unwrap().uid();
    if me != 0 {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|l| l.starts_with("postgres:")).unwrap();
    let mut fields = line.split(':').skip(2).map(|f| f.parse().unwrap());
    Some((fields.next().unwrap(), fields.next().unwrap()))
}

/// A directory that is short enough for sockets, belongs to the server's user and goes when dropped.
pub(crate) fn short_dir() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("tga").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    if let Some((uid, gid)) = server_user() {
        std::os::unix::fs::chown(dir.path(), Some(uid), Some(gid)).unwrap();
    }
    dir
}

/// A server of the test's own.
pub(crate) struct Cluster {
    dir: tempfile::TempDir,
    data: PathBuf,
    user: String,
    password: String,
    server: Option<Child>,
}

impl Cluster {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let dir = short_dir();
        let data = dir.path().join("data");
        let password = dir.path().join("pw");
        std::fs::write(&password, PASSWORD).unwrap();
        let made = unprivileged("initdb")
            .args([
                "-D",
                data.to_str().unwrap(),
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-N",
                "-A",
                "scram-sha-256",
            ])
            .arg(format!("--pwfile={}", password.display()))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made));
        let mut cluster =
            Self { dir, data, user: "postgres".into(), password: PASSWORD.into(), server: None };
        cluster.start();
        cluster
    }

    /// One on a data directory that is there already, with a socket directory of its own.
    pub(crate) fn on(data: &Path) -> Self {
        Self::on_as(data, "postgres", PASSWORD)
    }

    /// The same, asked as somebody else.
    pub(crate) fn on_as(data: &Path, user: &str, password: &str) -> Self {
        let mut cluster = Self {
            dir: short_dir(),
            data: data.to_owned(),
            user: user.into(),
            password: password.into(),
            server: None,
        };
        cluster.start();
        cluster
    }

    pub(crate) fn start(&mut self) {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let mut command = unprivileged("postgres");
        command.args([
            "-D",
            self.data.to_str().unwrap(),
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "max_wal_size=4GB",
        ]);
        command.args([
            "-c",
            "max_locks_per_transaction=256",
            "-c",
            &format!("unix_socket_directories={}", self.socket()),
        ]);
        self.server = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.try_psql("template1", "select 1").status.success() {
            assert!(
                Instant::now() < deadline,
                "{}",
                std::fs::read_to_string(self.dir.path().join("log")).unwrap()
            );
            assert!(
                self.server.as_mut().unwrap().try_wait().unwrap().is_none(),
                "{}",
                std::fs::read_to_string(self.dir.path().join("log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Adds lines to its configuration, which count from the next start.
    pub(crate) fn configure(&self, lines: &str) {
        let path = self.data.join("postgresql.auto.conf");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{before}\n{lines}\n")).unwrap();
    }

    /// Stops it at once, clients and all.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let pid = rustix::process::Pid::from_child(&server);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
            server.wait().unwrap();
        }
    }

    pub(crate) fn socket(&self) -> String {
        self.dir.path().to_str().unwrap().to_owned()
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection {
            host: self.socket(),
            port: 5432,
            username: "postgres".into(),
            database: "postgres".into(),
            tls: TlsMode::Disable,
        }
    }

    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(bin().join(program));
        command.env_clear().envs([
            ("PATH", "/usr/bin:/bin"),
            ("LC_ALL", "C.UTF-8"),
            ("PGUSER", &self.user),
            ("PGPASSWORD", &self.password),
        ]);
        command
            .env("PGHOST", self.socket())
            .env("PGPORT", "5432")
            .env("PGDATABASE", "postgres")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn try_psql(&self, database: &str, sql: &str) -> Output {
        self.client("psql")
            .env("PGDATABASE", database)
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .output()
            .unwrap()
    }

    /// Runs statements and gives their output.
    pub(crate) fn psql(&self, database: &str, sql: &str) -> String {
        let output = self.try_psql(database, sql);
        assert!(output.status.success(), "{sql}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Loads a file.
    pub(crate) fn load(&self, file: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
        let output = self
            .client("psql")
            .args(["-X", "-q", "-o", "/dev/null", "-f", path.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }

    /// The sorted lines of pg_dumpall.
    pub(crate) fn dumpall(&self) -> Vec<String> {
        let output = self.client("pg_dumpall").env("PGCLIENTENCODING", "SQL_ASCII").output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let mut lines: Vec<String> = output
            .stdout
            .split(|b| *b == b'\n')
            .filter(|l| !l.starts_with(b"\\restrict") && !l.starts_with(b"\\unrestrict"))
            .map(|l| String::from_utf8_lossy(l).into_owned())
            .collect();
        lines.sort_unstable();
        lines
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
    }
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Asserts that two sorted dumps are the same, showing what is not.
pub(crate) fn assert_same(left: &[String], right: &[String]) {
    let only = |a: &[String], b: &[String]| -> Vec<String> {
        let mut counts = std::collections::HashMap::new();
        b.iter().for_each(|l| *counts.entry(l.clone()).or_insert(0) += 1);
        a.iter()
            .filter(|l| {
                let n = counts.entry((*l).clone()).or_insert(0);
                *n -= 1;
                *n < 0
            })
            .map(|l| l.chars().take(200).collect())
            .take(20)
            .collect()
    };
    assert!(
        left == right,
        "only at the source: {:#?}\nonly restored: {:#?}",
        only(left, right),
        only(right, left)
    );
}

/// A directory with a store, tasks and results in it.
pub(crate) struct Desk {
    pub(crate) dir: tempfile::TempDir,
}

/// An agent at work.
pub(crate) struct Agent {
    child: Child,
    result: PathBuf,
    events: PathBuf,
    _secrets: tempfile::TempDir,
}

/// How an agent ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) result: Option<AgentResult>,
    pub(crate) events: Vec<AgentEvent>,
    pub(crate) output: String,
}

impl Ended {
    pub(crate) fn expect(self, class: ExitClass) -> Self {
        assert_eq!(self.code, Some(class.code()), "{:?}\n{}", self.result, self.output);
        self
    }

    pub(crate) fn error(&self) -> &str {
        self.result.as_ref().and_then(|r| r.error.as_deref()).unwrap_or_default()
    }
}

impl Desk {
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

    /// A backup of everything.
    pub(crate) fn backup(&self, source: &Cluster, image: ImageId) -> Work {
        Work::Backup {
            image,
            to: self.image(image),
            source: source.connection(),
            image_type: ImageType::Stock,
            databases: Vec::new(),
            streams: 2,
            bin_dir: None,
        }
    }

    pub(crate) fn restore(&self, image: ImageId) -> Work {
        Work::Restore {
            from: self.image(image),
            data_dir: self.data_dir().to_str().unwrap().into(),
            superuser: "postgres".into(),
            streams: 2,
            bin_dir: None,
        }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("restored")
    }

    /// Starts the agent with a task of its own run.
    pub(crate) fn start(&self, work: Work) -> Agent {
        self.start_as(Uuid::from_u128(rand::random()), work, PASSWORD)
    }

    pub(crate) fn start_as(&self, run: Uuid, work: Work, password: &str) -> Agent {
        let task = AgentTask { run, step: "Test".into(), attempt: 1, work, log: None };
        let secrets = tempfile::tempdir().unwrap();
        std::fs::write(secrets.path().join(SECRET_PASSWORD), password).unwrap();
        let file = secrets.path().join("task.json");
        std::fs::write(&file, serde_json::to_vec(&task).unwrap()).unwrap();
        let (result, events) = (secrets.path().join("result.json"), secrets.path().join("events"));
        let child = Command::new(env!("CARGO_BIN_EXE_toygres-agent"))
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
    pub(crate) fn round_trip(&self, source: &Cluster) -> Cluster {
        let image = ImageId::new();
        self.run(self.backup(source, image)).expect(ExitClass::Ok);
        self.run(self.restore(image)).expect(ExitClass::Ok);
        Cluster::on(&self.data_dir())
    }

    /// What is in the directory of the store, the log aside.
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

    /// Its events so far.
    pub(crate) fn events(&self) -> Vec<AgentEvent> {
        let text = std::fs::read_to_string(&self.events).unwrap();
        text.split_inclusive('\n')
            .filter(|l| l.ends_with('\n'))
            .filter_map(|l| serde_json::from_str(l).ok())
            .collect()
    }

    /// Waits for an event; panics if the agent ends without.
    pub(crate) fn until(&mut self, what: impl Fn(&AgentEvent) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !self.events().iter().any(&what) {
            assert!(Instant::now() < deadline, "the event never came");
            assert!(
                self.child.try_wait().unwrap().is_none() || self.events().iter().any(&what),
                "the agent ended before: {:?}",
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

/// Processes whose command line or environment-free title mentions `what`.
pub(crate) fn processes_with(what: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(bytes) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        if line.contains(what) {
            found.push(line);
        }
    }
    found
}
