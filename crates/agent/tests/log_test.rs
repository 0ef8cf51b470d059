//! The log in the store at full speed: it contains every line once, also if the store fails for a time.

#[allow(dead_code, reason = "each test file uses its own part")]
mod job_dir;

use std::time::Duration;

use job_dir::{JobDir, signal, until};
use model::{AgentEvent, EventBody, Outcome, Work};
use rustix::process::Signal;

/// Asserts that the store has each event once, in order.
fn assert_complete(job: &JobDir, events: &[AgentEvent]) {
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers.len() as u64, job.result().events + 1);
    assert!((1..).zip(&numbers).all(|(n, seq)| n == *seq), "events are missing or duplicated");
}

#[test]
fn store_has_each_of_many_lines_once() {
    let job = JobDir::new(Work::EmitLines { lines: 200_000 }, "canary");
    assert_eq!(job.run(), 0);
    assert_eq!(job.result().outcome, Some(Outcome::EmitLines { lines: 200_000 }));
    let kept = job.segments();
    assert_eq!(kept.len(), 200_001);
    assert_complete(&job, &kept);
    assert!(matches!(kept.last().map(|event| &event.body), Some(EventBody::Result(_))));
}

#[test]
fn failing_store_blocks_the_job_and_loses_no_line() {
    let job = JobDir::new(Work::EmitLines { lines: 50_000 }, "canary");
    // A file in the place of a directory: nothing can be written below it.
    let blocked = job.path("store/images");
    std::fs::write(&blocked, "").expect("written");
    let mut agent = job.start();
    std::thread::sleep(Duration::from_secs(3));
    assert!(agent.try_wait().expect("running").is_none(), "the job did not wait for the store");
    std::fs::remove_file(&blocked).expect("removed");
    assert_eq!(agent.wait().expect("ended").code(), Some(0));
    assert_complete(&job, &job.segments());
}

#[test]
fn cancellation_between_lines_loses_no_line() {
    let job = JobDir::new(Work::EmitLines { lines: u64::MAX }, "canary");
    let mut agent = job.start();
    until("a segment", || job.path("store/images/a/1/log-3.jsonl").exists());
    signal(&agent, Signal::TERM);
    assert_eq!(agent.wait().expect("ended").code(), Some(143));
    let kept = job.segments();
    assert_complete(&job, &kept);
    assert_eq!(kept, job.events());
}
