//! `run` and `dev`: builds, then hands the terminal to the server. It knows nothing of what the server does.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

use anyhow::Context;

use crate::command::{root, say};
use crate::{build, setup};

/// Sets up, builds and becomes the server: signals and the exit code are its own.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    setup::for_run()?;
    build::all()?;
    say("Starting Toygres");
    Err(server(args).exec()).context("start the server")
}

/// Serves, and builds and restarts when a source file changes; a build that fails leaves the old server running.
pub(crate) fn dev(args: &[String]) -> anyhow::Result<()> {
    setup::for_run()?;
    build::all()?;
    let mut running = server(args).spawn().context("start the server")?;
    let mut seen = newest_source();
    loop {
        std::thread::sleep(Duration::from_millis(500));
        if let Some(status) = running.try_wait()? {
            anyhow::bail!("the server ended with {status}");
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
            Err(error) => say(&format!("{error:#}; the old server goes on")),
        }
    }
}

fn server(args: &[String]) -> Command {
    let mut server = Command::new(build::program("toygres-server"));
    build::site_environment(&mut server);
    server.arg("standalone").args(args);
    server
}

/// SIGTERM, so that runs are handed over in good order.
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
