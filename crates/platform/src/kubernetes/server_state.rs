//! How a server is, in words: from its StatefulSet, its pod, and what the cluster warned of.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ListParams;
use model::InstanceId;

use super::KubernetesPlatform;
use super::apply::ask;
use crate::{Result, ServerState};

/// How long an image may be looked for and a container be prepared in vain.
const GRACE: Duration = Duration::from_secs(60);
/// As much of a server's last words is told.
const LAST_WORDS: usize = 600;
/// Where a person changes what a pod asks for.
const TEMPLATE: &str = "the template postgres-statefulset.yaml";
/// Warnings that say less than the pod's own state.
const NOISE: [&str; 4] = ["BackOff", "Failed", "FailedScheduling", "Unhealthy"];

impl KubernetesPlatform {
    pub(super) async fn state_of_server(&self, id: InstanceId) -> Result<ServerState> {
        let Some(server) = self.server_of(id).await? else { return Ok(ServerState::Absent) };
        let pods = self.pods_of(id).await?;
        if let Some(state) = settled(&server, &pods) {
            return Ok(state);
        }
        let about = match pods.first() {
            None => vec![server.uid()],
            Some(pod) => {
                vec![pod.uid(), self.claim(&server.name_any()).await?.and_then(|claim| claim.uid())]
            }
        };
        let mut warnings = Vec::new();
        for uid in about.into_iter().flatten() {
            let of_it = ListParams::default().fields(&format!("type=Warning,involvedObject.uid={uid}"));
            warnings.extend(ask("list the events", self.api::<Event>().list(&of_it)).await?.items);
        }
        Ok(unsettled(pods.first(), &warnings, Timestamp::now()))
    }
}

/// The state of a server that is where it is to be, or on its way from there.
fn settled(server: &StatefulSet, pods: &[Pod]) -> Option<ServerState> {
    let starting = |words: &str| Some(ServerState::Starting(words.to_owned()));
    if server.spec.as_ref().and_then(|spec| spec.replicas) == Some(0) {
        return if pods.is_empty() {
            Some(ServerState::Stopped)
        } else {
            starting("The server is being stopped.")
        };
    }
    let status = server.status.clone().unwrap_or_default();
    if status.observed_generation < server.metadata.generation {
        return starting("The cluster has not looked at the server's new settings yet.");
    }
    let pod = pods.first()?;
    if pod.metadata.deletion_timestamp.is_some() {
        return starting("The server's last pod is ending; another one follows.");
    }
    if pod.labels().get("controller-revision-hash") != status.update_revision.as_ref() {
        return starting("The server's pod is about to be made anew with its new settings.");
    }
    condition(pod, "Ready", "True").map(|_| ServerState::Running)
}

/// The state of a server that is to run and does not.
fn unsettled(pod: Option<&Pod>, warnings: &[Event], now: Timestamp) -> ServerState {
    let warned = newest(warnings);
    let Some(pod) = pod else { return without_pod(warned) };
    let created = pod.creation_timestamp().map_or(now, |time| time.0);
    let late = now.duration_since(created).unsigned_abs() > GRACE;
    let status = pod.status.clone().unwrap_or_default();
    let containers = || {
        let all = [&status.init_container_statuses, &status.container_statuses];
        all.into_iter().flatten().flatten()
    };
    if let Some(state) = containers().find_map(|container| of_container(container, late)) {
        return state;
    }
    let unscheduled = condition(pod, "PodScheduled", "False");
    ServerState::Starting(match (unscheduled, status.phase.as_deref()) {
        (Some(message), _) => no_node(&message, warned),
        (None, Some("Failed")) => {
            let why = status.message.as_ref().or(status.reason.as_ref()).cloned().unwrap_or_default();
            format!("The server's pod was ended by its node: {why} Another one follows.")
        }
        // Its containers were well when their node was heard of last.
        (None, Some("Running")) if containers().all(|container| container.ready) => {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
            format!("The server's node {node} does not answer. See kubectl describe node {node}")
        }
        (None, Some("Running")) => "PostgreSQL is starting or recovering.".to_owned(),
        (None, _) => {
            let why = warned.map_or_else(String::new, |event| format!(" {event}"));
            format!("The pod's volume and image are being prepared.{why}")
        }
    })
}

/// Why there is no pod.
fn without_pod(warned: Option<String>) -> ServerState {
    match warned {
        Some(event) if event.contains("exceeded quota") => ServerState::Starting(format!(
            "The namespace's quota leaves no room for the server's pod: {event} Raise it, or lower the requests in {TEMPLATE}."
        )),
        Some(event) => ServerState::Failed(format!(
            "The cluster does not take the server's pod: {event} Mend {TEMPLATE}, or the labels of the namespace."
        )),
        None => ServerState::Starting("The server's pod is being made.".to_owned()),
    }
}

