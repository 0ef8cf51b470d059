//! Every way to wait and to end, from objects as a cluster reports them.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::Timestamp;
use model::{AgentResult, ExitClass, Failure, FailureCode};
use serde_json::{Value, json};

use super::super::objects::job::MAIN;
use super::*;

const NOW: &str = "2026-11-22T08:00:00Z";

fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

/// `base` with the fields of `change`.
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

fn job_failed(reason: &str) -> Value {
    json!({"status": {"conditions": [{"type": "Failed", "status": "True", "reason": reason}]}})
}

fn pod(change: Value) -> Pod {
    let base = json!({
        "metadata": {
            "name": "t-1-abc", "uid": "pod", "creationTimestamp": "2026-11-22T07:00:00Z",
            "annotations": {MAIN: "backup"}
        },
        "spec": {"nodeName": "node-7", "containers": [
            {"name": "injected"},
            {"name": "backup", "resources": {"limits": {"memory": "512Mi"}}}
        ]}
    });
    object(merged(base, change))
}

fn container(name: &str, image: &str, state: Value) -> Value {
    json!({"name": name, "image": image, "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

/// A pod whose main container has this state.
fn main_is(state: Value) -> Value {
    let injected = container("injected", "mesh:1", json!({"running": {}}));
    let main = container("backup", "postgres:15", state);
    json!({"status": {"phase": "Running", "containerStatuses": [injected, main]}})
}

/// A pod whose init container has this state.
fn init_is(state: Value) -> Value {
    let init = container("agent", "toygres:dev", state);
    json!({"status": {"phase": "Pending", "initContainerStatuses": [init]}})
}

fn event(of: &str, reason: &str, message: &str, first: &str) -> Event {
    object(json!({
        "metadata": {}, "involvedObject": {"uid": of, "name": of}, "type": "Warning", "reason": reason,
        "message": message, "firstTimestamp": first, "lastTimestamp": first
    }))
}

fn state(job: Job, pod: Option<Pod>, events: Vec<Event>) -> JobState {
    let now: Timestamp = NOW.parse().expect("a time");
    JobSnapshot { job, pod, events, now }.state()
}

/// A result of this class, as JSON and parsed.
fn result(class: ExitClass) -> (String, AgentResult) {
    let code = match class {
        ExitClass::Ok => None,
        ExitClass::Cancelled => Some(FailureCode::Cancelled),
        ExitClass::Unreachable => Some(FailureCode::ConnectionRefused),
        _ => Some(FailureCode::ObjectDamaged),
    };
    let result = AgentResult { failure: code.map(|code| Failure::new(code, "x")), events: 3, outcome: None };
    assert_eq!(result.class(), class);
    (serde_json::to_string(&result).expect("JSON"), result)
}

fn end(state: JobState) -> JobEnd {
    let JobState::Ended(end) = state else { panic!("not ended: {state:?}") };
    end
}

/// Asserts an end without a result; returns the failure.
fn assert_failed(state: JobState, exit_code: Option<i32>, code: FailureCode) -> Failure {
    let end = end(state);
    let failure = end.failure.expect("a failure");
    assert_eq!((end.code, failure.code, end.result), (exit_code, code, None), "{failure}");
    failure
}

/// Asserts a job that waits for something; returns what.
fn assert_waits(state: JobState, code: FailureCode) -> Failure {
    let JobState::Pending(Some(failure)) = state else { panic!("not waiting: {state:?}") };
    assert_eq!(failure.code, code, "{failure}");
    failure
}

#[test]
fn result_of_the_agent_counts() {
    for class in [ExitClass::Ok, ExitClass::Unreachable, ExitClass::Verification] {
        let (message, expected) = result(class);
        let ended = main_is(json!({"terminated": {"exitCode": class.code(), "message": message}}));
        // Also if the pod was deleted, or the deadline exceeded, at that moment.
        for pod in [pod(ended.clone()), pod(merged(ended, json!({"metadata": {"deletionTimestamp": NOW}})))] {
            for job in [job(json!({})), job(job_failed("DeadlineExceeded"))] {
                let expected =
                    JobEnd { code: Some(class.code()), result: Some(expected.clone()), failure: None };
                assert_eq!(end(state(job, Some(pod.clone()), vec![])), expected);
            }
        }
    }
}

#[test]
fn cause_of_a_cancellation_decides() {
    let (message, cancelled) = result(ExitClass::Cancelled);
    let cancelled_pod = main_is(json!({"terminated": {"exitCode": 143, "message": message}}));
    let stopped = json!({"metadata": {"annotations": {STOPPED: "true"}}});
    let by_toygres = end(state(job(stopped.clone()), Some(pod(cancelled_pod.clone())), vec![]));
    assert_eq!((by_toygres.result, by_toygres.failure), (Some(cancelled), None));

    let deleted = pod(merged(cancelled_pod.clone(), json!({"metadata": {"deletionTimestamp": NOW}})));
    assert_failed(state(job(json!({})), Some(deleted.clone()), vec![]), Some(143), FailureCode::JobDeleted);
    let late = state(job(job_failed("DeadlineExceeded")), Some(deleted), vec![]);
    assert_failed(late, Some(143), FailureCode::JobDeadline);
    let by_another = state(job(json!({})), Some(pod(cancelled_pod)), vec![]);
    assert_failed(by_another, Some(143), FailureCode::JobKilled);

    let killed = pod(main_is(json!({"terminated": {"exitCode": 137}})));
    let killed = state(job(stopped.clone()), Some(killed), vec![]);
    assert_failed(killed, Some(137), FailureCode::JobWithoutResult);
    assert_eq!(state(job(stopped.clone()), None, vec![]), JobState::Pending(None));
    let suspended = json!({"status": {"conditions": [{"type": "Suspended", "status": "True"}]}});
    let suspended = state(job(merged(stopped, suspended)), None, vec![]);
    assert_failed(suspended, None, FailureCode::JobWithoutResult);
}

#[test]
fn recorded_end_is_the_end() {
    let (_, result) = result(ExitClass::Cancelled);
    let recorded = JobEnd { code: Some(143), result: Some(result), failure: None };
    let text = serde_json::to_string(&recorded).expect("JSON");
    let job = job(json!({"metadata": {"annotations": {END: text}}}));
    assert_eq!(end(state(job, None, vec![])), recorded);
}

#[test]
fn end_recorded_by_an_earlier_version_is_the_end() {
    let text = r#"{"code":143,"result":{"class":"cancelled","error":null,"events":3,"outcome":null},"reason":null,"fatal":false}"#;
    let job = job(json!({"metadata": {"annotations": {END: text}}}));
    let end = end(state(job, None, vec![]));
    assert_eq!((end.code, end.failure), (Some(143), None));
    assert_eq!(end.result.map(|result| result.class()), Some(ExitClass::Cancelled));
}

#[test]
fn cluster_ends_a_pod() {
    let ended =
        |reason: &str, code: i32| main_is(json!({"terminated": {"exitCode": code, "reason": reason}}));
    let job = || job(json!({}));
    let oom = state(job(), Some(pod(ended("OOMKilled", 137))), vec![]);
    let failure = assert_failed(oom, Some(137), FailureCode::OutOfMemory);
    assert!(failure.detail.contains("512Mi"), "the limit: {failure}");

    let message = "The node was low on resource: memory.";
    let evicted = json!({"status": {"phase": "Failed", "reason": "Evicted", "message": message}});
    let failure = assert_failed(state(job(), Some(pod(evicted)), vec![]), None, FailureCode::Evicted);
    assert_eq!(failure.subject.as_deref(), Some("t-1-abc"));
    assert_eq!(failure.detail, "Evicted on node node-7: The node was low on resource: memory");

    for (reason, code) in [
        ("PreemptionByScheduler", FailureCode::Evicted),
        ("EvictionByEvictionAPI", FailureCode::Evicted),
        ("TerminationByKubelet", FailureCode::Evicted),
        ("SomethingNew", FailureCode::Evicted),
        ("DeletionByTaintManager", FailureCode::NodeLost),
        ("DeletionByPodGC", FailureCode::NodeLost),
    ] {
        let disrupted = json!({
            "metadata": {"deletionTimestamp": NOW},
            "status": {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "m."}]}
        });
        let pod = pod(merged(ended("Error", 143), disrupted));
        let failure = assert_failed(state(job(), Some(pod), vec![]), Some(143), code);
        assert_eq!(failure.detail, format!("{reason} on node node-7: m"));
    }

    let unknown = pod(ended("ContainerStatusUnknown", 137));
    assert_failed(state(job(), Some(unknown), vec![]), Some(137), FailureCode::NodeLost);
    let deleted_at = |time| {
        let deleted = json!({"metadata": {"deletionTimestamp": time}});
        state(job(), Some(pod(merged(main_is(json!({"running": {}})), deleted))), vec![])
    };
    let failure = assert_failed(deleted_at("2026-11-22T07:57:00Z"), None, FailureCode::NodeLost);
    assert_eq!(failure.subject.as_deref(), Some("node-7"));
    assert_eq!(deleted_at("2026-11-22T07:59:00Z"), JobState::Running);
}

#[test]
fn agent_ends_without_a_result() {
    for (exit_code, reason, code) in [
        (0, "Completed", FailureCode::JobWithoutResult),
        (1, "Error", FailureCode::JobWithoutResult),
        (10, "Error", FailureCode::TaskInvalid),
        (11, "Error", FailureCode::JobWithoutResult),
        (20, "Error", FailureCode::JobWithoutResult),
        (127, "Error", FailureCode::AgentNotStarted),
        (128, "StartError", FailureCode::AgentNotStarted),
        (139, "Error", FailureCode::JobKilled),
    ] {
        let terminated = json!({"exitCode": exit_code, "reason": reason, "message": "last\nlines."});
        let pod = pod(main_is(json!({"terminated": terminated})));
        let failure = assert_failed(state(job(json!({})), Some(pod), vec![]), Some(exit_code), code);
        assert_eq!(failure.subject.as_deref(), Some("t-1-abc"));
        assert!(failure.detail.ends_with(": last lines"), "the output: {failure}");
    }
    let silent = pod(json!({"status": {"phase": "Failed"}}));
    assert_failed(state(job(json!({})), Some(silent), vec![]), None, FailureCode::JobWithoutResult);
}

#[test]
fn agent_cannot_be_copied_into_the_pod() {
    let init = init_is(json!({"terminated": {"exitCode": 1, "message": "cp: cannot stat 'x'\n"}}));
    let pod = pod(merged(init, json!({"status": {"phase": "Failed"}})));
    let failure = assert_failed(state(job(json!({})), Some(pod), vec![]), None, FailureCode::AgentNotStarted);
    assert_eq!(failure.subject.as_deref(), Some("toygres:dev"));
    assert!(failure.detail.ends_with("cp: cannot stat 'x'"), "{failure}");
}

/// A pod with a sidecar in this state, which follows `last`, and a main container in the state `main`.
fn sidecar_is(state: Value, last: Value, main: Value) -> Pod {
    let mut sidecar = container("postgres", "postgres:15", state);
    sidecar["lastState"] = last;
    let spec = json!({"spec": {"initContainers": [
        {"name": "agent"},
        {"name": "postgres", "restartPolicy": "Always", "resources": {"limits": {"memory": "2Gi"}}}
    ]}});
    let status = json!({"status": {"initContainerStatuses": [sidecar]}});
    pod(merged(merged(main_is(main), spec), status))
}

#[test]
fn end_of_the_sidecar_does_not_decide() {
    let running = || json!({"running": {}});
    let pod = sidecar_is(json!({"terminated": {"exitCode": 143}}), json!({}), running());
    assert_eq!(state(job(json!({})), Some(pod), vec![]), JobState::Running);
    // It is stopped after the agent, and killed if that takes too long.
    for sidecar in
        [running(), json!({"terminated": {"exitCode": 0}}), json!({"terminated": {"exitCode": 137}})]
    {
        for class in [ExitClass::Ok, ExitClass::Unreachable] {
            let (message, expected) = result(class);
            let main = json!({"terminated": {"exitCode": class.code(), "message": message}});
            let pod = sidecar_is(sidecar.clone(), json!({}), main);
            let expected = JobEnd { code: Some(class.code()), result: Some(expected), failure: None };
            assert_eq!(end(state(job(json!({})), Some(pod), vec![])), expected);
        }
        let killed = sidecar_is(sidecar, json!({}), json!({"terminated": {"exitCode": 137}}));
        assert_failed(state(job(json!({})), Some(killed), vec![]), Some(137), FailureCode::JobKilled);
    }
}

#[test]
fn crash_of_the_sidecar_explains_the_failure_of_the_agent() {
    let ended_with = |code: FailureCode| {
        let result = AgentResult { failure: Some(Failure::new(code, "x")), events: 3, outcome: None };
        let message = serde_json::to_string(&result).expect("JSON");
        json!({"terminated": {"exitCode": result.class().code(), "message": message}})
    };
    let oom = || json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    let lost = FailureCode::ConnectionLost;
    for (sidecar, last) in [(json!({"running": {}}), oom()), (oom(), json!({}))] {
        let pod = sidecar_is(sidecar, last, ended_with(lost));
        let exit_code = Some(ExitClass::from(lost).code());
        let failure =
            assert_failed(state(job(json!({})), Some(pod), vec![]), exit_code, FailureCode::OutOfMemory);
        assert!(failure.detail.contains("postgres") && failure.detail.contains("2Gi"), "{failure}");
    }
    let ended = json!({"terminated": {"exitCode": 10, "message": "cannot listen\n"}});
    let pod = sidecar_is(json!({"running": {}}), ended.clone(), ended_with(FailureCode::ServerStartFailed));
    let code = end(state(job(json!({})), Some(pod), vec![])).failure.expect("a failure");
    assert_eq!(code.code, FailureCode::AgentNotStarted);
    assert!(code.detail.ends_with("cannot listen"), "{code}");
    // What the agent found in the image does not follow from it.
    let pod = sidecar_is(json!({"running": {}}), ended, ended_with(FailureCode::ObjectDamaged));
    let damaged = end(state(job(json!({})), Some(pod), vec![])).result.and_then(|result| result.failure);
    assert_eq!(damaged.map(|failure| failure.code), Some(FailureCode::ObjectDamaged));
}

#[test]
fn sidecar_that_does_not_start_is_explained() {
    let initializing = || json!({"waiting": {"reason": "PodInitializing"}});
    let waiting = |reason: &str| json!({"waiting": {"reason": reason, "message": "m"}});
    let first = |pod: &str| vec![event(pod, "Failed", "m", "2026-11-22T07:59:30Z")];
    let pull = sidecar_is(waiting("ErrImagePull"), json!({}), initializing());
    let failure =
        assert_waits(state(job(json!({})), Some(pull), first("pod")), FailureCode::ContainerImagePull);
    assert_eq!(failure.subject.as_deref(), Some("postgres:15"));
    let last = json!({"terminated": {"exitCode": 10, "message": "cannot listen"}});
    for (now, before) in [(waiting("CrashLoopBackOff"), last.clone()), (last.clone(), json!({}))] {
        let crashing = || sidecar_is(now.clone(), before.clone(), initializing());
        let early = state(job(json!({})), Some(crashing()), first("pod"));
        assert_waits(early, FailureCode::AgentNotStarted);
        let late = state(job(json!({})), Some(crashing()), vec![]);
        let failure = assert_failed(late, None, FailureCode::AgentNotStarted);
        assert!(failure.detail.ends_with("cannot listen"), "{failure}");
    }
}

#[test]
fn job_ended_and_its_pod_does_not_exist() {
    let without_pod = |change| state(job(change), None, vec![]);
    assert_failed(without_pod(job_failed("BackoffLimitExceeded")), None, FailureCode::JobDeleted);
    let failure = assert_failed(without_pod(job_failed("DeadlineExceeded")), None, FailureCode::JobDeadline);
    assert!(failure.detail.contains("60 s"), "the limit: {failure}");
    let complete = json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}});
    assert_failed(without_pod(complete), None, FailureCode::JobWithoutResult);
}

