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
use super::names::FIELD_MANAGER;
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
        match settled(&server, &pods) {
            Some(ServerState::Running) => {
                let doom = self.doom(&server.name_any()).await?;
                return Ok(doom.map_or(ServerState::Running, ServerState::Endangered));
            }
            Some(state) => return Ok(state),
            None => {}
        }
        let Some(pod) = pods.first() else {
            return Ok(without_pod(refusal(&server, &self.told_of(server.uid()).await?)));
        };
        let mut told = self.told_of(pod.uid()).await?;
        let claim = self.claim(&server.name_any()).await?;
        told.extend(self.told_of(claim.and_then(|claim| claim.uid())).await?);
        Ok(unsettled(pod, &told, Timestamp::now()))
    }

    /// What the cluster told about an object.
    async fn told_of(&self, uid: Option<String>) -> Result<Vec<Event>> {
        let Some(uid) = uid else { return Ok(vec![]) };
        let of_it = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
        Ok(ask("list the events", self.api::<Event>().list(&of_it)).await?.items)
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
fn unsettled(pod: &Pod, told: &[Event], now: Timestamp) -> ServerState {
    let warned = newest_warning(told);
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
    match (unscheduled, status.phase.as_deref()) {
        (Some(message), _) => ServerState::Waiting(no_node(&message, warned)),
        (None, Some("Failed")) => {
            let why = status.message.as_ref().or(status.reason.as_ref()).cloned().unwrap_or_default();
            ServerState::Waiting(format!(
                "The server's pod was ended by its node: {why} Another one follows."
            ))
        }
        // Its containers were well when their node was heard of last.
        (None, Some("Running")) if containers().all(|container| container.ready) => {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
            ServerState::Waiting(format!(
                "The server's node {node} does not answer. See kubectl describe node {node}"
            ))
        }
        (None, Some("Running")) => ServerState::Starting("PostgreSQL is starting or recovering.".to_owned()),
        (None, _) => {
            let words = "The pod's volume and image are being prepared.";
            match warned {
                Some(event) => ServerState::Waiting(format!("{words} {event}")),
                None => ServerState::Starting(words.to_owned()),
            }
        }
    }
}

/// What a server without a pod is told, if the last try to make one failed. What was asked for before has no say: its
/// complaints are kept for an hour.
fn refusal(server: &StatefulSet, told: &[Event]) -> Option<String> {
    let managers = server.metadata.managed_fields.iter().flatten();
    let ours = managers.filter(|manager| manager.manager.as_deref() == Some(FIELD_MANAGER));
    let asked = ours.filter_map(|manager| Some(manager.time.as_ref()?.0)).max();
    // Times are whole seconds: what came in the same one is told again at the next try.
    let newest = told.iter().filter(|event| when(event) > asked).max_by_key(|event| when(event))?;
    is_warning(newest).then(|| sentence(newest))
}

/// Why there is no pod.
fn without_pod(refusal: Option<String>) -> ServerState {
    match refusal {
        Some(event) if event.contains("exceeded quota") => ServerState::Waiting(format!(
            "The namespace's quota leaves no room for the server's pod: {event} Raise it, or lower the requests in {TEMPLATE}."
        )),
        Some(event) if event.contains("must specify") => ServerState::Failed(format!(
            "The namespace's quota asks for more than the server's pod says: {event} Add that to the resources in {TEMPLATE}, or give the namespace a LimitRange."
        )),
        Some(event) => ServerState::Failed(format!(
            "The cluster does not take the server's pod: {event} Mend {TEMPLATE}, or the labels of the namespace."
        )),
        None => ServerState::Starting("The server's pod is being made.".to_owned()),
    }
}

/// Why no node takes the pod.
fn no_node(message: &str, warned: Option<String>) -> String {
    let claim =
        message.split_once("persistentvolumeclaim \"").and_then(|(_, rest)| rest.split_once("\" not found"));
    if let Some((claim, _)) = claim {
        return format!(
            "The server's volume is gone: there is no PersistentVolumeClaim {claim}. Whoever deleted it deleted the data. Restore an image into another instance."
        );
    }
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
            .then(|| ServerState::Waiting(format!("PostgreSQL {words} It is started again.")));
    }
    if state.running.is_some() {
        let last = ended(container).filter(|_| !container.ready)?;
        return Some(ServerState::Waiting(format!(
            "PostgreSQL starts again. Before, it {}",
            last_words(&last)
        )));
    }
    let waiting = state.waiting?;
    let message = waiting.message.unwrap_or_default();
    let grave = |words, at_once: bool| {
        Some(if late || at_once { ServerState::Failed(words) } else { ServerState::Waiting(words) })
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
fn newest_warning(told: &[Event]) -> Option<String> {
    let telling = |event: &&Event| {
        is_warning(event) && event.reason.as_deref().is_none_or(|reason| !NOISE.contains(&reason))
    };
    told.iter().filter(telling).max_by_key(|event| when(event)).map(sentence)
}

fn is_warning(event: &Event) -> bool {
    event.type_.as_deref() == Some("Warning")
}

/// When an event was told last.
fn when(event: &Event) -> Option<Timestamp> {
    let seen = event.last_timestamp.as_ref().map(|time| time.0);
    seen.or(event.event_time.as_ref().map(|time| time.0)).or(event.creation_timestamp().map(|time| time.0))
}

fn sentence(event: &Event) -> String {
    event.message.as_deref().unwrap_or_default().trim_end_matches('.').to_owned() + "."
}

#[cfg(test)]
mod tests;
