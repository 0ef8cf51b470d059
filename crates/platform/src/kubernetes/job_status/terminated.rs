//! How the pod of a job ended: the agent's own result, or what the cluster did to the pod.

use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, Pod};
use kube::ResourceExt;
use model::{AgentResult, ExitClass, Failure, FailureCode};

use super::super::events::quoted;
use super::pod::{OUT_OF_MEMORY, crash_of_sidecar, failed_init, is_over, main_container, main_state, node};
use super::snapshot::JobSnapshot;
use crate::JobEnd;
use crate::job::code_without_result;

/// How long a deleted pod may exist beyond its grace period, in seconds. Then its node is considered lost.
const NODE_TIMEOUT: i64 = 120;

/// The end of a job whose pod has ended; none if the pod has not.
pub(super) fn end_of(snapshot: &JobSnapshot, pod: &Pod) -> Option<JobEnd> {
    if !is_over(pod) {
        return node_lost(snapshot, pod).map(JobEnd::failed);
    }
    let ended = main_state(pod).and_then(|state| state.terminated.as_ref());
    let result = ended.and_then(result_of);
    let code = result.as_ref().map(|result| result.class().code()).or(ended.map(|ended| ended.exit_code));
    if let Some(failure) = result.as_ref().and_then(|result| result.failure.as_ref())
        && let Some(crash) = sidecar_crashed(pod, failure)
    {
        return Some(JobEnd { code, result: None, failure: Some(crash) });
    }
    // The agent's own result counts. But a cancelled agent does not know what stopped it, unless it was Toygres.
    if result.as_ref().is_some_and(|result| result.class() != ExitClass::Cancelled || snapshot.is_stopped()) {
        return Some(JobEnd { code, result, failure: None });
    }
    let failure = snapshot
        .stopped()
        .or_else(|| snapshot.deadline_exceeded())
        .or_else(|| disrupted(pod))
        .or_else(|| out_of_memory(pod, ended?))
        .or_else(|| deleted(pod))
        .or_else(|| init_failed(pod))
        .unwrap_or_else(|| without_result(pod, ended));
    Some(JobEnd { code, result: None, failure: Some(failure) })
}

/// The end of the sidecar, if the agent reports what follows from it.
fn sidecar_crashed(pod: &Pod, reported: &Failure) -> Option<Failure> {
    let follows = matches!(
        reported.code,
        FailureCode::ConnectionLost | FailureCode::ServerStartFailed | FailureCode::RestoreFailed
    );
    let (sidecar, ended) = crash_of_sidecar(pod).filter(|_| follows)?;
    Some(memory_exceeded(pod, sidecar, ended).unwrap_or_else(|| crashed(pod, &sidecar.name, ended)))
}

/// A container that Kubernetes restarts ended before the agent.
pub(super) fn crashed(pod: &Pod, container: &str, ended: &ContainerStateTerminated) -> Failure {
    let code = match (ended.reason.as_deref(), ended.exit_code) {
        (Some("StartError" | "ContainerCannotRun"), _) | (_, 0..=128) => FailureCode::AgentNotStarted,
        _ => FailureCode::JobKilled,
    };
    let detail = format!("the container {container} ended with exit code {}", ended.exit_code);
    Failure::new(code, with_output(detail, ended)).on(pod.name_any())
}

fn result_of(ended: &ContainerStateTerminated) -> Option<AgentResult> {
    serde_json::from_str(ended.message.as_deref()?).ok()
}

/// The pod was deleted, and its node does not confirm that it ended.
fn node_lost(snapshot: &JobSnapshot, pod: &Pod) -> Option<Failure> {
    let deleted = pod.metadata.deletion_timestamp.as_ref()?.0;
    (snapshot.now.duration_since(deleted).as_secs() > NODE_TIMEOUT).then(|| {
        let detail = format!("the node does not confirm that the deleted pod {} ended", pod.name_any());
        Failure::new(FailureCode::NodeLost, detail).on(node(pod))
    })
}

