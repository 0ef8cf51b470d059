//! The parts of a job's pod that decide about its state.

use k8s_openapi::api::core::v1::{Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod};
use kube::ResourceExt;

use super::super::objects::job::{MAIN, is_sidecar};

/// The reason of a container that exceeded its memory limit.
pub(super) const OUT_OF_MEMORY: &str = "OOMKilled";

/// Whether the pod has ended: the agent's container will not run again.
pub(in crate::kubernetes) fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
        || main_state(pod).is_some_and(|state| state.terminated.is_some())
}

/// The name of the agent's container.
pub(in crate::kubernetes) fn main_container(pod: &Pod) -> Option<&str> {
    let first = || pod.spec.as_ref()?.containers.first().map(|container| container.name.as_str());
    pod.annotations().get(MAIN).map(String::as_str).or_else(first)
}

/// The init container that failed; none if none did. The end of the sidecar says nothing: it is stopped after the agent.
pub(in crate::kubernetes) fn failed_init(pod: &Pod) -> Option<&ContainerStatus> {
    let sidecar = sidecar(pod).map(|container| container.name.as_str());
    let mut containers = pod.status.as_ref()?.init_container_statuses.iter().flatten();
    containers.find(|container| {
        if Some(container.name.as_str()) == sidecar {
            return false;
        }
        let terminated = container.state.as_ref().and_then(|state| state.terminated.as_ref());
        terminated.is_some_and(|terminated| terminated.exit_code != 0)
    })
}

/// The container that executes what an image contains.
pub(super) fn sidecar(pod: &Pod) -> Option<&Container> {
    pod.spec.as_ref()?.init_containers.iter().flatten().find(|container| is_sidecar(container))
}

/// How the sidecar ended while the agent needed it; none if it did not. Kubernetes restarts it, and stops it after the agent.
pub(super) fn crash_of_sidecar(pod: &Pod) -> Option<(&Container, &ContainerStateTerminated)> {
    let sidecar = sidecar(pod)?;
    let mut containers = pod.status.as_ref()?.init_container_statuses.iter().flatten();
    let status = containers.find(|container| container.name == sidecar.name)?;
    let current = status.state.as_ref().and_then(|state| state.terminated.as_ref()).filter(|ended| {
        ended.reason.as_deref() == Some(OUT_OF_MEMORY) || ended.exit_code != 0 && !is_over(pod)
    });
    let last = || status.last_state.as_ref()?.terminated.as_ref();
    Some((sidecar, current.or_else(last)?))
}

/// The state of the agent's container.
pub(super) fn main_state(pod: &Pod) -> Option<&ContainerState> {
    let name = main_container(pod)?;
    let mut containers = pod.status.as_ref()?.container_statuses.iter().flatten();
    containers.find(|container| container.name == name)?.state.as_ref()
}

/// Whether the agent's container was started, so that it has a log. A container that could not be started has the time 0.
pub(in crate::kubernetes) fn has_started(pod: &Pod) -> bool {
    main_state(pod).is_some_and(|state| {
        let ended = state.terminated.as_ref().and_then(|terminated| terminated.started_at.as_ref());
        state.running.is_some() || ended.is_some_and(|started| started.0.as_second() > 0)
    })
}

/// The name of the pod's node.
pub(super) fn node(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("(none)")
}
