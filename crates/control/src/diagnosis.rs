//! What a failure means to the user: its cause and fix by its code, and the consequence by what the run was doing.

use model::run::Diagnosis;
use model::{Failure, FailureCode, RunState, WorkflowName};

/// The diagnosis of a failed or waiting run; none if the run waits and the cause is not known.
pub(crate) fn of_run(
    workflow: WorkflowName,
    state: RunState,
    waits: bool,
    failure: &Failure,
) -> Option<Diagnosis> {
    if waits && failure.code == FailureCode::Other {
        return None;
    }
    Some(diagnosis(failure, consequence(workflow, state, waits)))
}

/// The diagnosis of an instance that is not healthy.
#[must_use]
pub fn of_instance(failure: &Failure) -> Diagnosis {
    diagnosis(failure, "Toygres continues to check the instance and changes nothing.")
}

fn diagnosis(failure: &Failure, consequence: &str) -> Diagnosis {
    let explanation = failure.code.explanation();
    Diagnosis {
        cause: explanation.cause.to_owned(),
        fix: explanation.fix.to_owned(),
        meaning: consequence.to_owned(),
    }
}

fn consequence(workflow: WorkflowName, state: RunState, waits: bool) -> &'static str {
    match (state, workflow) {
        (RunState::Running, _) if waits => {
            "The run continues automatically when this is resolved before the step's deadline."
        }
        (RunState::Running, _) => "The step will be retried. After the last attempt the run rolls back.",
        (RunState::Undoing, _) => "The run is rolling back.",
        (RunState::Stuck, _) => "The rollback is incomplete. The run still holds its locks.",
        (_, WorkflowName::CreateImage) => {
            "The image is not usable. The source was only read, and earlier images are unchanged."
        }
        (_, WorkflowName::RestoreImage) => "The completed steps were rolled back. The image is unchanged.",
        (_, WorkflowName::CreateInstance) => {
            "The instance is not usable. Its entry remains with the state failed."
        }
        (_, WorkflowName::VerifyImage) => "Do not rely on the image until a verification succeeds.",
        (_, WorkflowName::DeleteImage | WorkflowName::DeleteInstance) => {
            "The deletion is incomplete and can be repeated."
        }
        (
            _,
            WorkflowName::StartInstance
            | WorkflowName::StopInstance
            | WorkflowName::TestPlatform
            | WorkflowName::Unknown,
        ) => "The run was rolled back.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consequence_depends_on_workflow_and_state() {
        let failure = Failure::new(FailureCode::StoreFull, "no space left on device");
        let backup = of_run(WorkflowName::CreateImage, RunState::Failed, false, &failure).expect("known");
        let restore = of_run(WorkflowName::RestoreImage, RunState::Failed, false, &failure).expect("known");
        assert_eq!(backup.cause, restore.cause);
        assert_ne!(backup.meaning, restore.meaning);
        let waiting = of_run(WorkflowName::RestoreImage, RunState::Running, true, &failure).expect("known");
        assert_ne!(waiting.meaning, restore.meaning);
    }

    #[test]
    fn wait_without_a_code_has_no_diagnosis() {
        let failure = Failure::new(FailureCode::Other, "extension, lock timeout, is damaged");
        let of_run = |state, waits| of_run(WorkflowName::CreateImage, state, waits, &failure);
        assert_eq!(of_run(RunState::Running, true), None);
        assert!(of_run(RunState::Failed, false).is_some());
    }
}