/// The cluster removed the pod.
fn disrupted(pod: &Pod) -> Option<Failure> {
    let status = pod.status.as_ref()?;
    let (name, node) = (pod.name_any(), node(pod));
    let because = |reason: &str, message: Option<&str>| match message.map(quoted) {
        Some(message) if !message.is_empty() => format!("{reason} on node {node}: {message}"),
        _ => format!("{reason} on node {node}"),
    };
    if status.reason.as_deref() == Some("Evicted") {
        let detail = because("Evicted", status.message.as_deref());
        return Some(Failure::new(FailureCode::Evicted, detail).on(name));
    }
    let mut conditions = status.conditions.iter().flatten();
    let disrupted = conditions.find(|c| c.type_ == "DisruptionTarget" && c.status == "True")?;
    let reason = disrupted.reason.as_deref().unwrap_or("DisruptionTarget");
    let code = match reason {
        "DeletionByTaintManager" | "DeletionByPodGC" => FailureCode::NodeLost,
        _ => FailureCode::Evicted,
    };
    Some(Failure::new(code, because(reason, disrupted.message.as_deref())).on(name))
}

fn out_of_memory(pod: &Pod, ended: &ContainerStateTerminated) -> Option<Failure> {
    let mut containers = pod.spec.as_ref()?.containers.iter();
    let main = containers.find(|container| Some(container.name.as_str()) == main_container(pod))?;
    memory_exceeded(pod, main, ended)
}

fn memory_exceeded(pod: &Pod, container: &Container, ended: &ContainerStateTerminated) -> Option<Failure> {
    if ended.reason.as_deref() != Some(OUT_OF_MEMORY) {
        return None;
    }
    let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let detail = match limits.and_then(|limits| limits.get("memory")) {
        Some(limit) => {
            format!("OOMKilled; the memory limit of the container {} is {}", container.name, limit.0)
        }
        None => format!("OOMKilled; the container {} has no memory limit", container.name),
    };
    Some(Failure::new(FailureCode::OutOfMemory, detail).on(pod.name_any()))
}

fn deleted(pod: &Pod) -> Option<Failure> {
    pod.metadata.deletion_timestamp.as_ref()?;
    let detail = format!("the pod was deleted while it ran on node {}", node(pod));
    Some(Failure::new(FailureCode::JobDeleted, detail).on(pod.name_any()))
}

/// The container that copies the agent into the pod failed.
fn init_failed(pod: &Pod) -> Option<Failure> {
    let init = failed_init(pod)?;
    let ended = init.state.as_ref()?.terminated.as_ref()?;
    let detail =
        with_output(format!("the container {} ended with exit code {}", init.name, ended.exit_code), ended);
    Some(Failure::new(FailureCode::AgentNotStarted, detail).on(&*init.image))
}

/// The agent ended without a result, or is not known to have run.
fn without_result(pod: &Pod, ended: Option<&ContainerStateTerminated>) -> Failure {
    let Some(ended) = ended else {
        let status = pod.status.as_ref();
        let message = status.and_then(|status| status.message.as_deref().or(status.reason.as_deref()));
        let detail = message.map_or_else(|| "the pod failed without a reason".to_owned(), quoted);
        return Failure::new(FailureCode::JobWithoutResult, detail).on(pod.name_any());
    };
    let exit_code = ended.exit_code;
    let (code, detail) = match (ended.reason.as_deref(), exit_code) {
        (Some("StartError" | "ContainerCannotRun"), _) | (_, 126..=128) => {
            (FailureCode::AgentNotStarted, format!("the agent's container ended with exit code {exit_code}"))
        }
        (Some("ContainerStatusUnknown"), _) => {
            (FailureCode::NodeLost, format!("ContainerStatusUnknown on node {}", node(pod)))
        }
        (_, 129..) => (FailureCode::JobKilled, format!("the agent was killed by signal {}", exit_code - 128)),
        (_, _) => (code_without_result(exit_code), format!("the agent ended with exit code {exit_code}")),
    };
    Failure::new(code, with_output(detail, ended)).on(pod.name_any())
}

/// Appends the last output of a container.
fn with_output(detail: String, ended: &ContainerStateTerminated) -> String {
    match ended.message.as_deref().map(quoted) {
        Some(output) if !output.is_empty() => format!("{detail}: {output}"),
        _ => detail,
    }
}
