//! Why the scheduler finds no node for a pod.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use model::{Failure, FailureCode};

use super::events::quoted;

/// Why the pod has no node; none if the scheduler reported no problem. A missing claim is the failure's subject, otherwise
/// the pod.
pub(super) fn failure(pod: &Pod) -> Option<Failure> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let unscheduled = conditions.find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
    let message = unscheduled.message.as_deref().or(unscheduled.reason.as_deref()).unwrap_or_default();
    let detail = quoted(message);
    if let Some(claim) = missing_claim(message) {
        return Some(Failure::new(FailureCode::ClaimMissing, detail).on(claim));
    }
    // foreign text: kube-scheduler
    let is_volume = message.to_ascii_lowercase().contains("persistentvolumeclaim");
    let code = if is_volume { FailureCode::VolumePending } else { FailureCode::Unschedulable };
    Some(Failure::new(code, detail).on(pod.name_any()))
}

/// The claim that the message reports as missing.
fn missing_claim(message: &str) -> Option<&str> {
    // foreign text: kube-scheduler
    let (_, rest) = message.split_once("persistentvolumeclaim \"")?;
    Some(rest.split_once("\" not found")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unscheduled(message: &str) -> Failure {
        let pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "t-1-abc"},
            "status": {"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
            ]}
        }));
        failure(&pod.expect("a Pod")).expect("a failure")
    }

    #[test]
    fn messages_of_the_scheduler_are_classified() {
        for (message, code, subject) in [
            (
                "0/1 nodes are available: persistentvolumeclaim \"d\" not found. not found",
                FailureCode::ClaimMissing,
                "d",
            ),
            ("persistentvolumeclaim \"d\" not found", FailureCode::ClaimMissing, "d"),
            (
                "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling",
                FailureCode::VolumePending,
                "t-1-abc",
            ),
            ("persistentvolumeclaim \"d\" is being deleted", FailureCode::VolumePending, "t-1-abc"),
            ("0/3 nodes are available: 3 Insufficient cpu", FailureCode::Unschedulable, "t-1-abc"),
            (
                "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector",
                FailureCode::Unschedulable,
                "t-1-abc",
            ),
        ] {
            assert_eq!(unscheduled(message), Failure::new(code, message).on(subject));
        }
        assert_eq!(failure(&Pod::default()), None);
    }
}
