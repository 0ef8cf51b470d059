//! Following a job's events: what it waits for, then its container's log, read again after every break from where it broke
//! off, until the container has ended and nothing more comes.

use std::collections::HashSet;
use std::time::Duration;

use chrono::Utc;
use futures::AsyncBufRead;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::LogParams;
use model::{AgentEvent, Level};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::KubernetesPlatform;
use super::apply::{answer, refused};
use super::endings::waiting::is_warning;
use super::endings::{Sight, failed_init, main_container, quoted};
use super::log_lines::{Cursor, Lines, said};
use super::watch::Changes;
use crate::{Error, JobState, Result};

/// How many events wait for a slow listener; then the cluster waits too.
const BACKLOG: usize = 256;
/// How long a log may be silent before it is asked for anew: a kubelet that rotated it may have forgotten us.
const SILENCE: Duration = Duration::from_secs(30);
/// The same once the job changed, which most likely means that it ended.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often a job is looked at that has not begun: what is told about it is not watched.
const WAITING: Duration = Duration::from_secs(3);
/// What a job waits for no longer than that is not worth a line.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first and the longest pause after a break.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How often a refusal is taken for a passing one: an API server that just started refuses what it does not know yet.
const REFUSALS: u32 = 6;

/// How long the last lines of a job that ended are asked for where its node does not answer.
const LOST: Duration = Duration::from_secs(90);

/// What came of reading a log.
#[derive(PartialEq)]
enum Read {
    /// Something that was not read before.
    New,
    /// Nothing new, to the end.
    Nothing,
    /// It broke off, or could not be begun: it may work the next time.
    Broken,
    /// There is no log: the container has not begun, or its pod is gone.
    Absent,
}

/// One who follows a job.
struct Follower {
    platform: KubernetesPlatform,
    name: String,
    cursor: Cursor,
    changes: Changes,
    send: mpsc::Sender<Result<AgentEvent>>,
    since: Instant,
    told: HashSet<String>,
    pause: Duration,
    refusals: u32,
    ended: Option<Instant>,
}

impl KubernetesPlatform {
    pub(super) fn follow_job(&self, name: &str, after: u64) -> BoxStream<'static, Result<AgentEvent>> {
        let (send, receive) = mpsc::channel(BACKLOG);
        let mut follower = Follower {
            platform: self.clone(),
            name: name.to_owned(),
            cursor: Cursor::after(after),
            changes: self.watch.changes(name),
            send: send.clone(),
            since: Instant::now(),
            told: HashSet::new(),
            pause: PAUSES.0,
            refusals: 0,
            ended: None,
        };
        tokio::spawn(async move {
            tokio::select! {
                // Nobody listens any more.
                () = send.closed() => {}
                followed = follower.follow() => if let Err(error) = followed {
                    let _ = send.send(Err(error)).await;
                }
            }
        });
        Box::pin(futures::stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive))))
    }
}

