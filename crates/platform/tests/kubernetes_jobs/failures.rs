//! The failures of jobs, and what jobs wait for, provoked in a real cluster.

use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::DeleteParams;
use model::{AgentTask, EventBody, Failure, FailureCode, Level, Location};
use platform::kubernetes::KubernetesConfig;
use platform::{JobSpec, JobState};
use serde_json::json;

use crate::conformance::{Tested, end_of, until, waiting_job};
use crate::namespace::in_namespace;
use crate::{log_test_job, run};

/// The template of jobs without a volume.
const JOB: &str = "backup-job.yaml";
/// The command of the agent in the template.
const COMMAND: &str = "[/agent/toygres-agent, run]";

/// Runs a job that ends without a result. Returns its failure and the events without a number.
async fn fails(
    platform: &Tested,
    job: &JobSpec,
    exit_code: Option<i32>,
    code: FailureCode,
) -> (Failure, Vec<EventBody>) {
    let (end, events) = run(platform, job).await;
    let failure = end.failure.expect("a failure");
    assert_eq!((end.code, failure.code, end.result), (exit_code, code, None), "{failure}");
    println!("{failure}");
    platform.remove(&job.name).await.expect("remove");
    assert_eq!(platform.observe(&job.name).await.expect("observe"), JobState::Missing);
    (failure, events)
}

/// The log lines of level `error`.
fn errors(events: &[EventBody]) -> Vec<&str> {
    let errors = events.iter().filter_map(|event| match event {
        EventBody::Log { level: Level::Error, message } => Some(message.as_str()),
        _ => None,
    });
    errors.collect()
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn container_image_cannot_be_pulled() {
    in_namespace(async |namespace| {
        let agent_image = "nowhere.invalid/none:1".to_owned();
        let config = KubernetesConfig { agent_image, ..namespace.config.clone() };
        let platform = namespace.open_with(config).await;
        let (failure, events) =
            fails(&platform, &log_test_job(1), None, FailureCode::ContainerImagePull).await;
        assert_eq!(failure.subject.as_deref(), Some("nowhere.invalid/none:1"));
        let is_pull = |event: &EventBody| {
            matches!(event, EventBody::Waiting(failure) if failure.code == FailureCode::ContainerImagePull)
        };
        assert!(events.iter().any(is_pull), "reported while the job waits: {events:?}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn pod_is_not_admitted() {
    in_namespace(async |namespace| {
        let (from, to) = ("allowPrivilegeEscalation: false", "privileged: true");
        let platform = namespace.open_with_template(JOB, from, to).await;
        fails(&platform, &log_test_job(1), None, FailureCode::AdmissionDenied).await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn memory_or_time_limit_is_exceeded() {
    in_namespace(async |namespace| {
        let late = JobSpec { deadline: Duration::from_secs(6), ..waiting_job(300) };
        fails(&namespace.open().await, &late, Some(143), FailureCode::JobDeadline).await;
        let greedy = "[sh, -c, 'sleep 1; exec tail /dev/zero']";
        let platform = namespace.open_with_template(JOB, COMMAND, greedy).await;
        let (failure, _) = fails(&platform, &log_test_job(1), Some(137), FailureCode::OutOfMemory).await;
        assert!(failure.detail.contains("512Mi"), "the limit: {failure}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn agent_does_not_start() {
    in_namespace(async |namespace| {
        let (from, to) = ("[cp, /usr/local/bin/toygres-agent", "[cp, /nowhere");
        let platform = namespace.open_with_template(JOB, from, to).await;
        let (failure, events) = fails(&platform, &log_test_job(1), None, FailureCode::AgentNotStarted).await;
        let subject = failure.subject.as_deref();
        assert!(subject.is_some_and(|image| image.ends_with(&*namespace.config.agent_image)), "{failure:?}");
        assert!(errors(&events).iter().any(|line| line.contains("/nowhere")), "{events:?}");

        let platform = namespace.open_with_template(JOB, COMMAND, "[/nowhere]").await;
        fails(&platform, &log_test_job(1), Some(128), FailureCode::AgentNotStarted).await;

        let silent = "[sh, -c, 'echo last line; exit 11']";
        let platform = namespace.open_with_template(JOB, COMMAND, silent).await;
        let (_, events) = fails(&platform, &log_test_job(1), Some(11), FailureCode::JobWithoutResult).await;
        assert_eq!(errors(&events), ["last line"]);

        let to = "valueFrom: { secretKeyRef: { name: nowhere, key: k } } }";
        let platform = namespace.open_with_template(JOB, "value: /tmp }", to).await;
        fails(&platform, &log_test_job(1), None, FailureCode::ContainerNotStarted).await;
    })
    .await;
}

/// Launches a job and waits until it reports that it waits for this.
async fn waits(platform: &Tested, job: &JobSpec, code: FailureCode) -> Failure {
    platform.launch(job).await.expect("launch");
    let failure = until(&format!("the job waits: {code}"), async || {
        match platform.observe(&job.name).await.expect("observe") {
            JobState::Pending(failure) => failure.filter(|failure| failure.code == code),
            state => panic!("not waiting: {state:?}"),
        }
    })
    .await;
    let mut events = platform.events(&job.name, 0).await.expect("follow");
    loop {
        let event = events.try_next().await.expect("events").expect("what the job waits for");
        match event.body {
            EventBody::Waiting(reported) => assert_eq!(reported.code, code, "{reported}"),
            EventBody::Log { level: Level::Warn, .. } => continue,
            other => panic!("{other:?}"),
        }
        println!("{failure}");
        return failure;
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn job_waits_for_what_may_change() {
    in_namespace(async |namespace| {
        let platform = namespace.open().await;
        let quota = json!({"metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}}});
        namespace.create_object::<ResourceQuota>(quota).await;
        let job = log_test_job(1);
        waits(&platform, &job, FailureCode::QuotaExceeded).await;
        let quotas = namespace.all::<ResourceQuota>();
        quotas.delete("full", &DeleteParams::default()).await.expect("delete the quota");
        assert_eq!(run(&platform, &job).await.0.code, Some(0), "it starts without the quota");

        let log = Some(Location { store: "pvc://nowhere/deep".to_owned(), prefix: "1".to_owned() });
        let on_claim = log_test_job(1);
        let on_claim = JobSpec { task: AgentTask { log, ..on_claim.task }, ..on_claim };
        let failure = waits(&platform, &on_claim, FailureCode::ClaimMissing).await;
        assert_eq!(failure.subject.as_deref(), Some("nowhere"));
        platform
            .stop(&on_claim.name, Duration::from_secs(30))
            .await
            .expect("stop a job that has not started");
        let end = end_of(&*platform, &on_claim.name).await;
        assert_eq!(end.failure.map(|failure| failure.code), Some(FailureCode::JobWithoutResult));

        let to = "nodeSelector: { no: such }\n      restartPolicy: Never";
        let platform = namespace.open_with_template(JOB, "restartPolicy: Never", to).await;
        waits(&platform, &log_test_job(1), FailureCode::Unschedulable).await;
    })
    .await;
}
