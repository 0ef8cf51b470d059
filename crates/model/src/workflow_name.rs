//! The names of the workflows.

use crate::text_enum::text_enum;

text_enum! {
    /// The name of a workflow.
    WorkflowName {
        /// Backs up an instance into an image.
        CreateImage = "create-image",
        /// Creates an instance with an empty database.
        CreateInstance = "create-instance",
        /// Restores an image into a new instance.
        RestoreImage = "restore-image",
        /// Verifies an image: reads every byte back.
        VerifyImage = "verify-image",
        /// Deletes an image.
        DeleteImage = "delete-image",
        /// Deletes a managed instance, or removes an external one from Toygres.
        DeleteInstance = "delete-instance",
        /// Starts a stopped instance.
        StartInstance = "start-instance",
        /// Stops an instance.
        StopInstance = "stop-instance",
        /// Runs a job that writes log lines.
        TestPlatform = "test-platform",
        /// A workflow of another version of Toygres.
        Unknown = "unknown",
    }
}

impl WorkflowName {
    /// The workflow with this name; [`WorkflowName::Unknown`] if there is none.
    #[must_use]
    pub fn of(name: &str) -> Self {
        name.parse().unwrap_or(Self::Unknown)
    }
}
