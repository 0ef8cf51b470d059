//! Executes one task: reads it, does its work, and reports how it ended.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use anyhow::Result;
use futures::FutureExt as _;
use image::Store;
use model::{AgentResult, AgentTask, ExitClass, Failure, FailureCode, Level, Location, Outcome, Work};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::backup::{self, BackupTask};
use crate::events::{Events, OutputMode};
use crate::failure::{fail, failure_of, outcome_of};
use crate::job::Job;
use crate::redact::Redactor;
use crate::restore::{self, RestoreTask};
use crate::secret::Secrets;
use crate::segments::Segments;
use crate::shared_dirs::SharedDirs;
use crate::signals::cancelled_by_signals;
use crate::stderr::log_stderr;
use crate::{log_test, probe, probe_store, result, verify};

/// The paths of a task's files.
pub(crate) struct Files {
    pub(crate) task: PathBuf,
    pub(crate) secrets: Option<PathBuf>,
    pub(crate) result: Option<PathBuf>,
    /// The directories for programs in another container; none if the agent runs all programs itself.
    pub(crate) shared: Option<SharedDirs>,
}

/// Executes the task in a file and writes its result.
pub(crate) async fn from_files(files: &Files) -> ExitClass {
    // Registered first, so that a job that is stopped early ends as cancelled too.
    let cancel = cancelled_by_signals();
    // The job outlives the terminal that it was started from.
    let _hangup = signal(SignalKind::hangup());
    let result = match read(files) {
        Ok((task, secrets)) => execute(&task, secrets, files.shared.clone(), OutputMode::Json, cancel).await,
        Err(error) => {
            let events = Events::new(OutputMode::Json, Segments::none());
            events.result(failed(&error, FailureCode::TaskInvalid, &Redactor::default()))
        }
    };
    if let Some(path) = &files.result
        && let Err(error) = result::write(path, &result)
    {
        log_stderr(&format!("cannot write the result to {}: {error}", path.display()));
    }
    result.class()
}

fn read(files: &Files) -> Result<(AgentTask, Secrets)> {
    let path = files.task.display();
    let invalid = |reason: String| Failure::new(FailureCode::TaskInvalid, reason).on(path.to_string());
    let text =
        std::fs::read(&files.task).map_err(|error| invalid(format!("cannot read the task: {error}")))?;
    let task =
        serde_json::from_slice(&text).map_err(|error| invalid(format!("the task is invalid: {error}")))?;
    let secrets = files.secrets.as_deref().map(Secrets::read).transpose()?.unwrap_or_default();
    Ok((task, secrets))
}

/// Executes a task and emits its result, however it ends.
pub(crate) async fn execute(
    task: &AgentTask,
    secrets: Secrets,
    shared: Option<SharedDirs>,
    mode: OutputMode,
    cancel: CancellationToken,
) -> AgentResult {
    let segments = open_log(task, &secrets);
    let events = Events::new(mode, segments);
    let job = Job::new(events.clone(), task.run, secrets, task.network.clone(), shared, cancel);
    let done = match AssertUnwindSafe(dispatch(&job, &task.work)).catch_unwind().await {
        Ok(done) => done,
        Err(panic) => Err(panicked(panic.as_ref(), job.redactor())),
    };
    let result = match done {
        Ok(outcome) => AgentResult { failure: None, events: 0, outcome: Some(outcome) },
        Err(error) => failed(&error, unspecific_code(&task.work), job.redactor()),
    };
    if let Some(failure) = &result.failure {
        let level = if failure.code == FailureCode::Cancelled { Level::Warn } else { Level::Error };
        job.log(level, failure.to_string());
    }
    let result = events.result(result);
    events.flush().await;
    result
}

