//! Emits many log lines: a job that tests how the log is transported.

use anyhow::Result;
use model::{Level, Outcome};

use crate::job::Job;

/// Emits that many lines as fast as possible.
pub(crate) async fn emit_lines(job: &Job, lines: u64) -> Result<Outcome> {
    for n in 1..=lines {
        job.log(
            Level::Info,
            format!("line {n}: {}", "the quick brown fox jumps over the lazy dog ".repeat(2)),
        );
        if n % 256 == 0 {
            // Lets a cancellation take effect.
            tokio::task::yield_now().await;
        }
    }
    Ok(Outcome::EmitLines { lines })
}
