//! Every way to die, from the objects as a cluster gives them to words and consequence.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::Timestamp;
use model::{AgentResult, ExitClass};
use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-11-22T08:00:00Z";

fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

/// Objects, as they are changed by `change`.
fn merged(mut base: Value, change: Value) -> Value {
    if let (Some(base), Value::Object(change)) = (base.as_object_mut(), &change) {
        for (key, value) in change {
            let old = base.remove(key).unwrap_or(Value::Null);
            let new =
                if old.is_object() && value.is_object() { merged(old, value.clone()) } else { value.clone() };
            base.insert(key.clone(), new);
        }
        return Value::Object(base.clone());
    }
    change
}

fn job(change: Value) -> Job {
    let base = json!({
        "metadata": {"name": "t-1", "uid": "job"},
        "spec": {"activeDeadlineSeconds": 60, "template": {}}
    });
    object(merged(base, change))
}

fn failed(reason: &str) -> Value {
    json!({"status": {"conditions": [{"type": "Failed", "status": "True", "reason": reason}]}})
}

fn pod(change: Value) -> Pod {
    let base = json!({
        "metadata": {
            "name": "t-1-abc", "uid": "pod", "creationTimestamp": "2026-11-22T07:00:00Z",
            "annotations": {MAIN: "backup", TEMPLATE: "backup-job.yaml"}
        },
        "spec": {"nodeName": "node-7", "containers": [
            {"name": "injected"},
            {"name": "backup", "resources": {"limits": {"memory": "512Mi"}}}
        ]}
    });
    object(merged(base, change))
}

fn main_is(state: Value) -> Value {
    let container = |name, state| json!({"name": name, "image": "postgres:15", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    let injected = container("injected", json!({"running": {}}));
    json!({"status": {"phase": "Running", "containerStatuses": [injected, container("backup", state)]}})
}

fn agent_is(state: Value) -> Value {
    let container = json!({"name": "agent", "image": "toygres:dev", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    json!({"status": {"phase": "Pending", "initContainerStatuses": [container]}})
}

fn event(of: &str, reason: &str, message: &str, first: &str) -> Event {
    object(json!({
        "metadata": {}, "involvedObject": {"uid": of}, "type": "Warning", "reason": reason, "message": message,
        "firstTimestamp": first, "lastTimestamp": first
    }))
}

fn state(job: Job, pod: Option<Pod>, events: Vec<Event>) -> JobState {
    let now: Timestamp = NOW.parse().expect("a time");
    Sight { job, pod, events, now }.state()
}

fn result(class: ExitClass) -> (String, AgentResult) {
    let result = AgentResult { class, error: None, events: 3, outcome: None };
    (serde_json::to_string(&result).expect("JSON"), result)
}

fn end(state: JobState) -> JobEnd {
    let JobState::Ended(end) = state else { panic!("it has ended: {state:?}") };
    end
}

/// Checks an end without result.
fn dies(state: JobState, code: Option<i32>, fatal: bool, words: &[&str]) {
    let end = end(state);
    let reason = end.reason.expect("words");
    assert_eq!((end.code, end.fatal, &end.result), (code, fatal, &None), "{reason}");
    for word in words {
        assert!(reason.contains(word), "{word:?} is not in {reason:?}");
    }
    assert!(reason.ends_with(|c: char| !c.is_whitespace()) && reason.contains("t-1"), "{reason}");
}

fn waits(state: JobState, words: &[&str]) {
    let JobState::Pending(said) = state else { panic!("it waits: {state:?}") };
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
}

#[test]
fn what_the_agent_says_of_itself_counts() {
    for class in [ExitClass::Ok, ExitClass::Unreachable, ExitClass::Verification] {
        let (message, expected) = result(class);
        let ended = main_is(json!({"terminated": {"exitCode": class.code(), "message": message}}));
        // Also when it was deleted, or late, at that moment.
        for pod in [pod(ended.clone()), pod(merged(ended, json!({"metadata": {"deletionTimestamp": NOW}})))] {
            for job in [job(json!({})), job(failed("DeadlineExceeded"))] {
                let end = end(state(job, Some(pod.clone()), vec![]));
                let expected = JobEnd {
                    code: Some(class.code()),
                    result: Some(expected.clone()),
                    reason: None,
                    fatal: false,
                };
                assert_eq!(end, expected);
            }
        }
    }
}

#[test]
fn who_told_it_to_stop_decides() {
    let (message, cancelled) = result(ExitClass::Cancelled);
    let told = main_is(json!({"terminated": {"exitCode": 143, "message": message}}));
    let stopped = json!({"metadata": {"annotations": {STOPPED: "true"}}});
    let ours = end(state(job(stopped.clone()), Some(pod(told.clone())), vec![]));
    assert_eq!((ours.result, ours.fatal), (Some(cancelled), false));

    let deleted = pod(merged(told.clone(), json!({"metadata": {"deletionTimestamp": NOW}})));
    dies(
        state(job(json!({})), Some(deleted.clone()), vec![]),
        Some(143),
        false,
        &["was deleted while it worked"],
    );
    dies(
        state(job(failed("DeadlineExceeded")), Some(deleted), vec![]),
        Some(143),
        true,
        &["longer than the 60 s"],
    );
    dies(state(job(json!({})), Some(pod(told)), vec![]), Some(143), false, &["code 143 (cancelled)"]);

    let killed = pod(main_is(json!({"terminated": {"exitCode": 137}})));
    dies(state(job(stopped.clone()), Some(killed), vec![]), Some(137), false, &["was stopped before"]);
    waits(state(job(stopped.clone()), None, vec![]), &["is being stopped"]);
    let suspended = json!({"status": {"conditions": [{"type": "Suspended", "status": "True"}]}});
    dies(state(job(merged(stopped, suspended)), None, vec![]), None, false, &["was stopped before"]);
}

#[test]
fn an_end_that_was_written_down_is_the_end() {
    let (_, result) = result(ExitClass::Cancelled);
    let written = JobEnd { code: Some(143), result: Some(result), reason: None, fatal: false };
    let text = serde_json::to_string(&written).expect("JSON");
    let job = job(json!({"metadata": {"annotations": {END: text}}}));
    assert_eq!(end(state(job, None, vec![])), written);
}

#[test]
fn killed_by_the_cluster() {
    let ended =
        |reason: &str, code: i32| main_is(json!({"terminated": {"exitCode": code, "reason": reason}}));
    let job = || job(json!({}));
    let oom = pod(ended("OOMKilled", 137));
    dies(state(job(), Some(oom), vec![]), Some(137), false, &["512Mi", "limits.memory in backup-job.yaml"]);

    let evicted = json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}});
    dies(
        state(job(), Some(pod(evicted)), vec![]),
        None,
        false,
        &["evicted", "node-7", "low on resource: memory. If"],
    );

    for (reason, words) in [
        ("PreemptionByScheduler", "higher priority"),
        ("DeletionByTaintManager", "stopped answering"),
        ("EvictionByEvictionAPI", "drained"),
        ("DeletionByPodGC", "is gone"),
        ("TerminationByKubelet", "shut down"),
        ("SomethingNew", "SomethingNew"),
    ] {
        let taken = json!({
            "metadata": {"deletionTimestamp": NOW},
            "status": {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "m."}]}
        });
        let pod = pod(merged(ended("Error", 143), taken));
        dies(state(job(), Some(pod), vec![]), Some(143), false, &["taken away", words, "(m)"]);
    }

    let unknown = pod(ended("ContainerStatusUnknown", 137));
    dies(state(job(), Some(unknown), vec![]), Some(137), false, &["node-7 was started anew"]);
    let silent =
        |when| pod(merged(main_is(json!({"running": {}})), json!({"metadata": {"deletionTimestamp": when}})));
    dies(
        state(job(), Some(silent("2026-11-22T07:57:00Z")), vec![]),
        None,
        false,
        &["node-7 does not answer"],
    );
    assert_eq!(state(job(), Some(silent("2026-11-22T07:59:00Z")), vec![]), JobState::Running);
}

