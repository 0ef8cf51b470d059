//! Says many lines and does nothing else: what tests of the log's way send through it.

use anyhow::Result;
use model::{Level, Outcome};

use crate::job::Job;

/// Says so many lines, as fast as they are taken.
pub(crate) async fn talk(job: &Job, lines: u64) -> Result<Outcome> {
    for n in 1..=lines {
        job.log(
            Level::Info,
            format!("line {n}: {}", "the quick brown fox jumps over the lazy dog ".repeat(2)),
        );
        if n % 256 == 0 {
            // A stop is heard in between.
            tokio::task::yield_now().await;
        }
    }
    Ok(Outcome::Talk { lines })
}
