//! `run` and `dev`: build, then run the server.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

use anyhow::Context;

use crate::command::{root, step};
use crate::{build, setup};

/// Installs, builds, and replaces this process by the server, which gets the signals and sets the exit code.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    setup::for_run()?;
    build::all()?;
    step("Starting Toygres");
    Err(server(args).exec()).context("start the server")
}

/// Runs the server; builds and restarts it when a source file changes. If the build fails, the old server continues.
pub(crate) fn dev(args: &[String]) -> anyhow::Result<()> {
    setup::for_run()?;
    build::all()?;
    let mut running = server(args).spawn().context("start the server")?;
    let mut seen = newest_source();
    loop {
        std::thread::sleep(Duration::from_millis(500));
        if let Some(status) = running.try_wait()? {
            anyhow::bail!("the server stopped: {status}");
        }
        let now = newest_source();
        if now == seen {
            continue;
        }
        seen = now;
        match build::all() {
            Ok(()) => {
                stop(&mut running)?;
                running = server(args).spawn().context("start the server")?;
            }
            Err(error) => step(&format!("{error:#}. The old server continues.")),
        }
    }
}

fn server(args: &[String]) -> Command {
    let mut server = Command::new(build::program("toygres-server"));
    build::site_environment(&mut server);
    server.arg("standalone").args(args);
    // A developer's servers are on this machine.
    if std::env::var_os("TOYGRES_ALLOWED_NETWORKS").is_none() {
        server.env("TOYGRES_ALLOWED_NETWORKS", "127.0.0.0/8,::1/128");
    }
    server
}

/// Sends SIGTERM and waits, so that the server hands over its runs.
fn stop(server: &mut Child) -> anyhow::Result<()> {
    if let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(server.id())?) {
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    }
    server.wait().map(drop).context("wait for the server")
}

fn newest_source() -> Option<SystemTime> {
    fn newest(dir: &std::path::Path) -> Option<SystemTime> {
        let entries = std::fs::read_dir(dir).ok()?.flatten();
        entries
            .filter_map(|entry| {
                let kind = entry.file_type().ok()?;
                if kind.is_dir() { newest(&entry.path()) } else { entry.metadata().ok()?.modified().ok() }
            })
            .max()
    }
    ["app", "server", "crates", "style", "public", "migrations"]
        .iter()
        .filter_map(|dir| newest(&root().join(dir)))
        .max()
}
