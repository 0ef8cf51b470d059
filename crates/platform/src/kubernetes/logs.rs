//! Follows the events of a job: what it waits for, then its container's log. The log is read again after every interruption,
//! from where it was interrupted, until the container has ended and no new line comes.

use std::time::Duration;

use chrono::Utc;
use futures::AsyncBufRead;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::LogParams;
use model::{AgentEvent, EventBody, Level};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::KubernetesPlatform;
use super::api_error::{answer, failed};
use super::job_status::{failed_init, has_started, main_container};
use super::log_lines::{Cursor, Lines, unnumbered};
use super::waiting_report::WaitingReport;
use super::watch::Changes;
use crate::{Error, JobState, Result};

/// How many events are buffered for a slow receiver.
const BACKLOG: usize = 256;
/// How long a log may be silent before it is requested again: after a rotation, a kubelet may stop sending.
const SILENCE: Duration = Duration::from_secs(30);
/// The same after the job changed, which usually means that it ended.
const SILENCE_AFTER_CHANGE: Duration = Duration::from_secs(2);
/// How often a job that has not started is observed. Its events are not watched.
const PENDING_INTERVAL: Duration = Duration::from_secs(3);
/// The first and the longest pause after an interruption.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How many permanent errors in a row are retried: an API server that just started refuses valid requests.
const PERMANENT_RETRIES: u32 = 6;
/// How long the last lines of an ended job are requested from a node that does not answer.
const LAST_LINES_LIMIT: Duration = Duration::from_secs(90);
/// How many lines of a failed init container are reported.
const INIT_LINES: i64 = 50;

/// What one read of a log yielded.
#[derive(PartialEq)]
enum Read {
    /// New lines.
    New,
    /// No new line up to the end.
    Nothing,
    /// An interruption or a failed request; a retry may succeed.
    Broken,
    /// No log: the container has not started, or the pod does not exist.
    Absent,
}

/// Follows one job for one receiver.
struct Follower {
    platform: KubernetesPlatform,
    name: String,
    cursor: Cursor,
    changes: Changes,
    sender: mpsc::Sender<Result<AgentEvent>>,
    waiting: WaitingReport,
    pause: Duration,
    permanent_errors: u32,
    /// When the job was first seen as ended.
    ended: Option<Instant>,
}

impl KubernetesPlatform {
    pub(super) fn follow_job(&self, name: &str, after: u64) -> BoxStream<'static, Result<AgentEvent>> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let mut follower = Follower {
            platform: self.clone(),
            name: name.to_owned(),
            cursor: Cursor::after(after),
            changes: self.watch.changes(name),
            sender: sender.clone(),
            waiting: WaitingReport::since(Instant::now()),
            pause: PAUSES.0,
            permanent_errors: 0,
            ended: None,
        };
        tokio::spawn(async move {
            tokio::select! {
                // The receiver was dropped.
                () = sender.closed() => {}
                followed = follower.follow() => if let Err(error) = followed {
                    let _ = sender.send(Err(error)).await;
                }
            }
        });
        Box::pin(futures::stream::unfold(receiver, async |mut receiver| {
            Some((receiver.recv().await?, receiver))
        }))
    }
}

