//! A PostgreSQL of the tests' own: a temporary directory, a free port, ended with the tests. It knows no schema.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::command;
use crate::setup;

/// A running server, stopped and removed when dropped.
pub(crate) struct Scratch {
    dir: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
}

impl Scratch {
    /// Makes and starts it.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let bin = setup::postgres_bin().context("no PostgreSQL on this machine")?;
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

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A program of its version, as the user that it runs as.
    pub(crate) fn program(&self, name: &str) -> anyhow::Result<Command> {
        self.as_its_user(Command::new(self.bin.join(name)))
    }

    /// A command as the user that the server runs as.
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