#[test]
fn container_that_does_not_start_has_a_minute() {
    let job = || job(json!({}));
    let waiting =
        |reason: &str| pod(init_is(json!({"waiting": {"reason": reason, "message": "no such tag."}})));
    let since = |first| {
        let of_another_pod = event("other", "Failed", "x", "2026-11-22T07:00:00Z");
        vec![event("pod", "Failed", "no such tag", first), of_another_pod]
    };
    for reason in ["ErrImagePull", "ImagePullBackOff"] {
        let early = state(job(), Some(waiting(reason)), since("2026-11-22T07:59:30Z"));
        let expected =
            Failure::new(FailureCode::ContainerImagePull, format!("{reason}: no such tag")).on("toygres:dev");
        assert_eq!(assert_waits(early, FailureCode::ContainerImagePull), expected);
        // Without an event, the age of the pod counts.
        for events in [since("2026-11-22T07:58:30Z"), vec![]] {
            let late = state(job(), Some(waiting(reason)), events);
            assert_eq!(assert_failed(late, None, FailureCode::ContainerImagePull), expected);
        }
    }
    for reason in ["InvalidImageName", "ErrImageNeverPull"] {
        let immediate = state(job(), Some(waiting(reason)), since(NOW));
        assert_failed(immediate, None, FailureCode::ContainerImagePull);
    }
    let message = "secret \"s\" not found";
    let config = json!({"waiting": {"reason": "CreateContainerConfigError", "message": message}});
    let config = || Some(pod(main_is(config.clone())));
    let early = state(job(), config(), since("2026-11-22T07:59:30Z"));
    let failure = assert_waits(early, FailureCode::ContainerNotStarted);
    assert_eq!(failure.subject.as_deref(), Some("backup"));
    let late = state(job(), config(), since("2026-11-22T07:58:00Z"));
    assert_failed(late, None, FailureCode::ContainerNotStarted);
}