/// Starts to write the log to the task's store. Without a usable store, the log goes to standard output only.
fn open_log(task: &AgentTask, secrets: &Secrets) -> Segments {
    let Some(log) = &task.log else { return Segments::none() };
    // Only a backup creates the store's directory: where the store is not mounted, a directory must not take its place.
    let open = if matches!(task.work, Work::Backup { .. }) { Store::open } else { Store::existing };
    match open(&log.store, &secrets.store) {
        Ok(store) => Segments::start(store, log.prefix.clone(), secrets.redactor()),
        Err(error) => {
            let error = secrets.redactor().clean(&error.to_string());
            log_stderr(&format!("the log is written to standard output only: {error}"));
            Segments::none()
        }
    }
}

async fn dispatch(job: &Job, work: &Work) -> Result<Outcome> {
    match work.clone() {
        Work::Backup {
            image,
            to,
            source,
            image_type,
            databases,
            streams,
            bin_dir,
            fixed_clients,
            previous,
        } => {
            let store = Store::open(&to.store, job.store_options())?;
            // The platform may start a job twice. Where another process writes, nothing is discarded either.
            or_cancelled(job, async { Ok(store.claim(&to.prefix).await?) }).await?;
            let task = BackupTask {
                image,
                to: to.clone(),
                source,
                image_type,
                databases,
                streams,
                bin_dir,
                fixed_clients,
                previous,
            };
            let done = or_cancelled(job, backup::backup(job, &task, &store)).await;
            if done.is_err() {
                discard(job, &store, &to).await;
            }
            done
        }
        Work::Restore {
            from,
            manifest_sha256,
            data_dir,
            superuser,
            preload,
            streams,
            bin_dir,
            fixed_clients,
        } => {
            let store = Store::existing(&from.store, job.store_options())?;
            let task = RestoreTask {
                from,
                manifest_sha256,
                data_dir,
                superuser,
                preload,
                streams,
                bin_dir,
                fixed_clients,
            };
            restore::restore(job, &task, store).await
        }
        Work::Verify { from, manifest_sha256 } => {
            or_cancelled(job, verify::verify(job, &from, manifest_sha256.as_deref())).await
        }
        Work::Probe { target, dns_seconds } => {
            or_cancelled(job, probe::probe(job, &target, dns_seconds)).await
        }
        Work::EmitLines { lines } => or_cancelled(job, log_test::emit_lines(job, lines)).await,
        Work::ProbeStore { store } => or_cancelled(job, probe_store::probe(job, &store)).await,
    }
}

/// The code of an error of PostgreSQL that has none of its own.
fn unspecific_code(work: &Work) -> FailureCode {
    match work {
        Work::Backup { .. } => FailureCode::DumpFailed,
        Work::Restore { .. } => FailureCode::RestoreFailed,
        Work::Verify { .. } | Work::Probe { .. } | Work::EmitLines { .. } | Work::ProbeStore { .. } => {
            FailureCode::Other
        }
    }
}

/// Does the work until it is done or the job is cancelled. Work that is dropped kills its programs and aborts its uploads.
async fn or_cancelled<T>(job: &Job, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        done = work => done,
        cancelled = job.cancelled() => Err(cancelled),
    }
}

/// Deletes the objects of a backup that did not complete.
async fn discard(job: &Job, store: &Store, at: &Location) {
    store.settle().await;
    if let Err(error) = store.discard(&at.prefix).await {
        job.warn(&anyhow::Error::from(error).context("cannot delete the objects of the incomplete backup"));
    }
}

fn failed(error: &anyhow::Error, unspecific: FailureCode, redactor: &Redactor) -> AgentResult {
    let failure = failure_of(error, unspecific, redactor);
    AgentResult { failure: Some(failure), events: 0, outcome: outcome_of(error) }
}

fn panicked(panic: &(dyn std::any::Any + Send), redactor: &Redactor) -> anyhow::Error {
    let message = panic.downcast_ref::<&str>().map(|message| (*message).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    fail(FailureCode::Internal, format!("the agent panicked: {}", redactor.clean(&message)))
}