impl Follower {
    async fn follow(&mut self) -> Result<()> {
        loop {
            self.changes.clear();
            let sight = match self.platform.sight(&self.name).await {
                Ok(Some(sight)) => sight,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.bear(error).await?;
                    continue;
                }
            };
            match (sight.state(), &sight.pod) {
                (JobState::Pending(words), _) => {
                    self.refusals = 0;
                    self.say_what_it_waits_for(&sight, words).await;
                    self.changes.changed_or(WAITING).await;
                }
                (JobState::Running, Some(pod)) => {
                    // That a log ends says nothing about its container.
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

    /// The last lines of a job that ended; false if they are worth another try.
    async fn read_to_the_end(&mut self, pod: &Pod) -> Result<bool> {
        let since = *self.ended.get_or_insert_with(Instant::now);
        loop {
            match self.read(pod, false).await? {
                Read::New => {}
                Read::Broken if since.elapsed() < LOST => return Ok(false),
                Read::Nothing | Read::Absent | Read::Broken => break,
            }
        }
        self.say_why_it_never_began(pod).await;
        Ok(true)
    }

    fn next_pause(&mut self) -> Duration {
        let longer = (self.pause * 2).min(PAUSES.1);
        std::mem::replace(&mut self.pause, longer)
    }

    /// What may pass is waited for; what is refused again and again is final.
    async fn bear(&mut self, error: Error) -> Result<()> {
        match error {
            Error::Transient(error) => {
                tracing::debug!(error = format!("{error:#}"), job = self.name, "not now");
            }
            error if self.refusals >= REFUSALS => return Err(error),
            _ => self.refusals += 1,
        }
        tokio::time::sleep(self.next_pause()).await;
        Ok(())
    }

    /// Reads the log on from where it was read to.
    async fn read(&mut self, pod: &Pod, follow: bool) -> Result<Read> {
        let how = LogParams {
            container: main_container(pod).map(str::to_owned),
            follow,
            timestamps: true,
            since_time: self.cursor.since(),
            ..LogParams::default()
        };
        let pods = self.platform.api::<Pod>();
        let name = pod.name_any();
        match answer("read the log", pods.log_stream(&name, &how)).await {
            Ok(Ok(stream)) => {
                self.refusals = 0;
                Ok(self.pass_on(Lines::new(stream)).await)
            }
            // Its container waits to start, or it is gone.
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 400 | 404) => Ok(Read::Absent),
            Ok(Err(error)) => {
                self.bear(refused(error)).await?;
                Ok(Read::Broken)
            }
            Err(_) => Ok(Read::Broken),
        }
    }

    /// Passes on what was not said before, as fast as it is taken, until the stream ends or falls silent.
    async fn pass_on<R: AsyncBufRead + Unpin>(&mut self, mut lines: Lines<R>) -> Read {
        let (mut read, mut patience) = (Read::Nothing, SILENCE);
        loop {
            let line = tokio::select! {
                biased;
                line = timeout(patience, lines.next()) => line,
                () = self.changes.changed() => {
                    patience = LAST_WORDS;
                    continue;
                }
            };
            match line {
                Ok(Ok(Some(line))) => {
                    if let Some(event) = self.cursor.take(&line) {
                        read = Read::New;
                        self.pause = PAUSES.0;
                        self.say(event).await;
                    }
                }
                Ok(Ok(None)) => return read,
                broken => {
                    if broken.is_err() {
                        // Mere silence is no reason to wait before asking again.
                        self.pause = PAUSES.0;
                    }
                    return if read == Read::New { Read::New } else { Read::Broken };
                }
            }
        }
    }

    async fn say(&self, event: AgentEvent) {
        // Nobody listens any more: the task ends at its next await.
        let _ = self.send.send(Ok(event)).await;
    }

    /// Each thing once, and only what lasts.
    async fn say_what_it_waits_for(&mut self, sight: &Sight, words: String) {
        if self.since.elapsed() < PATIENCE {
            return;
        }
        let mut news = vec![words];
        for event in sight.events.iter().filter(|event| is_warning(event)) {
            let message = quoted(event.message.as_deref().unwrap_or_default());
            if !news[0].contains(&message) {
                news.push(format!("{}: {message}", event.reason.as_deref().unwrap_or("Warning")));
            }
        }
        for words in news {
            if self.told.len() < BACKLOG && self.told.insert(words.clone()) {
                self.say(said(Utc::now(), Level::Warn, words)).await;
            }
        }
    }

    /// The last lines of the container that was to put the agent in place, if it failed.
    async fn say_why_it_never_began(&self, pod: &Pod) {
        let Some(init) = failed_init(pod) else { return };
        let how = LogParams {
            container: Some(init.name.clone()),
            tail_lines: Some(50),
            limit_bytes: Some(64 * 1024),
            ..LogParams::default()
        };
        let pods = self.platform.api::<Pod>();
        let Ok(Ok(text)) = answer("read the log", pods.logs(&pod.name_any(), &how)).await else { return };
        for line in text.lines() {
            self.say(said(Utc::now(), Level::Error, line.to_owned())).await;
        }
    }
}