#[test]
fn ended_by_itself_without_a_result() {
    let ends = |code: i32, reason: &str, fatal: bool, words: &[&str]| {
        let pod = pod(main_is(
            json!({"terminated": {"exitCode": code, "reason": reason, "message": "last\nwords."}}),
        ));
        let words = [words, &["last words"]].concat();
        dies(state(job(json!({})), Some(pod), vec![]), Some(code), fatal, &words);
    };
    ends(0, "Completed", false, &["ended well but left no result"]);
    ends(1, "Error", false, &["code 1 and"]);
    ends(10, "Error", true, &["code 10 (configuration)"]);
    ends(11, "Error", true, &["(authentication)"]);
    ends(12, "Error", false, &["(unreachable)"]);
    ends(13, "Error", true, &["(verification)"]);
    ends(20, "Error", false, &["(transient)"]);
    ends(127, "Error", true, &["could not be started", "backup-job.yaml"]);
    ends(128, "StartError", true, &["could not be started"]);
    ends(139, "Error", false, &["signal 11"]);
    let mute = json!({"status": {"phase": "Failed"}});
    dies(state(job(json!({})), Some(pod(mute)), vec![]), None, false, &["does not say why"]);
}

#[test]
fn the_agent_could_not_be_put_in_place() {
    let init = agent_is(json!({"terminated": {"exitCode": 1, "message": "cp: cannot stat 'x'\n"}}));
    let pod = pod(merged(init, json!({"status": {"phase": "Failed"}})));
    dies(state(job(json!({})), Some(pod), vec![]), None, true, &["cp: cannot stat 'x'", "toygres:dev"]);
}

