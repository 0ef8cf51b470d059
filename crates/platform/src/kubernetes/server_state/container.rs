//! The containers of a server's pod: whether one does not start, or ends after its start.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::ResourceExt;
use model::{Failure, FailureCode};

use super::super::containers::start_failure;
use super::super::events::quoted;
use crate::ServerState;
use crate::postgres_log::error_lines;

/// The state of a server that a container prevents from running; none if it does not. `late` says whether a failure to start
/// the container is final.
pub(super) fn state(pod: &Pod, container: &ContainerStatus, late: bool) -> Option<ServerState> {
    let state = container.state.as_ref()?;
    let last = container.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    if let Some(ended) = &state.terminated {
        return (ended.exit_code != 0)
            .then(|| ServerState::Waiting(crash(pod, ended, FailureCode::ServerStartFailed)));
    }
    if state.running.is_some() {
        let last = last.filter(|_| !container.ready)?;
        return Some(ServerState::Waiting(crash(pod, last, FailureCode::ServerStartFailed)));
    }
    let waiting = state.waiting.as_ref()?;
    if waiting.reason.as_deref() == Some("CrashLoopBackOff") {
        let message = || quoted(waiting.message.as_deref().unwrap_or_default());
        return Some(ServerState::Failed(match last {
            Some(last) => crash(pod, last, FailureCode::CrashLoop),
            None => Failure::new(FailureCode::CrashLoop, message()).on(pod.name_any()),
        }));
    }
    let found = start_failure(container)?;
    Some(match late || found.immediate {
        true => ServerState::Failed(found.failure),
        false => ServerState::Waiting(found.failure),
    })
}

/// How a container ended; `code` unless it exceeded its memory limit.
fn crash(pod: &Pod, ended: &ContainerStateTerminated, code: FailureCode) -> Failure {
    let failure = match ended.reason.as_deref() {
        Some("OOMKilled") => Failure::new(FailureCode::OutOfMemory, "OOMKilled"),
        _ => Failure::new(code, format!("exit code {}: {}", ended.exit_code, output(ended))),
    };
    failure.on(pod.name_any())
}

/// The errors in the last output of a container, or the whole output.
fn output(ended: &ContainerStateTerminated) -> String {
    let output = ended.message.as_deref().unwrap_or_default();
    match error_lines(output).unwrap_or_else(|| output.to_owned()) {
        empty if empty.trim().is_empty() => "no output".to_owned(),
        output => quoted(&output),
    }
}
