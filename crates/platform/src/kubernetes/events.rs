//! The events of a cluster: which of them warn, when they occurred, and the failures that they report.

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use model::{Failure, FailureCode};

/// The most bytes of a message that are quoted.
pub(super) const LONGEST_QUOTE: usize = 600;

/// Whether the event is a warning.
pub(super) fn is_warning(event: &Event) -> bool {
    event.type_.as_deref() == Some("Warning")
}

/// When the event occurred first.
pub(super) fn first_seen(event: &Event) -> Option<Timestamp> {
    event.first_timestamp.as_ref().map(|time| time.0).or(event.event_time.as_ref().map(|time| time.0))
}

/// When the event occurred last.
pub(super) fn last_seen(event: &Event) -> Option<Timestamp> {
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    last.or_else(|| first_seen(event)).or_else(|| event.creation_timestamp().map(|time| time.0))
}

/// The event's message, on one line.
pub(super) fn message(event: &Event) -> String {
    quoted(event.message.as_deref().unwrap_or_default())
}

/// What a warning reports; the subject is the object that it is about.
pub(super) fn failure(event: &Event) -> Failure {
    let failure = Failure::new(code(event), message(event));
    match &event.involved_object.name {
        Some(name) => failure.on(name),
        None => failure,
    }
}

fn code(event: &Event) -> FailureCode {
    match event.reason.as_deref().unwrap_or_default() {
        "FailedMount" if is_about_input(event) => FailureCode::PlatformUnavailable,
        "FailedMount" | "FailedAttachVolume" | "FailedMapVolume" => FailureCode::VolumeNotAttached,
        "ProvisioningFailed" | "FailedBinding" => FailureCode::VolumePending,
        "FailedScheduling" => FailureCode::Unschedulable,
        _ => FailureCode::PlatformUnavailable,
    }
}

/// Whether the mount of a ConfigMap or Secret failed, and not that of a volume with data.
fn is_about_input(event: &Event) -> bool {
    let message = event.message.as_deref().unwrap_or_default();
    // foreign text: kubelet
    ["configmap \"", "secret \""].iter().any(|kind| message.contains(kind))
}

/// A foreign message as a detail: on one line, limited in length, without its full stop.
pub(super) fn quoted(message: &str) -> String {
    let mut line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() > LONGEST_QUOTE {
        line.truncate(line.floor_char_boundary(LONGEST_QUOTE - '…'.len_utf8()));
        line.push('…');
    }
    line.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(reason: &str, message: &str) -> Event {
        serde_json::from_value(serde_json::json!({
            "metadata": {}, "involvedObject": {"name": "t-1-abc"}, "type": "Warning", "reason": reason,
            "message": message
        }))
        .expect("an Event")
    }

    #[test]
    fn warnings_are_classified() {
        for (reason, message, code) in [
            (
                "FailedMount",
                "MountVolume.SetUp failed for volume \"task\" : configmap \"t-1\" not found",
                FailureCode::PlatformUnavailable,
            ),
            (
                "FailedMount",
                "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[data]: timed out waiting for the condition",
                FailureCode::VolumeNotAttached,
            ),
            (
                "FailedAttachVolume",
                "Multi-Attach error for volume \"pvc-1\" Volume is already exclusively attached to one node and can't be attached to another",
                FailureCode::VolumeNotAttached,
            ),
            (
                "ProvisioningFailed",
                "storageclass.storage.k8s.io \"fast\" not found",
                FailureCode::VolumePending,
            ),
            (
                "FailedCreatePodSandBox",
                "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network",
                FailureCode::PlatformUnavailable,
            ),
        ] {
            assert_eq!(failure(&event(reason, message)), Failure::new(code, message).on("t-1-abc"));
        }
    }

    #[test]
    fn message_is_quoted_on_one_line() {
        assert_eq!(quoted(" a\n b.\n"), "a b");
        let long = quoted(&"ä".repeat(LONGEST_QUOTE));
        assert!(long.len() <= LONGEST_QUOTE && long.ends_with("ä…"));
    }
}
