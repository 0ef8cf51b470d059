//! The log's way into the store: lines gathered into `log-<k>.jsonl`, one every few seconds, because standard output may be
//! forgotten. A store that fails does not stop the job.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use image::{Store, StoreOptions};
use model::Location;
use tokio::sync::{Mutex as AsyncMutex, Notify};

/// How long a line waits at most.
const EVERY: Duration = Duration::from_secs(5);
/// How many bytes wait at most.
const FULL: usize = 256 * 1024;
/// How many bytes are kept for a store that does not take them; what is older is dropped then, and shown as a gap.
const KEPT: usize = 1024 * 1024;
/// How long the end of a job waits for the store.
const LAST: Duration = Duration::from_secs(10);

/// Where lines go. Clones go to the same place.
#[derive(Clone)]
pub(crate) struct Segments(Option<Arc<Inner>>);

struct Inner {
    store: Store,
    prefix: String,
    pending: Mutex<Vec<u8>>,
    full: Notify,
    /// The number of the next segment; held while one is written, so that they come in order.
    next: AsyncMutex<u32>,
}

impl Segments {
    /// Nowhere.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Below a prefix of a store; starts the task that writes them.
    pub(crate) fn start(location: &Location, options: &StoreOptions) -> image::Result<Self> {
        let inner = Arc::new(Inner {
            store: Store::open(&location.store, options)?,
            prefix: location.prefix.clone(),
            pending: Mutex::default(),
            full: Notify::new(),
            next: AsyncMutex::new(0),
        });
        let writer = Arc::clone(&inner);
        tokio::spawn(async move {
            loop {
                // Whichever comes first: enough lines, or enough time.
                let _ = tokio::time::timeout(EVERY, writer.full.notified()).await;
                writer.write().await;
            }
        });
        Ok(Self(Some(inner)))
    }

    /// Takes a line.
    pub(crate) fn add(&self, line: &[u8]) {
        let Some(inner) = &self.0 else { return };
        let mut pending = inner.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.extend_from_slice(line);
        if pending.len() >= FULL {
            inner.full.notify_one();
        }
        if pending.len() > KEPT {
            let from = pending.len() - KEPT / 2;
            let from = pending[from..]
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(pending.len(), |at| from + at + 1);
            pending.drain(..from);
        }
    }

    /// Writes what waits; gives up when the store takes too long.
    pub(crate) async fn flush(&self) {
        if let Some(inner) = &self.0
            && tokio::time::timeout(LAST, inner.write()).await.is_err()
        {
            complain("the store took too long to take the end of the log");
        }
    }
}

impl Inner {
    async fn write(&self) {
        let mut next = self.next.lock().await;
        let lines = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if lines.is_empty() {
            return;
        }
        loop {
            let key = format!("{}/log-{next}.jsonl", self.prefix);
            match self.store.create(&key, lines.clone()).await {
                // An attempt that was started anew by hand goes on behind what is there.
                Err(image::Error::Exists(_)) => *next += 1,
                Ok(()) => {
                    *next += 1;
                    return;
                }
                Err(error) => {
                    complain(&format!("the log cannot be written to the store: {error}"));
                    let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
                    pending.splice(0..0, lines);
                    return;
                }
            }
        }
    }
}

/// Events are what failed here, so this is said on standard error.
fn complain(words: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "toygres-agent: {words}");
}