#[test]
fn pod_that_has_not_started_waits() {
    let state = |pod, events| state(job(json!({})), pod, events);
    let unscheduled = |message: &str| {
        let condition =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
        Some(pod(json!({"status": {"phase": "Pending", "conditions": [condition]}})))
    };
    let cpu = unscheduled("0/3 nodes are available: 3 Insufficient cpu.");
    assert_waits(state(cpu, vec![]), FailureCode::Unschedulable);
    let unbound = unscheduled("pod has unbound immediate PersistentVolumeClaims.");
    assert_waits(state(unbound, vec![]), FailureCode::VolumePending);
    let missing = unscheduled("persistentvolumeclaim \"d\" not found");
    let failure = assert_waits(state(missing, vec![]), FailureCode::ClaimMissing);
    assert_eq!(failure.subject.as_deref(), Some("d"));

    let starting = || Some(pod(main_is(json!({"waiting": {"reason": "PodInitializing"}}))));
    assert_eq!(state(starting(), vec![]), JobState::Pending(None));
    let early = event("pod", "FailedMount", "early", "2026-11-22T07:00:00Z");
    let late = event("pod", "FailedAttachVolume", "late.", "2026-11-22T07:01:00Z");
    let newest = state(starting(), vec![late, early]);
    assert_eq!(assert_waits(newest, FailureCode::VolumeNotAttached).detail, "late");
    assert_eq!(state(Some(pod(main_is(json!({"running": {}})))), vec![]), JobState::Running);
}

