//! The log's way into the store at full speed: every line is there once, whatever the store does.

#[allow(dead_code, reason = "other tests use the rest")]
mod job_dir;

use std::time::Duration;

use job_dir::{JobDir, signal, until};
use model::{AgentEvent, EventBody, Outcome, Work};
use rustix::process::Signal;

/// What the store has is what was said: each number once, in order.
fn assert_whole(job: &JobDir, events: &[AgentEvent]) {
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers.len() as u64, job.result().events + 1);
    assert!((1..).zip(&numbers).all(|(n, seq)| n == *seq), "numbers are missing or come twice");
}

#[test]
fn two_hundred_thousand_lines_are_in_the_store_once_each() {
    let job = JobDir::new(Work::Talk { lines: 200_000 }, "canary");
    assert_eq!(job.run(), 0);
    assert_eq!(job.result().outcome, Some(Outcome::Talk { lines: 200_000 }));
    let kept = job.segments();
    assert_eq!(kept.len(), 200_001);
    assert_whole(&job, &kept);
    assert!(matches!(kept.last().map(|event| &event.body), Some(EventBody::Result(_))));
}

#[test]
fn a_store_that_fails_for_a_while_makes_the_job_wait_and_loses_nothing() {
    let job = JobDir::new(Work::Talk { lines: 50_000 }, "canary");
    // A file where a directory is needed: nothing can be written below it.
    let blocked = job.path("store/images");
    std::fs::write(&blocked, "").expect("written");
    let mut agent = job.start();
    std::thread::sleep(Duration::from_secs(3));
    assert!(agent.try_wait().expect("there").is_none(), "the job did not wait for the store");
    std::fs::remove_file(&blocked).expect("removed");
    assert_eq!(agent.wait().expect("ended").code(), Some(0));
    assert_whole(&job, &job.segments());
}

#[test]
fn a_stop_in_the_middle_of_many_lines_loses_none() {
    let job = JobDir::new(Work::Talk { lines: u64::MAX }, "canary");
    let mut agent = job.start();
    until("a segment", || job.path("store/images/a/1/log-3.jsonl").exists());
    signal(&agent, Signal::TERM);
    assert_eq!(agent.wait().expect("ended").code(), Some(143));
    let kept = job.segments();
    assert_whole(&job, &kept);
    assert_eq!(kept, job.events());
}
