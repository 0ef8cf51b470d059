//! The states of servers, from objects as a cluster reports them.

use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-03-01T12:00:00Z";

fn server(replicas: i32) -> StatefulSet {
    serde_json::from_value(json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": "orders", "generation": 2 },
        "spec": { "replicas": replicas, "selector": {}, "template": {} },
        "status": { "replicas": 1, "observedGeneration": 2, "updateRevision": "orders-2" },
    }))
    .expect("a StatefulSet")
}

/// A pod that was created `age` seconds ago.
fn pod(age: i64, status: Value) -> Pod {
    let now: Timestamp = NOW.parse().expect("a time");
    let created = now - k8s_openapi::jiff::SignedDuration::from_secs(age);
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "orders-0",
            "creationTimestamp": created.to_string(),
            "labels": { "controller-revision-hash": "orders-2" },
        },
        "spec": { "containers": [], "nodeName": "node-1" },
        "status": status,
    }))
    .expect("a Pod")
}

fn container(state: Value, last: Value) -> Value {
    json!({ "phase": "Running", "containerStatuses": [{
        "name": "postgres", "image": "postgres:17", "imageID": "", "ready": false, "restartCount": 1,
        "state": state, "lastState": last,
    }] })
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({ "waiting": { "reason": reason, "message": message } })
}

fn unscheduled(message: &str) -> Pod {
    let condition =
        json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message });
    pod(500, json!({ "phase": "Pending", "conditions": [condition] }))
}

fn warning(reason: &str, message: &str, time: &str) -> Event {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e" }, "involvedObject": {},
        "reason": reason, "message": message, "lastTimestamp": time, "type": "Warning",
    }))
    .expect("an Event")
}

fn state(pod: &Pod, warnings: &[Event]) -> ServerState {
    not_ready("orders", pod, warnings, NOW.parse().expect("a time"))
}

fn assert_starting(state: &ServerState) {
    assert!(matches!(state, ServerState::Starting(_)), "{state:?}");
}

/// Asserts a server that waits; returns for what.
fn assert_waits(state: ServerState, code: FailureCode) -> Failure {
    let ServerState::Waiting(failure) = state else { panic!("not waiting: {state:?}") };
    assert_eq!(failure.code, code, "{failure}");
    failure
}

/// Asserts a server that cannot run; returns why.
fn assert_failed(state: ServerState, code: FailureCode) -> Failure {
    let ServerState::Failed(failure) = state else { panic!("not failed: {state:?}") };
    assert_eq!(failure.code, code, "{failure}");
    failure
}

#[test]
fn server_is_stopped_when_its_pod_does_not_exist() {
    assert_eq!(expected(&server(0), &[]), Some(ServerState::Stopped));
    assert_starting(&expected(&server(0), &[pod(100, json!({}))]).expect("a state"));
}

#[test]
fn server_runs_when_a_pod_of_the_current_configuration_is_ready() {
    let ready = [pod(100, json!({ "conditions": [{ "type": "Ready", "status": "True" }] }))];
    assert_eq!(expected(&server(1), &ready), Some(ServerState::Running));
    let mut unprocessed = server(1);
    unprocessed.metadata.generation = Some(3);
    assert_starting(&expected(&unprocessed, &ready).expect("a state"));
    let mut changed = server(1);
    changed.status.as_mut().expect("status").update_revision = Some("orders-3".to_owned());
    assert_starting(&expected(&changed, &ready).expect("a state"));
    assert_eq!(expected(&server(1), &[pod(1, json!({}))]), None);
}

#[test]
fn container_image_that_cannot_be_pulled_has_a_minute() {
    let status = container(waiting("ImagePullBackOff", "Back-off pulling image"), json!({}));
    let expected = Failure::new(FailureCode::ContainerImagePull, "ImagePullBackOff: Back-off pulling image")
        .on("postgres:17");
    assert_eq!(state(&pod(10, status.clone()), &[]), ServerState::Waiting(expected.clone()));
    assert_eq!(state(&pod(100, status), &[]), ServerState::Failed(expected));
    let invalid = container(waiting("InvalidImageName", "couldn't parse"), json!({}));
    assert_failed(state(&pod(1, invalid), &[]), FailureCode::ContainerImagePull);
    let config = container(waiting("CreateContainerConfigError", "secret \"s\" not found"), json!({}));
    assert_waits(state(&pod(10, config), &[]), FailureCode::ContainerNotStarted);
}

#[test]
fn crash_is_reported_with_its_output() {
    let output = "LOG:  starting\nFATAL:  database files are incompatible with server\nDETAIL:  version 16\n";
    let last = json!({ "terminated": { "exitCode": 1, "reason": "Error", "message": output } });
    let detail = "exit code 1: FATAL: database files are incompatible with server DETAIL: version 16";
    let looping = container(waiting("CrashLoopBackOff", "back-off 10s"), last.clone());
    let failure = assert_failed(state(&pod(5, looping), &[]), FailureCode::CrashLoop);
    assert_eq!((failure.subject.as_deref(), &*failure.detail), (Some("orders-0"), detail));
    for crashed in [container(json!({ "running": {} }), last.clone()), container(last, json!({}))] {
        let failure = assert_waits(state(&pod(5, crashed), &[]), FailureCode::ServerStartFailed);
        assert_eq!(failure.detail, detail);
    }
    let silent = json!({ "terminated": { "exitCode": 2, "message": "\n" } });
    let failure =
        assert_waits(state(&pod(5, container(silent, json!({}))), &[]), FailureCode::ServerStartFailed);
    assert_eq!(failure.detail, "exit code 2: no output");
    let killed = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
    let looping = container(waiting("CrashLoopBackOff", ""), killed);
    assert_failed(state(&pod(5, looping), &[]), FailureCode::OutOfMemory);
}

