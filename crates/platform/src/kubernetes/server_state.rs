//! The state of a server, from its StatefulSet, its pod, its claim and the events about them.

mod container;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use model::{Failure, FailureCode, InstanceId};

use super::KubernetesPlatform;
use super::containers::START_GRACE;
use super::events::{self, is_warning, last_seen, quoted};
use super::names::FIELD_MANAGER;
use super::{rejection, scheduling};
use crate::{Result, ServerState};

/// Reasons of warnings that tell less than the pod's own status.
const UNINFORMATIVE: [&str; 4] = ["BackOff", "Failed", "FailedScheduling", "Unhealthy"];

impl KubernetesPlatform {
    pub(super) async fn state_of_server(&self, id: InstanceId) -> Result<ServerState> {
        let Some(server) = self.server_of(id).await? else { return Ok(ServerState::Absent) };
        let name = server.name_any();
        let pods = self.pods_of(id).await?;
        match expected(&server, &pods) {
            Some(ServerState::Running) => {
                let failure = self.claim_terminating(&name).await?;
                return Ok(failure.map_or(ServerState::Running, ServerState::Endangered));
            }
            Some(state) => return Ok(state),
            None => {}
        }
        let Some(pod) = pods.first() else {
            return Ok(without_pod(rejected(&server, &self.events_about(server.uid()).await?)));
        };
        let mut events = self.events_about(pod.uid()).await?;
        events.extend(self.events_about(self.claim(&name).await?.and_then(|claim| claim.uid())).await?);
        Ok(not_ready(&name, pod, &events, self.clock.now()))
    }
}

/// The state of a server that is as it should be, or changes as it should; none if it should run and its pod is not ready.
fn expected(server: &StatefulSet, pods: &[Pod]) -> Option<ServerState> {
    let starting = |phase: &str| Some(ServerState::Starting(phase.to_owned()));
    if server.spec.as_ref().and_then(|spec| spec.replicas) == Some(0) {
        return if pods.is_empty() {
            Some(ServerState::Stopped)
        } else {
            starting("The server is stopping.")
        };
    }
    let status = server.status.clone().unwrap_or_default();
    if status.observed_generation < server.metadata.generation {
        return starting("The cluster has not processed the server's new configuration yet.");
    }
    let pod = pods.first()?;
    if pod.metadata.deletion_timestamp.is_some() {
        return starting("The server's previous pod is ending.");
    }
    if pod.labels().get("controller-revision-hash") != status.update_revision.as_ref() {
        return starting("The server's pod will be replaced, because its configuration changed.");
    }
    condition(pod, "Ready", "True").then_some(ServerState::Running)
}

/// The state of a server that should run and whose pod is not ready.
fn not_ready(name: &str, pod: &Pod, events: &[Event], now: Timestamp) -> ServerState {
    let created = pod.creation_timestamp().map_or(now, |time| time.0);
    let late = now.duration_since(created).as_secs() > START_GRACE;
    let status = pod.status.clone().unwrap_or_default();
    let mut containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    if let Some(state) = containers.clone().find_map(|container| container::state(pod, container, late)) {
        return state;
    }
    if let Some(failure) = scheduling::failure(pod) {
        return ServerState::Waiting(unscheduled(name, failure, events));
    }
    let waiting = |code, detail: String| ServerState::Waiting(Failure::new(code, detail).on(pod.name_any()));
    match status.phase.as_deref() {
        Some("Failed") => {
            let message = status.message.as_deref().or(status.reason.as_deref());
            waiting(FailureCode::Evicted, message.map_or_else(|| "the pod failed".to_owned(), quoted))
        }
        // All containers were ready at the node's last report, and the pod is not: the node stopped reporting.
        Some("Running") if containers.all(|container| container.ready) => {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
            waiting(FailureCode::NodeLost, format!("the node {node} does not report the state of the pod"))
        }
        Some("Running") => ServerState::Starting("PostgreSQL is starting or recovering.".to_owned()),
        _ => match newest_warning(events) {
            Some(event) => ServerState::Waiting(events::failure(event)),
            None => {
                ServerState::Starting("The pod's volume and container images are being prepared.".to_owned())
            }
        },
    }
}

/// Why the server's pod has no node: more precise than the scheduler's report if it is about the volume.
fn unscheduled(name: &str, failure: Failure, events: &[Event]) -> Failure {
    match failure.code {
        // The claim of this name is that of the instance's own data.
        FailureCode::ClaimMissing if failure.subject.as_deref() == Some(name) => {
            Failure { code: FailureCode::VolumeLost, ..failure }
        }
        FailureCode::VolumePending => match newest_warning(events) {
            Some(event) => Failure { detail: events::message(event), ..failure }.on(name),
            None => failure.on(name),
        },
        _ => failure,
    }
}

/// Why the cluster rejected the server's pod at the last attempt; none if it did not. Events from before the last change of
/// the configuration do not count: they are kept for an hour.
fn rejected(server: &StatefulSet, events: &[Event]) -> Option<Failure> {
    let managers = server.metadata.managed_fields.iter().flatten();
    let ours = managers.filter(|manager| manager.manager.as_deref() == Some(FIELD_MANAGER));
    let changed = ours.filter_map(|manager| Some(manager.time.as_ref()?.0)).max();
    // Times are whole seconds: an event of the same second is counted at the controller's next attempt.
    let newer = events.iter().filter(|event| last_seen(event) > changed);
    let newest = newer.max_by_key(|event| last_seen(event)).filter(|event| is_warning(event))?;
    let code = rejection::code(newest.message.as_deref().unwrap_or_default());
    let code = code.unwrap_or(FailureCode::PlatformUnavailable);
    Some(Failure::new(code, events::message(newest)).on(server.name_any()))
}

/// The state of a server that has no pod.
fn without_pod(rejected: Option<Failure>) -> ServerState {
    match rejected {
        Some(failure) if failure.code.is_permanent() => ServerState::Failed(failure),
        Some(failure) => ServerState::Waiting(failure),
        None => ServerState::Starting("The server's pod is being created.".to_owned()),
    }
}

/// Whether a pod's condition has this status.
fn condition(pod: &Pod, kind: &str, status: &str) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == kind && condition.status == status)
}

fn newest_warning(events: &[Event]) -> Option<&Event> {
    let is_informative = |event: &&Event| {
        let reason = event.reason.as_deref();
        is_warning(event) && reason.is_none_or(|reason| !UNINFORMATIVE.contains(&reason))
    };
    events.iter().filter(is_informative).max_by_key(|event| last_seen(event))
}

#[cfg(test)]
mod tests;
