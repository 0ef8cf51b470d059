//! Ways to die, and what may be waited for: brought about in a real cluster, each in its own words.

use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::DeleteParams;
use model::{AgentTask, EventBody, Level, Location};
use platform::{JobSpec, JobState};
use serde_json::json;

use crate::conformance::{Tested, end_of, waiting_job};
use crate::scratch::{Scratch, in_namespace, until};
use crate::{run, talking_job, tested};

/// A job's end without result, fatal or not, in the right words.
async fn dies(
    scratch: &Scratch,
    job: &JobSpec,
    code: Option<i32>,
    fatal: bool,
    words: &[&str],
) -> Vec<String> {
    let platform = tested(scratch).await;
    let (end, lines) = run(&platform, job).await;
    let reason = end.reason.expect("words");
    assert_eq!((end.code, end.fatal, end.result), (code, fatal, None), "{reason}");
    for word in words {
        assert!(reason.contains(word), "{word:?} is not in {reason:?}");
    }
    println!("{reason}");
    platform.remove(&job.name).await.expect("remove");
    assert_eq!(platform.observe(&job.name).await.expect("observe"), JobState::Missing);
    lines
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn images_that_cannot_be_pulled() {
    in_namespace(async |scratch| {
        scratch.config.agent_image = "nowhere.invalid/none:1".to_owned();
        let lines =
            dies(scratch, &talking_job(1), None, true, &["nowhere.invalid/none:1", "cannot be pulled"]).await;
        assert!(
            lines.iter().any(|line| line.contains("cannot be pulled")),
            "it is said while it waits: {lines:?}"
        );
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn pods_that_are_not_admitted() {
    in_namespace(async |scratch| {
        scratch.change_template("allowPrivilegeEscalation: false", "privileged: true");
        dies(scratch, &talking_job(1), None, true, &["does not admit", "restricted"]).await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn memory_and_time_that_run_out() {
    in_namespace(async |scratch| {
        let late = JobSpec { deadline: Duration::from_secs(6), ..waiting_job(300) };
        dies(scratch, &late, Some(143), true, &["longer than the 6 s"]).await;
        scratch.change_template("[/agent/toygres-agent, run]", "[sh, -c, 'sleep 1; exec tail /dev/zero']");
        dies(
            scratch,
            &talking_job(1),
            Some(137),
            false,
            &["512Mi", "resources.limits.memory in backup-job.yaml"],
        )
        .await;
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn agents_that_do_not_start() {
    in_namespace(async |scratch| {
        scratch.change_template("[cp, /usr/local/bin/toygres-agent", "[cp, /nowhere");
        let lines = dies(scratch, &talking_job(1), None, true, &["cannot stat '/nowhere'"]).await;
        assert!(lines.iter().any(|line| line.contains("cannot stat '/nowhere'")), "{lines:?}");
        scratch.change_template("[/agent/toygres-agent, run]", "[/nowhere]");
        dies(scratch, &talking_job(1), Some(128), true, &["could not be started", "/nowhere"]).await;
        scratch.change_template("[/agent/toygres-agent, run]", "[sh, -c, 'echo last words; exit 11']");
        let lines = dies(scratch, &talking_job(1), Some(11), true, &["code 11 (authentication)"]).await;
        assert_eq!(lines, ["last words"]);
        scratch.change_template("value: /tmp }", "valueFrom: { secretKeyRef: { name: nowhere, key: k } } }");
        dies(scratch, &talking_job(1), None, true, &["CreateContainerConfigError", "nowhere"]).await;
    })
    .await;
}

/// Waits until a job says that it waits for something.
async fn waits(platform: &Tested, job: &JobSpec, words: &[&str]) {
    platform.launch(job).await.expect("launch");
    until(&format!("it waits for {words:?}"), async || {
        let state = platform.observe(&job.name).await.expect("observe");
        let JobState::Pending(said) = state else { panic!("it waits: {state:?}") };
        words.iter().all(|word| said.contains(word)).then_some(())
    })
    .await;
    let mut events = platform.events(&job.name, 0).await.expect("follow");
    let event = events.try_next().await.expect("events").expect("it says what it waits for");
    let EventBody::Log { level: Level::Warn, message } = event.body else { panic!("{event:?}") };
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
    println!("{message}");
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn jobs_wait_for_what_may_come() {
    in_namespace(async |scratch| {
        let platform = tested(scratch).await;
        let quota = json!({"metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}}});
        scratch.make::<ResourceQuota>(quota).await;
        let job = talking_job(1);
        waits(&platform, &job, &["waits for quota", "exceeded quota: full"]).await;
        scratch.all::<ResourceQuota>().delete("full", &DeleteParams::default()).await.expect("delete");
        assert_eq!(run(&platform, &job).await.0.code, Some(0), "it begins when there is room");

        let log = Some(Location { store: "pvc://nowhere/deep".to_owned(), prefix: "1".to_owned() });
        let on_claim = talking_job(1);
        let on_claim = JobSpec { task: AgentTask { log, ..on_claim.task }, ..on_claim };
        waits(&platform, &on_claim, &["waits for its volume", "\"nowhere\" not found"]).await;
        platform.stop(&on_claim.name, Duration::from_secs(30)).await.expect("stop what has not begun");
        let end = end_of(&platform, &on_claim.name).await;
        assert!(end.reason.is_some_and(|words| words.contains("was stopped")));

        scratch.change_template(
            "restartPolicy: Never",
            "nodeSelector: { no: such }\n      restartPolicy: Never",
        );
        let platform = tested(scratch).await;
        waits(&platform, &talking_job(1), &["waits for a node", "node affinity/selector"]).await;
    })
    .await;
}
