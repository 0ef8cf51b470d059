//! What a job waits for that has not begun, and which of it would be waited for in vain.

use k8s_openapi::api::core::v1::{ContainerStateWaiting, Event, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::{Sight, ended, main_state, quoted, template};
use crate::JobState;

/// How long what a kubelet complains about may heal by itself, in seconds.
const GRACE: i64 = 60;

/// A pod that has not ended.
pub(super) fn state(sight: &Sight, pod: &Pod) -> JobState {
    if main_state(pod).is_some_and(|state| state.running.is_some()) {
        return JobState::Running;
    }
    if let Some(state) = complaint(sight, pod) {
        return state;
    }
    let name = pod.name_any();
    if let Some(message) = unscheduled(pod) {
        let what = if message.to_ascii_lowercase().contains("persistentvolumeclaim") {
            "its volume"
        } else {
            "a node"
        };
        return JobState::Pending(format!("The pod {name} waits for {what}: {}.", quoted(message)));
    }
    let warnings = sight.events.iter().filter(|event| is_warning(event) && is_about(event, pod));
    JobState::Pending(match warnings.max_by_key(|event| last_seen(event)) {
        Some(event) => format!(
            "The pod {name} is being started: {}.",
            quoted(event.message.as_deref().unwrap_or_default())
        ),
        None => format!("The pod {name} is being started."),
    })
}

/// A Job that has no pod, and never had one as far as anybody knows.
pub(super) fn without_pod(sight: &Sight) -> JobState {
    let name = sight.job.name_any();
    if sight.is_stopped() {
        return JobState::Pending(format!("The job {name} is being stopped."));
    }
    if sight.job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true)) {
        return JobState::Pending(format!(
            "The job {name} is suspended: by hand, or by a queue. To go on: kubectl patch job {name} -p '{{\"spec\":{{\"suspend\":false}}}}'"
        ));
    }
    let failed = sight.events.iter().filter(|event| event.reason.as_deref() == Some("FailedCreate"));
    let Some(message) =
        failed.max_by_key(|event| last_seen(event)).and_then(|event| event.message.as_deref())
    else {
        return JobState::Pending(format!("The pod of the job {name} is being made."));
    };
    uncreated(&name, message)
}

/// The cluster refused to make the pod.
fn uncreated(name: &str, message: &str) -> JobState {
    let said = quoted(message);
    if message.contains("exceeded quota") {
        return JobState::Pending(format!(
            "The job {name} waits for quota: {said}. It begins when something else ends, or when the quota is raised."
        ));
    }
    if message.contains("must specify") {
        let words = format!(
            "The namespace's quota asks for more than the pod of the job {name} says: {said}. Add that to the resources in the job's template, or give the namespace a LimitRange."
        );
        return ended(words, true);
    }
    if message.contains("serviceaccount") && message.contains("not found") {
        return JobState::Pending(format!(
            "The job {name} waits for its service account: {said}. Make it, or name another one."
        ));
    }
    let refused = ["is forbidden", "denied the request", "is invalid"];
    if refused.iter().any(|words| message.contains(words)) {
        return ended(
            format!(
                "The cluster does not admit the pod of the job {name}: {said}. Change the job's template."
            ),
            true,
        );
    }
    JobState::Pending(format!("The pod of the job {name} cannot be made yet: {said}."))
}

/// What the kubelet says about a container that it cannot start.
fn complaint(sight: &Sight, pod: &Pod) -> Option<JobState> {
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let (container, waiting) = containers
        .filter_map(|container| Some((container, container.state.as_ref()?.waiting.as_ref()?)))
        .find(|(_, waiting)| !matches!(reason(waiting), "" | "PodInitializing" | "ContainerCreating"))?;
    let reason = reason(waiting);
    let said = waiting.message.as_deref().map(quoted).unwrap_or_default();
    let image = reason.contains("Image") || reason == "RegistryUnavailable";
    let words = if image {
        format!(
            "The image {} of the pod {} cannot be pulled ({reason}: {said}). Check its name and its registry; pull secrets go into {}.",
            container.image,
            pod.name_any(),
            template(pod)
        )
    } else {
        format!(
            "The container {} of the pod {} cannot be started ({reason}: {said}).",
            container.name,
            pod.name_any()
        )
    };
    let hopeless = matches!(reason, "InvalidImageName" | "ErrImageNeverPull");
    let in_vain = hopeless || sight.now.duration_since(failing_since(sight, pod)?).as_secs() > GRACE;
    Some(if in_vain { ended(words, true) } else { JobState::Pending(words) })
}

fn reason(waiting: &ContainerStateWaiting) -> &str {
    waiting.reason.as_deref().unwrap_or_default()
}

/// Since when the kubelet complains; the pod's age where nobody wrote that down.
fn failing_since(sight: &Sight, pod: &Pod) -> Option<Timestamp> {
    let failures =
        sight.events.iter().filter(|event| is_about(event, pod) && event.reason.as_deref() == Some("Failed"));
    let first = failures.filter_map(first_seen).min();
    first.or_else(|| pod.creation_timestamp().map(|time| time.0))
}

fn unscheduled(pod: &Pod) -> Option<&str> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    conditions.find(|c| c.type_ == "PodScheduled" && c.status == "False")?.message.as_deref()
}

fn is_about(event: &Event, pod: &Pod) -> bool {
    event.involved_object.uid == pod.uid()
}

/// Whether an event tells of something that is not as it should be.
pub(in crate::kubernetes) fn is_warning(event: &Event) -> bool {
    event.type_.as_deref() == Some("Warning")
}

fn first_seen(event: &Event) -> Option<Timestamp> {
    event.first_timestamp.as_ref().map(|time| time.0).or(event.event_time.as_ref().map(|time| time.0))
}

fn last_seen(event: &Event) -> Option<Timestamp> {
    event.last_timestamp.as_ref().map(|time| time.0).or_else(|| first_seen(event))
}
