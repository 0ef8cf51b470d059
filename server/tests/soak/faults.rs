//! The injected faults.

use std::path::Path;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;
use rustix::process::{Pid, Signal, kill_process};

use crate::toygres::{Toygres, psql};

/// Injects random faults until a time. With `ends_server`, they end and restart the server, too.
pub(crate) async fn inject(toygres: &mut Toygres, rng: &mut StdRng, until: Instant, ends_server: bool) {
    while Instant::now() < until {
        let pause = Duration::from_millis(rng.random_range(500..5000));
        tokio::time::sleep_until((Instant::now() + pause).min(until).into()).await;
        if ends_server && rng.random_bool(0.3) {
            end_and_start(toygres, rng).await;
        } else {
            match rng.random_range(0..4) {
                0 => signal_job(toygres, rng, &[Signal::KILL]).await,
                // Longer than the lease of a job's log.
                1 => signal_job(toygres, rng, &[Signal::STOP, Signal::CONT]).await,
                2 => crash_instance(toygres, rng),
                _ => drop_connections(toygres),
            }
        }
    }
}

async fn end_and_start(toygres: &mut Toygres, rng: &mut StdRng) {
    if rng.random_bool(0.7) {
        println!("kill the server");
        toygres.kill();
    } else {
        println!("stop the server");
        assert!(toygres.stop().success(), "{}", toygres.log());
    }
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..3000))).await;
    // It starts in a thread of its own: the users go on.
    tokio::task::block_in_place(|| toygres.start_again(super::quiet));
}

/// Sends signals to a random job, with a pause between them.
async fn signal_job(toygres: &Toygres, rng: &mut StdRng, signals: &[Signal]) {
    let jobs = jobs(&toygres.dir.path().join("data"));
    if jobs.is_empty() {
        return;
    }
    let job = jobs[rng.random_range(0..jobs.len())];
    println!("{signals:?} to the job with the process {job:?}");
    for signal in signals {
        // It may have ended.
        let _ = kill_process(job, *signal);
        if *signal == Signal::STOP {
            tokio::time::sleep(Duration::from_secs(rng.random_range(1..40))).await;
        }
    }
}

/// The processes of the agents that run jobs of a data directory.
pub(crate) fn jobs(data: &Path) -> Vec<Pid> {
    let data = data.display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let command_line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command_line = String::from_utf8_lossy(&command_line).into_owned();
        let mut arguments = command_line.split('\0');
        arguments.next().is_some_and(|program| program.starts_with(&data)) && arguments.next() == Some("run")
    })
    .filter_map(Pid::from_raw)
    .collect()
}

/// Kills the PostgreSQL server of a random instance.
fn crash_instance(toygres: &Toygres, rng: &mut StdRng) {
    let instances =
        std::fs::read_dir(toygres.dir.path().join("data/instances")).into_iter().flatten().flatten();
    let pids: Vec<Pid> = instances
        .filter_map(|entry| {
            let file = std::fs::read_to_string(entry.path().join("data/postmaster.pid")).ok()?;
            // The single-user server of initdb writes a negative number.
            Pid::from_raw(file.lines().next()?.parse::<i32>().ok()?.max(0))
        })
        .collect();
    if !pids.is_empty() {
        let pid = pids[rng.random_range(0..pids.len())];
        println!("kill the server of an instance, process {pid:?}");
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Ends all connections to the state database.
fn drop_connections(toygres: &Toygres) {
    println!("end all connections to the state database");
    psql(
        "postgres",
        &format!(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '{}'",
            toygres.database
        ),
    );
}
