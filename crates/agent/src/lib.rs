//! `toygres-agent`: the program of a job. It backs up, restores, verifies and probes PostgreSQL servers as its task says, and
//! reports events and a result. It knows no Toygres server. The program is [`main`] alone.

mod backup;
mod catalog;
mod cli;
mod confine;
mod connect;
mod connect_error;
mod events;
mod execute;
mod failure;
#[cfg(fuzzing)]
pub mod fuzzing;
mod image_url;
mod isolate;
mod job;
mod job_dir;
mod log_test;
mod probe;
mod probe_store;
mod program_host;
mod programs;
mod progress;
mod queue;
mod redact;
mod restore;
mod result;
mod run;
mod run_as;
mod scratch_server;
mod secret;
mod segments;
mod session;
mod shared_dirs;
mod signals;
mod sql;
mod sqlstate;
mod standalone;
mod stderr;
mod tls;
mod tool_errors;
mod tools;
mod verify;
mod work_dir;

use std::path::PathBuf;

use clap::Parser as _;
use cli::{Cli, Command, RunArgs};
use job_dir::{Claim, JobDir};
use model::{ExitClass, FailureCode};
use run::Files;
use rustix::fs::Mode;
use shared_dirs::SharedDirs;
use stderr::log_stderr;

/// Executes the command line of this process, and returns its exit code.
pub fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    // Images hold password verifiers and data directories hold all data: only their owner may read them.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let code = start(cli);
    std::process::ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Executes a command and returns the exit code.
fn start(cli: Cli) -> i32 {
    // Before there are threads: a restriction applies to the thread that requests it.
    if let Command::Confine(args) = &cli.command {
        return confine::confine(args).code();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4)))
        // The allocator may keep freed memory for each thread.
        .max_blocking_threads(4)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            log_stderr(&format!("cannot start: {error}"));
            return ExitClass::from(FailureCode::Internal).code();
        }
    };
    let code = match cli.command {
        Command::Run(args) => match prepare(&args) {
            Ok((lock, files)) => {
                let class = runtime.block_on(run::from_files(&files));
                // The lock is released last: a free lock means that the result is complete.
                drop(lock);
                class.code()
            }
            Err(class) => class.code(),
        },
        Command::Inspect(args) => runtime.block_on(standalone::inspect(&args)).code(),
        Command::Verify(args) => runtime.block_on(standalone::verify(&args)).code(),
        Command::Restore(args) => runtime.block_on(standalone::restore(&args)).code(),
        Command::Confine(args) => confine::confine(&args).code(),
        Command::Execute(args) => runtime.block_on(execute::serve(args)).code(),
        Command::Relay(args) => runtime.block_on(execute::relay(args)),
    };
    // The result is complete: a DNS lookup that still blocks a thread must not delay the exit.
    runtime.shutdown_background();
    code
}

/// Locks the job's directory, if it has one, and determines the paths of its files.
fn prepare(args: &RunArgs) -> Result<(Option<JobDir>, Files), ExitClass> {
    let lock = match args.job_dir.as_deref().map(JobDir::claim).transpose() {
        Ok(None) => None,
        Ok(Some(Claim::Held(dir))) => {
            // The job outlives the process that started it. It fails for a group leader, which is independent already.
            let _ = rustix::process::setsid();
            Some(dir)
        }
        Ok(Some(Claim::Taken(reason))) => {
            log_stderr(&reason);
            return Err(ExitClass::Ok);
        }
        Err(error) => {
            log_stderr(&format!("{error:#}"));
            return Err(FailureCode::TaskInvalid.into());
        }
    };
    let below = |name: &str| args.job_dir.as_ref().map(|dir| dir.join(name));
    let task: Option<PathBuf> = args.task.clone().or_else(|| below("task.json"));
    let Some(task) = task else {
        log_stderr("no task: set TOYGRES_TASK, or pass --task or --job-dir");
        return Err(FailureCode::TaskInvalid.into());
    };
    let secrets = args.secrets.clone().or_else(|| below("secrets"));
    let result = args.result.clone().or_else(|| below("result.json"));
    let shared = args.server.clone().zip(args.archives.clone());
    let shared = shared.map(|(server, archives)| SharedDirs { server, archives });
    Ok((lock, Files { task, secrets, result, shared }))
}
