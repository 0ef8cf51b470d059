//! What a job that has not started waits for, and which of these conditions are permanent.

use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use model::FailureCode;

use super::super::containers::{START_GRACE, StartFailure, start_failure};
use super::super::events::{self, first_seen, is_warning, last_seen};
use super::super::{rejection, scheduling};
use super::pod::{crash_of_sidecar, main_state};
use super::snapshot::JobSnapshot;
use super::terminated::crashed;
use crate::{JobEnd, JobState};

/// The state of a job whose pod has not ended.
pub(super) fn state_with_pod(snapshot: &JobSnapshot, pod: &Pod) -> JobState {
    if main_state(pod).is_some_and(|state| state.running.is_some()) {
        return JobState::Running;
    }
    if let Some(state) = not_startable(snapshot, pod) {
        return state;
    }
    let warnings = || snapshot.events.iter().filter(|event| is_warning(event) && is_about(event, pod));
    let warning = || warnings().max_by_key(|event| last_seen(event)).map(events::failure);
    JobState::Pending(scheduling::failure(pod).or_else(warning))
}

/// The state of a job that has no pod and, as far as is known, never had one.
pub(super) fn state_without_pod(snapshot: &JobSnapshot) -> JobState {
    if snapshot.is_stopped() {
        return JobState::Pending(None);
    }
    if snapshot.job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true)) {
        return JobState::Pending(Some(snapshot.failure(FailureCode::JobSuspended, "spec.suspend is true")));
    }
    let refused = snapshot.events.iter().filter(|event| event.reason.as_deref() == Some("FailedCreate"));
    let Some(event) = refused.max_by_key(|event| last_seen(event)) else { return JobState::Pending(None) };
    let code = rejection::code(event.message.as_deref().unwrap_or_default());
    let failure = snapshot.failure(code.unwrap_or(FailureCode::PlatformUnavailable), events::message(event));
    match failure.code.is_permanent() {
        true => JobState::Ended(JobEnd::failed(failure)),
        false => JobState::Pending(Some(failure)),
    }
}

/// The state of a job with a container that the kubelet cannot start.
fn not_startable(snapshot: &JobSnapshot, pod: &Pod) -> Option<JobState> {
    let status = pod.status.as_ref()?;
    let mut containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    // A sidecar that ends at once is started again and again.
    let crash = crash_of_sidecar(pod).map(|(sidecar, ended)| StartFailure {
        failure: crashed(pod, &sidecar.name, ended),
        immediate: false,
    });
    let found = crash.or_else(|| containers.find_map(start_failure))?;
    let late = || Some(snapshot.now.duration_since(failing_since(snapshot, pod)?).as_secs() > START_GRACE);
    Some(match found.immediate || late()? {
        true => JobState::Ended(JobEnd::failed(found.failure)),
        false => JobState::Pending(Some(found.failure)),
    })
}

/// Since when the kubelet fails to start a container; the creation of the pod if no event tells.
fn failing_since(snapshot: &JobSnapshot, pod: &Pod) -> Option<Timestamp> {
    let failures = snapshot
        .events
        .iter()
        .filter(|event| is_about(event, pod) && event.reason.as_deref() == Some("Failed"));
    failures.filter_map(first_seen).min().or_else(|| pod.creation_timestamp().map(|time| time.0))
}

fn is_about(event: &Event, pod: &Pod) -> bool {
    event.involved_object.uid == pod.uid()
}
