//! Jobs in a real cluster: the conformance suite, a job's life, its log across interruptions, and the failures that can be
//! provoked.

#[path = "../conformance/mod.rs"]
mod conformance;
mod failures;
mod life;
mod log;
#[path = "../namespace/mod.rs"]
mod namespace;
mod proxy;

use conformance::{Tested, end_of, waiting_job};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use model::{AgentEvent, AgentTask, EventBody, Work};
use namespace::TestNamespace;
use platform::{JobEnd, JobSpec};

/// A job that logs this many lines.
fn log_test_job(lines: u64) -> JobSpec {
    let job = waiting_job(0);
    JobSpec { task: AgentTask { work: Work::EmitLines { lines }, ..job.task }, ..job }
}

/// Launches a job and waits for its end. Returns the events without a number too.
async fn run(platform: &Tested, job: &JobSpec) -> (JobEnd, Vec<EventBody>) {
    platform.launch(job).await.expect("launch");
    let events = platform.events(&job.name, 0).await.expect("follow");
    let events: Vec<AgentEvent> = events.try_collect().await.expect("events");
    let unnumbered = events.into_iter().filter(|event| event.seq == 0).map(|event| event.body);
    (end_of(&**platform, &job.name).await, unnumbered.collect())
}

async fn pod_of(namespace: &TestNamespace, job: &JobSpec) -> Option<Pod> {
    let of_job = ListParams::default().labels(&format!("toygres.io/job={}", job.name));
    namespace.all::<Pod>().list(&of_job).await.expect("list pods").items.pop()
}

/// Launches a job that runs for this many seconds, and waits for the agent's first event.
async fn start(
    platform: &Tested,
    seconds: u64,
) -> (JobSpec, BoxStream<'static, platform::Result<AgentEvent>>) {
    let job = waiting_job(seconds);
    platform.launch(&job).await.expect("launch");
    let mut events = platform.events(&job.name, 0).await.expect("follow");
    while events.try_next().await.expect("events").expect("an event of the agent").seq == 0 {}
    (job, events)
}