#[test]
fn pod_without_a_node_waits() {
    let full = unscheduled("0/1 nodes are available: 1 Insufficient cpu.");
    assert_waits(state(&full, &[]), FailureCode::Unschedulable);
    let missing = |claim| {
        unscheduled(&format!("0/1 nodes are available: persistentvolumeclaim \"{claim}\" not found."))
    };
    let failure = assert_waits(state(&missing("orders"), &[]), FailureCode::VolumeLost);
    assert_eq!(failure.subject.as_deref(), Some("orders"));
    assert_waits(state(&missing("of-a-sidecar"), &[]), FailureCode::ClaimMissing);
    let warnings = [
        warning("ProvisioningFailed", "no such class \"fast\".", "2026-03-01T11:59:00Z"),
        warning("FailedScheduling", "no nodes", "2026-03-01T11:59:59Z"),
    ];
    let unbound = unscheduled("pod has unbound immediate PersistentVolumeClaims");
    let failure = assert_waits(state(&unbound, &warnings), FailureCode::VolumePending);
    assert_eq!(failure, Failure::new(FailureCode::VolumePending, "no such class \"fast\"").on("orders"));
}

#[test]
fn newest_informative_warning_is_reported() {
    let preparing = pod(5, json!({ "phase": "Pending" }));
    let warnings = [
        warning("FailedMount", "the older", "2026-03-01T11:58:00Z"),
        warning("FailedAttachVolume", "the newer", "2026-03-01T11:59:00Z"),
        warning("Unhealthy", "a probe", "2026-03-01T11:59:59Z"),
    ];
    let failure = assert_waits(state(&preparing, &warnings), FailureCode::VolumeNotAttached);
    assert_eq!(failure.detail, "the newer");
}

#[test]
fn rejection_counts_only_for_the_current_configuration() {
    let mut server = server(1);
    let applied = json!([{ "manager": "toygres", "operation": "Apply", "time": "2026-03-01T11:59:00Z" }]);
    server.metadata.managed_fields = serde_json::from_value(applied).expect("managers");
    let after = "2026-03-01T11:59:01Z";
    let event = |message: &str, time: &str| warning("FailedCreate", message, time);
    let state = |events: &[Event]| without_pod(rejected(&server, events));
    let quota = "create Pod orders-0 in StatefulSet orders failed error: pods \"orders-0\" is forbidden: exceeded quota: q, requested: pods=1";
    let failure = assert_waits(state(&[event(quota, after)]), FailureCode::QuotaExceeded);
    assert_eq!(failure.subject.as_deref(), Some("orders"));
    let limits =
        "pods \"orders-0\" is forbidden: failed quota: compute: must specify limits.memory for: postgres";
    assert_failed(state(&[event(limits, after)]), FailureCode::QuotaUnspecified);
    let policy =
        "pods \"orders-0\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true";
    assert_failed(state(&[event(policy, after)]), FailureCode::AdmissionDenied);
    assert_waits(state(&[event("etcdserver: request timed out", after)]), FailureCode::PlatformUnavailable);
    assert_starting(&state(&[]));
    assert_starting(&state(&[event(policy, "2026-03-01T11:58:59Z")]));
    let mut created = warning("SuccessfulCreate", "create Pod orders-0 successful", "2026-03-01T11:59:30Z");
    created.type_ = Some("Normal".to_owned());
    assert_starting(&state(&[event(policy, after), created]));
}

#[test]
fn lost_node_is_distinguished_from_a_recovery() {
    let recovering = container(json!({ "running": {} }), json!({}));
    assert_starting(&state(&pod(500, recovering.clone()), &[]));
    let mut lost = recovering;
    lost["containerStatuses"][0]["ready"] = json!(true);
    assert_waits(state(&pod(500, lost), &[]), FailureCode::NodeLost);
    let evicted = json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on memory." });
    let failure = assert_waits(state(&pod(500, evicted), &[]), FailureCode::Evicted);
    assert_eq!(failure.detail, "The node was low on memory");
}

#[test]
fn normal_phases_of_a_start_are_not_failures() {
    let preparing = pod(5, json!({ "phase": "Pending" }));
    let creating = pod(5, container(waiting("ContainerCreating", ""), json!({})));
    let recovering = pod(5, container(json!({ "running": {} }), json!({})));
    for state in [state(&preparing, &[]), state(&recovering, &[]), state(&creating, &[]), without_pod(None)] {
        assert_starting(&state);
    }
}
