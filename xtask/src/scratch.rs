//! A temporary PostgreSQL server for tests.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::{command, packages};

/// A running server in a temporary directory, on a free port. It is stopped and removed when it is dropped.
pub(crate) struct Scratch {
    dir: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
}

impl Scratch {
    /// Creates and starts a server.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let bin = packages::postgres_bin().context("there is no PostgreSQL on this machine")?;
        let dir = tempfile::Builder::new().prefix("toygres-test-").tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        if rustix::process::geteuid().is_root() {
            command::run(Command::new("chown").arg("postgres").arg(dir.path()))?;
        }
        let scratch = Self { dir, bin, port };
        command::output(
            scratch
                .program("initdb")?
                .args(["-A", "trust", "-U", "toygres", "-E", "UTF8"])
                .args(["--locale=C.UTF-8", "--no-sync", "-D"])
                .arg(scratch.data()),
        )?;
        let options = format!(
            "-p {port} -k {} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=300",
            scratch.dir.path().display()
        );
        let log = scratch.dir.path().join("log");
        command::output(
            scratch
                .program("pg_ctl")?
                .arg("-D")
                .arg(scratch.data())
                .arg("-l")
                .arg(log)
                .args(["-w", "-o", &options, "start"]),
        )?;
        Ok(scratch)
    }

    /// Its `DATABASE_URL`.
    pub(crate) fn url(&self) -> String {
        format!("postgres://toygres@127.0.0.1:{}/postgres", self.port)
    }

    /// Its TCP port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A program of its version, run as its user.
    pub(crate) fn program(&self, name: &str) -> anyhow::Result<Command> {
        self.as_its_user(Command::new(self.bin.join(name)))
    }

    /// Makes a command run as the user of the server.
    pub(crate) fn as_its_user(&self, mut command: Command) -> anyhow::Result<Command> {
        command.current_dir("/");
        if rustix::process::geteuid().is_root() {
            let id = |flag| command::output(Command::new("id").args([flag, "postgres"]));
            command.uid(id("-u")?.trim().parse()?).gid(id("-g")?.trim().parse()?);
        }
        Ok(command)
    }

    fn data(&self) -> PathBuf {
        Path::new(self.dir.path()).join("data")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Ok(mut stop) = self.program("pg_ctl") {
            command::succeeds(stop.arg("-D").arg(self.data()).args(["-m", "immediate", "stop"]));
        }
    }
}