#[test]
fn gone_without_a_trace() {
    dies(state(job(failed("BackoffLimitExceeded")), None, vec![]), None, false, &["is gone"]);
    dies(state(job(failed("DeadlineExceeded")), None, vec![]), None, true, &["60 s", "had not begun"]);
    let complete = json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}});
    dies(state(job(complete), None, vec![]), None, false, &["ended well, but its pod was deleted"]);
}

#[test]
fn images_get_a_minute() {
    let waiting = |reason: &str| agent_is(json!({"waiting": {"reason": reason, "message": "no such tag."}}));
    let job = || job(json!({}));
    let since = |first| {
        vec![
            event("pod", "Failed", "no such tag", first),
            event("other", "Failed", "x", "2026-11-22T07:00:00Z"),
        ]
    };
    for reason in ["ErrImagePull", "ImagePullBackOff"] {
        let words: &[&str] = &["toygres:dev", "cannot be pulled", "no such tag)", "backup-job.yaml"];
        waits(state(job(), Some(pod(waiting(reason))), since("2026-11-22T07:59:30Z")), words);
        dies(state(job(), Some(pod(waiting(reason))), since("2026-11-22T07:58:30Z")), None, true, words);
        // Nobody wrote down since when: the pod's age counts.
        dies(state(job(), Some(pod(waiting(reason))), vec![]), None, true, words);
    }
    for hopeless in ["InvalidImageName", "ErrImageNeverPull"] {
        dies(state(job(), Some(pod(waiting(hopeless))), since(NOW)), None, true, &[hopeless]);
    }
    let config = pod(main_is(
        json!({"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"s\" not found"}}),
    ));
    waits(
        state(job(), Some(config.clone()), since("2026-11-22T07:59:30Z")),
        &["backup", "secret \"s\" not found"],
    );
    dies(
        state(job(), Some(config), since("2026-11-22T07:58:00Z")),
        None,
        true,
        &["CreateContainerConfigError"],
    );
}

#[test]
fn what_has_not_begun_waits_for_something() {
    let unscheduled = |message: &str| {
        let condition =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
        Some(pod(json!({"status": {"phase": "Pending", "conditions": [condition]}})))
    };
    let waits = |pod, events, words: &[&str]| waits(state(job(json!({})), pod, events), words);
    waits(
        unscheduled("0/3 nodes are available: 3 Insufficient cpu."),
        vec![],
        &["waits for a node", "3 Insufficient cpu."],
    );
    waits(
        unscheduled("pod has unbound immediate PersistentVolumeClaims."),
        vec![],
        &["waits for its volume"],
    );
    waits(
        unscheduled("persistentvolumeclaim \"d\" not found"),
        vec![],
        &["waits for its volume", "\"d\" not found"],
    );
    let starting = || Some(pod(main_is(json!({"waiting": {"reason": "PodInitializing"}}))));
    waits(starting(), vec![], &["is being started."]);
    let early = event("pod", "FailedMount", "early", "2026-11-22T07:00:00Z");
    let late = event("pod", "FailedMount", "configmap \"c\" not found", "2026-11-22T07:01:00Z");
    waits(starting(), vec![late, early], &["is being started: configmap \"c\" not found."]);
    waits(None, vec![], &["is being made"]);
    let suspended = job(json!({"spec": {"suspend": true}}));
    super::tests::waits(state(suspended, None, vec![]), &["suspended", "kubectl patch job t-1"]);
    assert_eq!(state(job(json!({})), Some(pod(main_is(json!({"running": {}})))), vec![]), JobState::Running);
}

#[test]
fn pods_that_are_not_made() {
    let refused =
        |message: &str| state(job(json!({})), None, vec![event("job", "FailedCreate", message, NOW)]);
    waits(
        refused("Error creating: pods \"t-1-x\" is forbidden: exceeded quota: q, requested: pods=1"),
        &["waits for quota"],
    );
    waits(
        refused(
            "Error creating: pods \"t-1-\" is forbidden: error looking up service account n/s: serviceaccount \"s\" not found",
        ),
        &["service account"],
    );
    waits(
        refused("Error creating: Internal error occurred: failed calling webhook \"w\""),
        &["cannot be made yet"],
    );
    for message in [
        "Error creating: pods \"t-1-x\" is forbidden: violates PodSecurity \"restricted:latest\": privileged",
        "Error creating: admission webhook \"w\" denied the request: no",
        "Error creating: Pod \"t-1-x\" is invalid: spec.containers[0].image: Required value",
    ] {
        dies(refused(message), None, true, &["does not admit", message]);
    }
    let quota =
        "Error creating: pods \"t-1-x\" is forbidden: failed quota: q: must specify limits.memory for: agent";
    dies(refused(quota), None, true, &["limits.memory for: agent", "LimitRange"]);
}

#[test]
fn a_message_is_quoted_on_one_line() {
    assert_eq!(quoted(" a\n b.\n"), "a b");
    let long = quoted(&"ä".repeat(QUOTED));
    assert!(long.len() <= QUOTED && long.ends_with("ä…"));
}