impl Follower {
    async fn follow(&mut self) -> Result<()> {
        loop {
            self.changes.clear();
            let snapshot = match self.platform.snapshot(&self.name).await {
                Ok(Some(snapshot)) => snapshot,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.pause_or_fail(error).await?;
                    continue;
                }
            };
            match (snapshot.state(), &snapshot.pod) {
                (JobState::Pending(failure), _) => {
                    self.permanent_errors = 0;
                    for body in self.waiting.next(&snapshot.events, failure) {
                        self.send_unnumbered(body).await;
                    }
                    self.changes.changed_or(PENDING_INTERVAL).await;
                }
                (JobState::Running, Some(pod)) => {
                    // The end of the log is not the end of the container.
                    self.read(pod, true).await?;
                    let pause = self.next_pause();
                    self.changes.changed_or(pause).await;
                }
                (JobState::Ended(_), Some(pod)) if !self.read_to_the_end(pod).await? => {
                    tokio::time::sleep(self.next_pause()).await;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Reads the last lines of a job that ended; false if a retry may yield more.
    async fn read_to_the_end(&mut self, pod: &Pod) -> Result<bool> {
        let since = *self.ended.get_or_insert_with(Instant::now);
        loop {
            match self.read(pod, false).await? {
                Read::New => {}
                Read::Broken if since.elapsed() < LAST_LINES_LIMIT => return Ok(false),
                Read::Nothing | Read::Absent | Read::Broken => break,
            }
        }
        self.report_failed_init(pod).await;
        Ok(true)
    }

    fn next_pause(&mut self) -> Duration {
        let longer = (self.pause * 2).min(PAUSES.1);
        std::mem::replace(&mut self.pause, longer)
    }

    /// Waits for the next attempt, or returns the error if it is permanent and was retried often enough.
    async fn pause_or_fail(&mut self, error: Error) -> Result<()> {
        if error.code().is_permanent() {
            if self.permanent_errors >= PERMANENT_RETRIES {
                return Err(error);
            }
            self.permanent_errors += 1;
        }
        tracing::debug!(%error, job = self.name, "following a job was interrupted; retrying");
        tokio::time::sleep(self.next_pause()).await;
        Ok(())
    }

    /// Reads the log from the cursor on.
    async fn read(&mut self, pod: &Pod, follow: bool) -> Result<Read> {
        let params = LogParams {
            container: main_container(pod).map(str::to_owned),
            follow,
            timestamps: true,
            since_time: self.cursor.since(),
            ..LogParams::default()
        };
        let pods = self.platform.api::<Pod>();
        let name = pod.name_any();
        match answer(&name, pods.log_stream(&name, &params)).await {
            Ok(Ok(stream)) => {
                self.permanent_errors = 0;
                Ok(self.pass_on(Lines::new(stream)).await)
            }
            // A kubelet refuses the log of a container that waits to start as it reports a failed read, which a busy runtime or a
            // rotation causes: both have the status 400.
            Ok(Err(kube::Error::Api(status))) if status.code == 400 && has_started(pod) => {
                tracing::debug!(
                    job = self.name,
                    error = status.message,
                    "the log could not be read; retrying"
                );
                Ok(Read::Broken)
            }
            // The container waits to start, or the pod does not exist.
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 400 | 404) => Ok(Read::Absent),
            Ok(Err(error)) => {
                self.pause_or_fail(failed(&name, error)).await?;
                Ok(Read::Broken)
            }
            Err(_) => Ok(Read::Broken),
        }
    }

    /// Passes on new events as fast as the receiver takes them, until the stream ends or is silent.
    async fn pass_on<R: AsyncBufRead + Unpin>(&mut self, mut lines: Lines<R>) -> Read {
        let (mut read, mut silence) = (Read::Nothing, SILENCE);
        loop {
            let line = tokio::select! {
                biased;
                line = timeout(silence, lines.next()) => line,
                () = self.changes.changed() => {
                    silence = SILENCE_AFTER_CHANGE;
                    continue;
                }
            };
            match line {
                Ok(Ok(Some(line))) => {
                    if let Some(event) = self.cursor.take(&line) {
                        read = Read::New;
                        self.pause = PAUSES.0;
                        self.send(event).await;
                    }
                }
                Ok(Ok(None)) if !lines.failed() => return read,
                broken => {
                    if broken.is_err() {
                        // Silence alone does not delay the next request.
                        self.pause = PAUSES.0;
                    }
                    return if read == Read::New { Read::New } else { Read::Broken };
                }
            }
        }
    }

    async fn send(&self, event: AgentEvent) {
        // If the receiver was dropped, the task ends at its next await.
        let _ = self.sender.send(Ok(event)).await;
    }

    async fn send_unnumbered(&self, body: EventBody) {
        self.send(unnumbered(Utc::now(), body)).await;
    }

    /// Reports the last lines of a failed init container, whose failure prevented the agent's start.
    async fn report_failed_init(&self, pod: &Pod) {
        let Some(init) = failed_init(pod) else { return };
        let params = LogParams {
            container: Some(init.name.clone()),
            tail_lines: Some(INIT_LINES),
            limit_bytes: Some(64 * 1024),
            ..LogParams::default()
        };
        let (pods, name) = (self.platform.api::<Pod>(), pod.name_any());
        let Ok(Ok(text)) = answer(&name, pods.logs(&name, &params)).await else { return };
        for line in text.lines() {
            self.send_unnumbered(EventBody::Log { level: Level::Error, message: line.to_owned() }).await;
        }
    }
}
