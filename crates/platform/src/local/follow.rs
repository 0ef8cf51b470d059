//! Follows the events of a job: reads its files as they grow, until it has ended.

use std::io::SeekFrom;
use std::path::PathBuf;

use anyhow::Context;
use chrono::Utc;
use futures::stream::BoxStream;
use model::{AgentEvent, EventBody, Level};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc::Sender;

use super::LocalPlatform;
use super::account::Account;
use super::jobs::POLL_INTERVAL;
use crate::{JobState, Result};

/// The longest line in bytes. Longer ones are split; those of an agent are shorter.
const LONGEST_LINE: usize = 64 * 1024;
/// How many events are buffered for a slow receiver.
const BACKLOG: usize = 256;

impl LocalPlatform {
    pub(super) fn follow_job(&self, name: &str, after: u64) -> BoxStream<'static, Result<AgentEvent>> {
        let (sender, receiver) = tokio::sync::mpsc::channel(BACKLOG);
        let (name, platform) = (name.to_owned(), self.clone());
        tokio::spawn(async move {
            if let Err(error) = platform.send_events(&name, after, &sender).await {
                // A receiver that was dropped needs no error.
                let _ = sender.send(Err(error)).await;
            }
        });
        Box::pin(futures::stream::unfold(receiver, async |mut receiver| {
            Some((receiver.recv().await?, receiver))
        }))
    }

    /// Sends the events of a job until it has ended or the receiver is dropped.
    async fn send_events(&self, name: &str, after: u64, sender: &Sender<Result<AgentEvent>>) -> Result<()> {
        let dir = self.job_dir(name)?;
        let mut events = self.lines(dir.join("events.jsonl"));
        loop {
            self.enforce_deadline(name).await?;
            // Observed before reading: everything that was written before the end is then read.
            let ended = !matches!(self.observe_job(name)?, JobState::Running | JobState::Pending(_));
            while let Some(line) = events.next(ended).await? {
                let event = parse(&line);
                if (event.seq > after || event.seq == 0) && sender.send(Ok(event)).await.is_err() {
                    return Ok(());
                }
            }
            if ended {
                break;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let mut errors = self.lines(dir.join("stderr.log"));
        while let Some(line) = errors.next(true).await? {
            if sender.send(Ok(crash_output(line))).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    fn lines(&self, path: PathBuf) -> Lines {
        Lines { account: self.account.clone(), path, file: None, pending: Vec::new(), offset: 0 }
    }
}

/// The event on a line; a line without one is the output of a crash.
fn parse(line: &str) -> AgentEvent {
    serde_json::from_str(line).unwrap_or_else(|_| crash_output(line.to_owned()))
}

fn crash_output(message: String) -> AgentEvent {
    AgentEvent { seq: 0, at: Utc::now(), body: EventBody::Log { level: Level::Error, message } }
}

/// The lines of a file to which another process appends.
struct Lines {
    /// The account that owns the file.
    account: Account,
    path: PathBuf,
    file: Option<File>,
    pending: Vec<u8>,
    offset: u64,
}

impl Lines {
    /// The next complete line; if `at_end`, also a last one without a newline.
    async fn next(&mut self, at_end: bool) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            let too_long = self.pending.len() > LONGEST_LINE;
            if too_long || !self.fill().await? {
                if (at_end || too_long) && !self.pending.is_empty() {
                    let line = std::mem::take(&mut self.pending);
                    return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
                }
                return Ok(None);
            }
        }
    }

    /// Reads on; false if the file has no more content at the moment.
    async fn fill(&mut self) -> Result<bool> {
        if self.file.is_none() {
            self.file = self.account.open(&self.path).ok().map(File::from_std);
        }
        let Some(file) = &mut self.file else { return Ok(false) };
        let mut chunk = vec![0; 16 * 1024];
        file.seek(SeekFrom::Start(self.offset)).await.context("read a job's events")?;
        let read = file.read(&mut chunk).await.context("read a job's events")?;
        self.offset += read as u64;
        self.pending.extend_from_slice(&chunk[..read]);
        Ok(read > 0)
    }
}
