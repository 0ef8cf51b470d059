//! `toygres-agent execute` for the tests, with directories as the containers of a pod share them.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use model::agent::{ENV_ARCHIVES, ENV_SERVER, Location, Work};
use model::{Failure, ImageId};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use uuid::Uuid;

use super::programs::{short_dir, unprivileged};
use super::workspace::{AGENT, Agent};
use super::{PASSWORD, Server, Workspace};

/// A running `toygres-agent execute`. It is stopped when dropped.
pub(crate) struct Executor {
    pub(crate) dir: tempfile::TempDir,
    child: Child,
}

impl Executor {
    /// Starts it as the user of the servers. Its programs have the variable TZ.
    pub(crate) fn start(time_zone: &str) -> Self {
        Self::start_command(unprivileged(AGENT), time_zone)
    }

    /// Starts it as the user of this process.
    pub(crate) fn start_as_tester() -> Self {
        Self::start_command(Command::new(AGENT), "UTC")
    }

    fn start_command(mut command: Command, time_zone: &str) -> Self {
        let dir = short_dir();
        for name in ["server", "archives", "volume"] {
            // Not this process' user: the user of the servers.
            let made = unprivileged("/bin/mkdir").arg(dir.path().join(name)).status().unwrap();
            assert!(made.success());
        }
        let at = |name: &str| dir.path().join(name);
        let child = command
            .args(["execute", "--socket"])
            .arg(at("server/control"))
            .arg("--read")
            .arg(at("archives"))
            .arg("--write")
            .arg(at("server"))
            .arg("--write")
            .arg(at("volume"))
            .env("TZ", time_zone)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { dir, child }
    }

    /// The directory in which instances are restored.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("volume/restored")
    }

    /// Backs up a server, and makes the user of the servers the owner of the image.
    pub(crate) fn backed_up(&self, workspace: &Workspace, source: &Server) -> ImageId {
        let image = ImageId::new();
        workspace.run(workspace.backup(source, image)).succeeded();
        let mut chown = Command::new("chown");
        chown.arg("-R").arg(format!("--reference={}", workspace.dir.path().display())).arg(workspace.store());
        assert!(chown.status().unwrap().success());
        image
    }

    /// Starts an agent that restores an image and runs the programs here.
    pub(crate) fn restore(&self, workspace: &Workspace, run: Uuid, image: ImageId) -> Agent {
        let mut agent = unprivileged(AGENT);
        agent.env(ENV_SERVER, self.dir.path().join("server"));
        agent.env(ENV_ARCHIVES, self.dir.path().join("archives"));
        let Location { store, prefix } = workspace.image(image);
        let work = Work::Restore {
            from: Location { store, prefix },
            manifest_sha256: None,
            data_dir: self.data_dir().to_str().unwrap().to_owned(),
            superuser: "postgres".to_owned(),
            preload: None,
            streams: 2,
            bin_dir: None,
            fixed_clients: false,
        };
        workspace.start_command(agent, run, work, PASSWORD)
    }

    /// What is in the shared directories and in the volume, except the socket.
    pub(crate) fn left(&self) -> Vec<PathBuf> {
        let all = ["server", "archives", "volume"].map(|name| std::fs::read_dir(self.dir.path().join(name)));
        let all = all.into_iter().flat_map(|entries| entries.unwrap().map(|entry| entry.unwrap().path()));
        all.filter(|path| !path.ends_with("control")).collect()
    }

    /// Connects to the socket as soon as it exists.
    pub(crate) fn connect(&self) -> Connection {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match UnixStream::connect(self.dir.path().join("server/control")) {
                Ok(stream) => return Connection(stream),
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let ended = self.child.wait().unwrap();
        if !std::thread::panicking() {
            assert_eq!(ended.code(), Some(0), "stopped by SIGTERM");
        }
    }
}

/// A connection that sends any bytes.
pub(crate) struct Connection(UnixStream);

impl Connection {
    /// Sends bytes. The other side may have closed the connection.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    pub(crate) fn send_frame(&mut self, kind: u8, content: &[u8]) {
        let length = u32::try_from(content.len() + 1).unwrap();
        self.send(&[&length.to_be_bytes()[..], &[kind], content].concat());
    }

    /// Requests a program with these arguments and one environment variable.
    pub(crate) fn request(&mut self, program: &str, arguments: &[&str], variable: &str) {
        let environment = json!({variable: "x"});
        let request =
            json!({"program": program, "major": 1, "arguments": arguments, "environment": environment});
        self.send_frame(0, request.to_string().as_bytes());
    }

    /// The next frame: its kind and its content.
    pub(crate) fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.0.read_exact(&mut frame).unwrap();
        (frame[0], frame.split_off(1))
    }

    /// Asserts that the rest is a refusal, and returns it.
    pub(crate) fn refusal(mut self) -> Failure {
        let (kind, content) = self.receive();
        assert_eq!(kind, 8, "{}", String::from_utf8_lossy(&content));
        // The end, or a reset because the other side did not read everything.
        assert!(self.0.read(&mut [0]).unwrap_or_default() == 0);
        serde_json::from_slice(&content).unwrap()
    }
}
