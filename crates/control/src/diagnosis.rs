//! What a failure means to the user: its cause and fix by its code, and the consequence by what the run was doing.

use model::run::Diagnosis;
use model::{Failure, RunState, WorkflowName};

/// The diagnosis of a failed or waiting run; none if the code explains nothing.
pub(crate) fn of_run(
    workflow: WorkflowName,
    state: RunState,
    waits: bool,
    failure: &Failure,
) -> Option<Diagnosis> {
    diagnosis(failure, consequence(workflow, state, waits))
}

/// The diagnosis of an instance that is not healthy.
#[must_use]
pub fn of_instance(failure: &Failure) -> Option<Diagnosis> {
    diagnosis(failure, "Toygres continues to check the instance and changes nothing.")
}

fn diagnosis(failure: &Failure, consequence: &str) -> Option<Diagnosis> {
    let explanation = failure.code.explanation()?;
    Some(Diagnosis {
        cause: explanation.cause.to_owned(),
        fix: explanation.fix.to_owned(),
        meaning: consequence.to_owned(),
    })
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
            "No image was created. The source was only read, and earlier images are unchanged."
        }
        (_, WorkflowName::RestoreImage) => {
            "No instance was created, and everything that the run created was removed. The image is unchanged."
        }
        (_, WorkflowName::CreateInstance) => {
            "No instance was created, and everything that the run created was removed."
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
    use model::FailureCode;

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
    fn failure_without_a_code_has_no_diagnosis() {
        let failure = Failure::new(FailureCode::Other, "extension, lock timeout, is damaged");
        assert_eq!(of_run(WorkflowName::CreateImage, RunState::Failed, false, &failure), None);
    }
}
