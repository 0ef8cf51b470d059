//! Following a job's events: its files read as they grow, until it has ended. It starts and ends nothing but a job that has
//! had its time.

use std::path::PathBuf;

use anyhow::Context;
use chrono::Utc;
use futures::stream::BoxStream;
use model::agent::EventBody;
use model::{AgentEvent, Level};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc::Sender;

use super::LocalPlatform;
use super::jobs::LOOK;
use crate::{JobState, Result};

/// The longest line that is taken for one; an agent's are shorter.
const LONGEST_LINE: usize = 64 * 1024;

impl LocalPlatform {
    pub(crate) fn follow_job(&self, name: &str, after: u64) -> BoxStream<'static, Result<AgentEvent>> {
        let (send, receive) = tokio::sync::mpsc::channel(256);
        let (name, platform) = (name.to_owned(), self.view());
        tokio::spawn(async move {
            if let Err(error) = platform.tell(&name, after, &send).await {
                // Nobody listens any more: nobody to tell.
                let _ = send.send(Err(error)).await;
            }
        });
        Box::pin(futures::stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive))))
    }

    /// Sends everything that a job says, until it has ended or nobody listens.
    async fn tell(&self, name: &str, after: u64, send: &Sender<Result<AgentEvent>>) -> Result<()> {
        let dir = self.job_dir(name)?;
        let mut events = Lines::new(dir.join("events.jsonl"));
        loop {
            self.stop_if_overdue(name).await?;
            // Asked before reading: what is written before the end is read after the answer.
            let ended = !matches!(self.observe_job(name)?, JobState::Running | JobState::Pending(_));
            while let Some(line) = events.next(ended).await? {
                let event = parse(&line);
                if (event.seq > after || event.seq == 0) && send.send(Ok(event)).await.is_err() {
                    return Ok(());
                }
            }
            if ended {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        let mut complaints = Lines::new(dir.join("stderr.log"));
        while let Some(line) = complaints.next(true).await? {
            if send.send(Ok(complaint(line))).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// What a follower needs of the platform.
    fn view(&self) -> Self {
        Self {
            data_dir: self.data_dir.clone(),
            account: self.account.clone(),
            agent_program: self.agent_program.clone(),
            bin_dirs: self.bin_dirs.clone(),
            identity: self.identity.clone(),
            shared: self.shared.clone(),
        }
    }
}

/// A line that is no event is a crash's last words.
fn parse(line: &str) -> AgentEvent {
    serde_json::from_str(line).unwrap_or_else(|_| complaint(line.to_owned()))
}

fn complaint(message: String) -> AgentEvent {
    AgentEvent { seq: 0, at: Utc::now(), body: EventBody::Log { level: Level::Error, message } }
}

/// The lines of a file that somebody else appends to.
struct Lines {
    path: PathBuf,
    file: Option<tokio::fs::File>,
    pending: Vec<u8>,
    offset: u64,
}

impl Lines {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, pending: Vec::new(), offset: 0 }
    }

    /// The next whole line; at the end also one without a newline.
    async fn next(&mut self, at_end: bool) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            if self.pending.len() > LONGEST_LINE || !self.fill().await? {
                let rest = at_end || self.pending.len() > LONGEST_LINE;
                if rest && !self.pending.is_empty() {
                    let line = std::mem::take(&mut self.pending);
                    return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
                }
                return Ok(None);
            }
        }
    }

    /// Reads more; false when there is nothing more yet.
    async fn fill(&mut self) -> Result<bool> {
        if self.file.is_none() {
            self.file = tokio::fs::File::open(&self.path).await.ok();
        }
        let Some(file) = &mut self.file else { return Ok(false) };
        let mut chunk = vec![0; 16 * 1024];
        file.seek(std::io::SeekFrom::Start(self.offset)).await.context("read a job's events")?;
        let read = file.read(&mut chunk).await.context("read a job's events")?;
        self.offset += read as u64;
        self.pending.extend_from_slice(&chunk[..read]);
        Ok(read > 0)
    }
}
