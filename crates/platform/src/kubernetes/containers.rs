//! The containers of a pod that the kubelet cannot start.

use k8s_openapi::api::core::v1::ContainerStatus;
use model::{Failure, FailureCode};

use super::events::quoted;

/// How long a container may fail to start before the failure is final, in seconds: registries and nodes recover.
pub(super) const START_GRACE: i64 = 60;

/// A container that cannot be started.
pub(super) struct StartFailure {
    pub(super) failure: Failure,
    /// Whether waiting is useless.
    pub(super) immediate: bool,
}

/// Why a container cannot be started; none if it runs, ended, or is starting.
pub(super) fn start_failure(container: &ContainerStatus) -> Option<StartFailure> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    if matches!(reason, "" | "PodInitializing" | "ContainerCreating") {
        return None;
    }
    let message = quoted(waiting.message.as_deref().unwrap_or_default());
    let detail = if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") };
    let failure = match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "InvalidImageName"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => {
            Failure::new(FailureCode::ContainerImagePull, detail).on(&*container.image)
        }
        _ => Failure::new(FailureCode::ContainerNotStarted, detail).on(&*container.name),
    };
    Some(StartFailure { failure, immediate: matches!(reason, "InvalidImageName" | "ErrImageNeverPull") })
}
