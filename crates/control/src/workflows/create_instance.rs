//! The workflow that creates an instance with an empty database.

use model::{InstanceId, WorkflowName};
use serde::{Deserialize, Serialize};
use workflow::{Lock, Steps, Workflow};

use super::instance_steps::{
    CreateInstanceRecord, CreatePvc, DeployPostgresFromPvc, ForInstance, TestConnection, UpdateInstanceStatus,
};
use crate::locks::instance_key;
use crate::services::Services;

/// Creates an instance with an empty database.
#[derive(Serialize, Deserialize)]
pub struct CreateInstance {
    /// The new instance, whose row is reserved.
    pub instance: InstanceId,
}

impl Workflow for CreateInstance {
    const NAME: &'static str = WorkflowName::CreateInstance.as_str();
    const VERSION: i32 = 1;
    type Services = Services;

    fn locks(&self) -> Vec<Lock> {
        vec![Lock::exclusive(instance_key(self.instance))]
    }

    fn steps() -> Steps<Self> {
        Steps::first::<CreatePvc<Self>>()
            .then::<CreateInstanceRecord<Self>>()
            .then::<DeployPostgresFromPvc<Self>>()
            .then::<TestConnection<Self>>()
            .then::<UpdateInstanceStatus<Self>>()
    }
}

impl ForInstance for CreateInstance {
    fn instance(&self) -> InstanceId {
        self.instance
    }
}