/// Why no node takes the pod.
fn no_node(message: &str, warned: Option<String>) -> String {
    if message.contains("persistentvolumeclaim") || message.contains("PersistentVolumeClaim") {
        let why = warned.unwrap_or_else(|| message.to_owned());
        return format!(
            "The volume is not there yet: {why} Look at the storage class: kubectl get storageclass"
        );
    }
    format!(
        "No node takes the server's pod: {message} Add a node, or lower what it asks for in {TEMPLATE} (resources, nodeSelector, \
         tolerations)."
    )
}

/// What keeps a container from running, if anything does.
fn of_container(container: &ContainerStatus, late: bool) -> Option<ServerState> {
    let state = container.state.clone().unwrap_or_default();
    let ended = |container: &ContainerStatus| container.last_state.clone().and_then(|last| last.terminated);
    if let Some(terminated) = state.terminated {
        let words = last_words(&terminated);
        return (terminated.exit_code != 0)
            .then(|| ServerState::Starting(format!("PostgreSQL {words} It is started again.")));
    }
    if state.running.is_some() {
        let last = ended(container).filter(|_| !container.ready)?;
        return Some(ServerState::Starting(format!(
            "PostgreSQL starts again. Before, it {}",
            last_words(&last)
        )));
    }
    let waiting = state.waiting?;
    let message = waiting.message.unwrap_or_default();
    let grave = |words, at_once: bool| {
        Some(if late || at_once { ServerState::Failed(words) } else { ServerState::Starting(words) })
    };
    match waiting.reason.as_deref()? {
        "CrashLoopBackOff" => {
            let words = ended(container).map_or(message, |last| last_words(&last));
            grave(format!("PostgreSQL does not start: it {words}"), true)
        }
        reason @ ("ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "InvalidImageName"
        | "RegistryUnavailable"
        | "ImageInspectError") => {
            let words = format!(
                "The image {} cannot be had: {message}. Mend its name in TOYGRES_POSTGRES_IMAGES (of pg_durable in \
                 TOYGRES_PG_DURABLE_IMAGES), or the imagePullSecrets in {TEMPLATE}.",
                container.image
            );
            grave(words, reason == "InvalidImageName")
        }
        "ContainerCreating" | "PodInitializing" => None,
        reason => grave(format!("The server's container cannot be made ({reason}): {message}."), false),
    }
}

/// How a container ended, and what it said last.
fn last_words(ended: &ContainerStateTerminated) -> String {
    if ended.reason.as_deref() == Some("OOMKilled") {
        return format!(
            "was killed because it used more memory than its limit. Raise limits.memory in {TEMPLATE}."
        );
    }
    let message = ended.message.clone().unwrap_or_default();
    let lines: Vec<&str> = message.lines().filter(|line| !line.trim().is_empty()).collect();
    let grave = |line: &&&str| {
        ["FATAL:", "PANIC:", "DETAIL:", "HINT:", "rror:"].iter().any(|word| line.contains(word))
    };
    let mut telling: Vec<&str> = lines.iter().filter(grave).copied().collect();
    if telling.is_empty() {
        telling = lines;
    }
    let said: String =
        telling[telling.len().saturating_sub(3)..].join(" ").chars().take(LAST_WORDS).collect();
    let said =
        if said.is_empty() { "it said nothing. See kubectl logs --previous.".to_owned() } else { said };
    format!("ended with exit code {}: {said}", ended.exit_code)
}

/// A pod's condition, if it has this status: its words.
fn condition(pod: &Pod, kind: &str, status: &str) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|condition| condition.type_ == kind && condition.status == status)?;
    Some(found.message.clone().or_else(|| found.reason.clone()).unwrap_or_default())
}

/// What was warned of last.
fn newest(warnings: &[Event]) -> Option<String> {
    let telling =
        warnings.iter().filter(|event| event.reason.as_deref().is_none_or(|reason| !NOISE.contains(&reason)));
    let when = |event: &&Event| {
        let seen = event.last_timestamp.as_ref().map(|time| time.0);
        seen.or(event.event_time.as_ref().map(|time| time.0))
            .or(event.creation_timestamp().map(|time| time.0))
    };
    let event = telling.max_by_key(when)?;
    let message = event.message.as_deref().unwrap_or_default();
    Some(message.trim_end_matches('.').to_owned() + ".")
}

#[cfg(test)]
mod tests;
