//! The titles of steps for users.

use crate::workflow_name::WorkflowName;

/// The title of a workflow's step for users: `RunBackupJob` is "Copy data". A name without a title is split into words.
#[must_use]
pub fn step_title(workflow: WorkflowName, name: &str) -> String {
    let title = match name {
        "CreateImageRecord" => "Create image record",
        "GetInstanceByK8sName" => "Find source",
        "RunBackupJob" => "Copy data",
        "VerifyImage" | "RunVerifyJob" => "Verify image",
        "UpdateImageStatus" => match workflow {
            WorkflowName::CreateImage => "Publish image",
            WorkflowName::RestoreImage => "Mark image as proven",
            _ => "Update image",
        },
        "CreatePvc" => "Create storage",
        "GetSourcePassword" => "Read source password",
        "CreateInstanceRecord" => "Create instance record",
        "RunRestoreJob" => "Restore data",
        "DeployPostgresFromPvc" | "StartPostgres" => "Start server",
        "StopPostgres" => "Stop server",
        "TestConnection" => "Test connection",
        "UpdateInstanceStatus" => "Publish instance",
        "DeletePostgres" => "Delete server",
        "DeletePvc" => "Delete storage",
        "DeleteInstanceRecord" => "Delete instance record",
        "DeleteImageObjects" => "Delete objects",
        "DeleteImageRecord" => "Delete image record",
        "RunTestJob" => "Run test job",
        other => return split_into_words(other),
    };
    title.to_owned()
}

/// `ReadBackObjects` is "Read back objects".
fn split_into_words(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 8);
    for (i, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            text.push(' ');
            text.push(c.to_ascii_lowercase());
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_has_a_title_or_its_name_split_into_words() {
        assert_eq!(step_title(WorkflowName::CreateImage, "RunBackupJob"), "Copy data");
        assert_eq!(step_title(WorkflowName::CreateImage, "UpdateImageStatus"), "Publish image");
        assert_eq!(step_title(WorkflowName::RestoreImage, "UpdateImageStatus"), "Mark image as proven");
        assert_eq!(step_title(WorkflowName::Unknown, "WriteTenLines"), "Write ten lines");
    }
}
