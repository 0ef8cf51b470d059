//! Jobs in a real cluster: the conformance suite, a job's life, the log's way past every break, and the ways to die that can be
//! brought about.

#[path = "../conformance/mod.rs"]
mod conformance;
mod deaths;
mod life;
mod log;
mod proxy;
mod scratch;

use std::sync::Arc;

use conformance::{Tested, end_of, waiting_job};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use model::{AgentEvent, AgentTask, EventBody, Work};
use platform::{JobEnd, JobSpec};
use scratch::Scratch;

/// A job that says so many lines.
fn talking_job(lines: u64) -> JobSpec {
    let job = waiting_job(0);
    JobSpec { task: AgentTask { work: Work::Talk { lines }, ..job.task }, ..job }
}

async fn tested(scratch: &Scratch) -> Tested {
    Arc::new(scratch.platform().await)
}

/// Launches a job and waits for its end, however long that takes; its lines without numbers come too.
async fn run(platform: &Tested, job: &JobSpec) -> (JobEnd, Vec<String>) {
    platform.launch(job).await.expect("launch");
    let events = platform.events(&job.name, 0).await.expect("follow");
    let events: Vec<AgentEvent> = events.try_collect().await.expect("events");
    let words = events.into_iter().filter(|event| event.seq == 0).filter_map(|event| match event.body {
        EventBody::Log { message, .. } => Some(message),
        _ => None,
    });
    (end_of(platform, &job.name).await, words.collect())
}

async fn pod_of(scratch: &Scratch, job: &JobSpec) -> Option<Pod> {
    let of_job = ListParams::default().labels(&format!("toygres.io/job={}", job.name));
    scratch.all::<Pod>().list(&of_job).await.expect("list pods").items.pop()
}

/// Launches a job that works for so many seconds, and waits until it says so.
async fn work(
    platform: &Tested,
    seconds: u64,
) -> (JobSpec, BoxStream<'static, platform::Result<AgentEvent>>) {
    let job = waiting_job(seconds);
    platform.launch(&job).await.expect("launch");
    let mut events = platform.events(&job.name, 0).await.expect("follow");
    while events.try_next().await.expect("events").expect("it works").seq == 0 {}
    (job, events)
}
