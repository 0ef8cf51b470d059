//! Does one task from beginning to end: reads it, does it, says how it ended. It knows no command line.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use futures::FutureExt as _;
use image::Store;
use model::{AgentResult, AgentTask, ExitClass, Level, Location, Outcome, Work};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::backup::{self, Backup};
use crate::events::{Events, Show};
use crate::failure::{class_of, fail, outcome_of, sentence};
use crate::job::Job;
use crate::restore::{self, Restore};
use crate::secret::{Redactor, Secrets};
use crate::segments::Segments;
use crate::{probe, probe_store, result, talk, verify};

/// Where a task's files are.
pub(crate) struct Files {
    pub(crate) task: PathBuf,
    pub(crate) secrets: Option<PathBuf>,
    pub(crate) result: Option<PathBuf>,
}

/// Does the task in a file and writes its result.
pub(crate) async fn from_files(files: &Files) -> ExitClass {
    // Before anything else: a stop that comes now is one that the job ends well from.
    let cancel = cancelled_by_signals();
    // A terminal that closes is nothing to a job: it outlives whoever started it.
    let _hangup = signal(SignalKind::hangup());
    let (class, result) = match read(files) {
        Ok((task, secrets)) => {
            let ended = work(&task, secrets, Show::Json, cancel).await;
            (ended.class, ended)
        }
        Err(error) => {
            let events = Events::new(Show::Json, Redactor::default(), Segments::none());
            let ended = events.result(failed(&error));
            (ended.class, ended)
        }
    };
    if let Some(path) = &files.result
        && let Err(error) = result::write(path, &result)
    {
        complain(&format!("the result cannot be written to {}: {error}", path.display()));
    }
    class
}

fn read(files: &Files) -> Result<(AgentTask, Secrets)> {
    let wrong = |words: String| fail(ExitClass::Configuration, words);
    let path = files.task.display();
    let text =
        std::fs::read(&files.task).map_err(|error| wrong(format!("cannot read the task {path}: {error}")))?;
    let task = serde_json::from_slice(&text).map_err(|error| wrong(format!("{path} is no task: {error}")))?;
    let secrets = files.secrets.as_deref().map(Secrets::read).transpose()?.unwrap_or_default();
    Ok((task, secrets))
}

/// Does a task; however it ends, there is a result, and it was shown.
pub(crate) async fn work(
    task: &AgentTask,
    secrets: Secrets,
    show: Show,
    cancel: CancellationToken,
) -> AgentResult {
    let redactor = secrets.redactor();
    // Whoever only reads makes no directory where a store is not mounted.
    let open = if matches!(task.work, Work::Backup { .. }) { Store::open } else { Store::existing };
    let log = task.log.as_ref().map(|log| open(&log.store, &secrets.store).map(|store| (store, log)));
    let log = log.map(|opened| opened.map(|(store, log)| Segments::start(store, log.prefix.clone())));
    let segments = match log.transpose() {
        Ok(segments) => segments.unwrap_or_else(Segments::none),
        Err(error) => {
            complain(&format!("the log goes to standard output only: {error}"));
            Segments::none()
        }
    };
    let events = Events::new(show, redactor, segments);
    let job = Job::new(events.clone(), task.run, secrets, cancel);
    let done = match AssertUnwindSafe(dispatch(&job, &task.work)).catch_unwind().await {
        Ok(done) => done,
        Err(panic) => Err(crashed(panic.as_ref())),
    };
    let result = match done {
        Ok(outcome) => AgentResult { class: ExitClass::Ok, error: None, events: 0, outcome: Some(outcome) },
        Err(error) => {
            let level = if class_of(&error) == ExitClass::Cancelled { Level::Warn } else { Level::Error };
            job.log(level, sentence(&error));
            failed(&error)
        }
    };
    let result = events.result(result);
    events.flush().await;
    result
}

