//! `toygres-agent`: the program inside a job. It copies PostgreSQL servers into images, restores, verifies and probes; it
//! knows no Toygres server, only the task that it is given.

mod alone;
mod backup;
mod catalog;
mod cli;
mod connect;
mod events;
mod failure;
mod job;
mod job_dir;
mod private;
mod probe;
mod probe_store;
mod programs;
mod restore;
mod result;
mod run;
mod run_as;
mod secret;
mod segments;
mod talk;
mod tls;
mod tools;
mod verify;
mod work_dir;

use std::path::PathBuf;

use clap::Parser as _;
use cli::{Cli, Command, RunArgs};
use job_dir::{JobDir, Taken};
use model::ExitClass;
use run::{Files, complain};
use rustix::fs::Mode;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    // Images hold password verifiers, data directories everything: both are for their owner alone.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let code = start(&cli).code();
    std::process::ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn start(cli: &Cli) -> ExitClass {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4)))
        // Each may keep some freed memory to itself.
        .max_blocking_threads(4)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return ExitClass::Transient;
        }
    };
    let class = match &cli.command {
        Command::Run(args) => match begin(args) {
            Ok((held, files)) => {
                let class = runtime.block_on(run::from_files(&files));
                // The lock goes last: whoever finds it free finds the result.
                drop(held);
                class
            }
            Err(class) => class,
        },
        Command::Inspect(args) => runtime.block_on(alone::inspect(args)),
        Command::Verify(args) => runtime.block_on(alone::verify(args)),
        Command::Restore(args) => runtime.block_on(alone::restore(args)),
    };
    // All that counts was waited for: a name that is still being resolved does not keep us.
    runtime.shutdown_background();
    class
}

/// Takes the job's directory, if it has one, and finds its files.
fn begin(args: &RunArgs) -> Result<(Option<JobDir>, Files), ExitClass> {
    let held = match args.job_dir.as_deref().map(JobDir::take).transpose() {
        Ok(None) => None,
        Ok(Some(Taken::Ours(dir))) => {
            // The job outlives whoever started it; where we lead a group already, we are free of it already.
            let _ = rustix::process::setsid();
            Some(dir)
        }
        Ok(Some(Taken::Another(words))) => {
            complain(&words);
            return Err(ExitClass::Ok);
        }
        Err(error) => {
            complain(&failure::sentence(&error));
            return Err(ExitClass::Configuration);
        }
    };
    let below = |name: &str| args.job_dir.as_ref().map(|dir| dir.join(name));
    let task: Option<PathBuf> = args.task.clone().or_else(|| below("task.json"));
    let Some(task) = task else {
        complain("there is no task: set TOYGRES_TASK, or give --task or --job-dir");
        return Err(ExitClass::Configuration);
    };
    let secrets = args.secrets.clone().or_else(|| below("secrets"));
    let result = args.result.clone().or_else(|| below("result.json"));
    Ok((held, Files { task, secrets, result }))
}