#[test]
fn job_without_a_pod_waits_or_is_rejected() {
    assert_eq!(state(job(json!({})), None, vec![]), JobState::Pending(None));
    let suspended = state(job(json!({"spec": {"suspend": true}})), None, vec![]);
    assert_waits(suspended, FailureCode::JobSuspended);

    let rejected =
        |message: &str| state(job(json!({})), None, vec![event("job", "FailedCreate", message, NOW)]);
    let quota = "Error creating: pods \"t-1-x\" is forbidden: exceeded quota: q, requested: pods=1";
    let failure = assert_waits(rejected(quota), FailureCode::QuotaExceeded);
    assert_eq!(failure, Failure::new(FailureCode::QuotaExceeded, quota).on("t-1"));
    let account = "Error creating: pods \"t-1-\" is forbidden: error looking up service account n/s: serviceaccount \"s\" not found";
    assert_waits(rejected(account), FailureCode::ServiceAccountMissing);
    let webhook = "Error creating: Internal error occurred: failed calling webhook \"w\": no endpoints";
    assert_waits(rejected(webhook), FailureCode::PlatformUnavailable);
    assert_waits(rejected("Error creating: etcdserver: timeout"), FailureCode::PlatformUnavailable);
    let policy =
        "Error creating: pods \"t-1-x\" is forbidden: violates PodSecurity \"restricted:latest\": privileged";
    assert_failed(rejected(policy), None, FailureCode::AdmissionDenied);
    let limits =
        "Error creating: pods \"t-1-x\" is forbidden: failed quota: q: must specify limits.memory for: agent";
    assert_failed(rejected(limits), None, FailureCode::QuotaUnspecified);
}

#[test]
fn container_that_was_never_started_has_no_log() {
    let ended = |started: &str| json!({"terminated": {"exitCode": 128, "reason": "StartError", "startedAt": started}});
    for (state, expected) in [
        (json!({"waiting": {"reason": "ContainerCreating"}}), false),
        (json!({"running": {"startedAt": "2026-11-22T07:59:00Z"}}), true),
        (ended("2026-11-22T07:59:00Z"), true),
        (ended("1970-01-01T00:00:00Z"), false),
        (json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}}), false),
    ] {
        assert_eq!(has_started(&pod(main_is(state.clone()))), expected, "{state}");
    }
    assert!(!has_started(&pod(json!({}))));
}