async fn dispatch(job: &Job, work: &Work) -> Result<Outcome> {
    match work.clone() {
        Work::Backup { image, to, source, image_type, databases, streams, bin_dir } => {
            let store = Store::open(&to.store, job.store())?;
            let what = Backup { image, to: to.clone(), source, image_type, databases, streams, bin_dir };
            let made = or_cancelled(job, backup::backup(job, &what, &store)).await;
            if made.is_err() {
                discard(job, &store, &to).await;
            }
            made
        }
        Work::Restore { from, data_dir, superuser, streams, bin_dir } => {
            let store = Store::existing(&from.store, job.store())?;
            let what = Restore { from, data_dir, superuser, streams, bin_dir };
            restore::restore(job, &what, store).await
        }
        Work::Verify { from } => or_cancelled(job, verify::verify(job, &from)).await,
        Work::Probe { target, dns_seconds } => {
            or_cancelled(job, probe::probe(job, &target, dns_seconds)).await
        }
        Work::Talk { lines } => or_cancelled(job, talk::talk(job, lines)).await,
        Work::ProbeStore { store } => or_cancelled(job, probe_store::probe(job, &store)).await,
    }
}

/// Whatever comes first. What is dropped in the middle ends its programs and aborts its uploads.
async fn or_cancelled<T>(job: &Job, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        biased;
        done = work => done,
        cancelled = job.cancelled() => Err(cancelled),
    }
}

/// Takes away what a backup wrote that did not come to its end.
async fn discard(job: &Job, store: &Store, at: &Location) {
    store.settle().await;
    if let Err(error) = store.discard(&at.prefix).await {
        job.log(Level::Warn, format!("what was written could not be taken away: {error}"));
    }
}

fn failed(error: &anyhow::Error) -> AgentResult {
    AgentResult {
        class: class_of(error),
        error: Some(sentence(error)),
        events: 0,
        outcome: outcome_of(error),
    }
}

fn crashed(panic: &(dyn std::any::Any + Send)) -> anyhow::Error {
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    fail(ExitClass::Transient, format!("the agent has a bug and stopped: {words}"))
}

/// A token that SIGTERM and SIGINT cancel.
pub(crate) fn cancelled_by_signals() -> CancellationToken {
    let token = CancellationToken::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        match signal(kind) {
            Ok(mut signals) => {
                let token = token.clone();
                tokio::spawn(async move {
                    if signals.recv().await.is_some() {
                        token.cancel();
                    }
                });
            }
            Err(error) => complain(&format!("signals cannot be listened to: {error}")),
        }
    }
    token
}

/// Says something where events cannot.
pub(crate) fn complain(words: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "toygres-agent: {words}");
}

/// Store and prefix of an image by its URL, or by the path of its directory.
pub(crate) fn location_of(url: &str) -> Result<Location> {
    let path = match url.split_once("://") {
        Some(("file", path)) => PathBuf::from(path),
        Some(_) => {
            let (store, prefix) = url.trim_end_matches('/').rsplit_once("/images/").with_context(|| {
                fail(
                    ExitClass::Configuration,
                    format!("{url} names no image: write <store>/images/<image>/<attempt>"),
                )
            })?;
            return Ok(Location { store: store.to_owned(), prefix: format!("images/{prefix}") });
        }
        None => std::path::absolute(url).with_context(|| format!("{url} is no path"))?,
    };
    let (store, prefix) = split(&path).with_context(|| format!("{url} names no image"))?;
    Ok(Location { store: format!("file://{store}"), prefix })
}

/// Cuts before the last `images`, or else before the last part.
fn split(path: &Path) -> Option<(String, String)> {
    let text = path.to_str()?.trim_end_matches('/').trim_end_matches("/manifest.json");
    let (store, prefix) = match text.rfind("/images/") {
        Some(at) => text.split_at(at),
        None => text.split_at(text.rfind('/')?),
    };
    let prefix = prefix.trim_start_matches('/');
    (!prefix.is_empty()).then(|| (if store.is_empty() { "/" } else { store }.to_owned(), prefix.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_found_by_url_and_by_path() {
        for (url, store, prefix) in [
            ("file:///b/images/i/1", "file:///b", "images/i/1"),
            ("file:///b/images/i/1/", "file:///b", "images/i/1"),
            ("file:///images/i/1", "file:///", "images/i/1"),
            ("/b/copied", "file:///b", "copied"),
            ("/b/copied/manifest.json", "file:///b", "copied"),
            ("az://account/container/images/i/1", "az://account/container", "images/i/1"),
        ] {
            let found = location_of(url).expect(url);
            assert_eq!((found.store.as_str(), found.prefix.as_str()), (store, prefix), "{url}");
        }
        assert!(location_of("az://account/x").is_err());
        assert!(location_of("/").is_err());
    }
}
