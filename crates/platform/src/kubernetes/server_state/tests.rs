//! Pods as kubelets describe them, and what becomes of them in words.

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

/// A pod that was made `age` seconds ago.
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

fn warning(reason: &str, message: &str, time: &str) -> Event {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e" }, "involvedObject": {},
        "reason": reason, "message": message, "lastTimestamp": time, "type": "Warning",
    }))
    .expect("an Event")
}

fn state(pod: &Pod, warnings: &[Event]) -> ServerState {
    unsettled(pod, warnings, NOW.parse().expect("a time"))
}

fn assert_words(state: &ServerState, failed: bool, parts: &[&str]) {
    let (ServerState::Starting(words) | ServerState::Waiting(words) | ServerState::Failed(words)) = state
    else {
        panic!("{state:?}")
    };
    assert_eq!(matches!(state, ServerState::Failed(_)), failed, "{words}");
    for part in parts {
        assert!(words.contains(part), "{part:?} is missing: {words}");
    }
}

#[test]
fn stopped_is_said_when_the_pod_is_gone() {
    assert_eq!(settled(&server(0), &[]), Some(ServerState::Stopped));
    let ending = settled(&server(0), &[pod(100, json!({}))]).expect("a state");
    assert_words(&ending, false, &["being stopped"]);
}

#[test]
fn running_is_a_ready_pod_of_the_newest_settings() {
    let ready = pod(100, json!({ "conditions": [{ "type": "Ready", "status": "True" }] }));
    assert_eq!(settled(&server(1), std::slice::from_ref(&ready)), Some(ServerState::Running));
    let mut unseen = server(1);
    unseen.metadata.generation = Some(3);
    assert_words(&settled(&unseen, std::slice::from_ref(&ready)).expect("a state"), false, &["new settings"]);
    let mut changed = server(1);
    changed.status.as_mut().expect("status").update_revision = Some("orders-3".to_owned());
    assert_words(&settled(&changed, &[ready]).expect("a state"), false, &["made anew"]);
    assert_eq!(settled(&server(1), &[pod(1, json!({}))]), None);
}

#[test]
fn an_image_that_cannot_be_had_is_waited_for_a_while() {
    let status = container(waiting("ImagePullBackOff", "Back-off pulling image"), json!({}));
    assert_words(&state(&pod(10, status.clone()), &[]), false, &["postgres:17", "TOYGRES_POSTGRES_IMAGES"]);
    assert_words(&state(&pod(100, status), &[]), true, &["postgres:17", "Back-off pulling image"]);
    let wrong = container(waiting("InvalidImageName", "couldn't parse"), json!({}));
    assert_words(&state(&pod(1, wrong), &[]), true, &["couldn't parse"]);
}

#[test]
fn a_server_that_does_not_start_says_its_last_words() {
    let words = "LOG:  starting\nFATAL:  database files are incompatible with server\nDETAIL:  version 16\n";
    let last = json!({ "terminated": { "exitCode": 1, "reason": "Error", "message": words } });
    let looping = container(waiting("CrashLoopBackOff", "back-off 10s"), last.clone());
    assert_words(
        &state(&pod(5, looping), &[]),
        true,
        &["exit code 1", "incompatible with server", "version 16"],
    );
    let again = container(json!({ "running": {} }), last.clone());
    assert_words(&state(&pod(5, again), &[]), false, &["starts again", "incompatible"]);
    assert_words(&state(&pod(5, container(last, json!({}))), &[]), false, &["exit code 1"]);
    let killed = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
    let looping = container(waiting("CrashLoopBackOff", ""), killed);
    assert_words(&state(&pod(5, looping), &[]), true, &["memory", "limits.memory"]);
}

#[test]
fn a_pod_without_a_node_says_why() {
    let unscheduled = |message: &str| {
        let why = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message });
        pod(500, json!({ "phase": "Pending", "conditions": [why] }))
    };
    let full = state(&unscheduled("0/1 nodes are available: 1 Insufficient cpu."), &[]);
    assert_words(&full, false, &["Insufficient cpu", "Add a node"]);
    let lost = "0/1 nodes are available: persistentvolumeclaim \"orders\" not found. not found";
    assert_words(
        &state(&unscheduled(lost), &[]),
        false,
        &["volume is gone", "PersistentVolumeClaim orders.", "Restore"],
    );
    let warnings = [
        warning("ProvisioningFailed", "no such class \"fast\"", "2026-03-01T11:59:00Z"),
        warning("FailedScheduling", "no nodes", "2026-03-01T11:59:59Z"),
    ];
    let unbound = unscheduled("pod has unbound immediate PersistentVolumeClaims");
    assert_words(&state(&unbound, &warnings), false, &["no such class \"fast\".", "storageclass"]);
}

#[test]
fn what_the_cluster_warned_of_last_is_told() {
    let preparing = pod(5, json!({ "phase": "Pending" }));
    let warnings = [
        warning("FailedMount", "the older", "2026-03-01T11:58:00Z"),
        warning("FailedMount", "the newer", "2026-03-01T11:59:00Z"),
        warning("Unhealthy", "a probe", "2026-03-01T11:59:59Z"),
    ];
    assert_words(&state(&preparing, &warnings), false, &["being prepared", "the newer."]);
}

#[test]
fn what_is_told_of_a_server_without_a_pod_is_about_its_newest_settings() {
    let mut server = server(1);
    let asked = json!([{ "manager": "toygres", "operation": "Apply", "time": "2026-03-01T11:59:00Z" }]);
    server.metadata.managed_fields = serde_json::from_value(asked).expect("managers");
    let told = |message: &str, time: &str| vec![warning("FailedCreate", message, time)];
    let after = "2026-03-01T11:59:01Z";
    let words = |events: &[Event]| without_pod(refusal(&server, events));
    assert_words(&words(&told("exceeded quota: pods", after)), false, &["quota", "requests"]);
    let limits = "failed quota: compute: must specify limits.memory for: postgres";
    assert_words(&words(&told(limits, after)), true, &["limits.memory", "LimitRange"]);
    let policy = "violates PodSecurity \"restricted:latest\"";
    assert_words(&words(&told(policy, after)), true, &["PodSecurity"]);
    assert_words(&words(&[]), false, &["being made"]);
    assert_words(&words(&told(policy, "2026-03-01T11:58:59Z")), false, &["being made"]);
    let mut made = warning("SuccessfulCreate", "create Pod orders-0 successful", "2026-03-01T11:59:30Z");
    made.type_ = Some("Normal".to_owned());
    let gone_again = [told(policy, after), vec![made]].concat();
    assert_words(&words(&gone_again), false, &["being made"]);
}

#[test]
fn a_lost_node_is_told_from_a_recovery() {
    let recovering = container(json!({ "running": {} }), json!({}));
    assert_words(&state(&pod(500, recovering.clone()), &[]), false, &["starting or recovering"]);
    let mut lost = recovering;
    lost["containerStatuses"][0]["ready"] = json!(true);
    assert_words(&state(&pod(500, lost), &[]), false, &["node-1 does not answer"]);
    let evicted = json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on memory." });
    assert_words(&state(&pod(500, evicted), &[]), false, &["low on memory"]);
}

#[test]
fn only_what_somebody_may_have_to_mend_is_waited_for() {
    let preparing = pod(5, json!({ "phase": "Pending" }));
    let recovering = pod(5, container(json!({ "running": {} }), json!({})));
    for ordinary in [state(&preparing, &[]), state(&recovering, &[]), without_pod(None)] {
        assert!(matches!(ordinary, ServerState::Starting(_)), "{ordinary:?}");
    }
    let unmounted = state(&preparing, &[warning("FailedMount", "no such volume", NOW)]);
    let full = without_pod(Some("exceeded quota: pods".to_owned()));
    let crashed = json!({ "terminated": { "exitCode": 1, "reason": "Error", "message": "FATAL: no" } });
    let again = state(&pod(5, container(json!({ "running": {} }), crashed)), &[]);
    for trouble in [unmounted, full, again] {
        assert!(matches!(trouble, ServerState::Waiting(_)), "{trouble:?}");
    }
}
