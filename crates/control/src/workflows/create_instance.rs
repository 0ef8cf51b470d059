//! Makes an empty instance.

use model::InstanceId;
use serde::{Deserialize, Serialize};
use workflow::{Lock, Steps, Workflow};

use super::instance_steps::{
    CreateInstanceRecord, CreatePvc, DeployPostgresFromPvc, MakesInstance, TestConnection,
    UpdateInstanceStatus,
};
use crate::instances::instance_key;
use crate::services::Services;

/// Makes an empty instance.
#[derive(Serialize, Deserialize)]
pub struct CreateInstance {
    /// The instance to be, whose row is reserved.
    pub instance: InstanceId,
}

impl Workflow for CreateInstance {
    const NAME: &'static str = "create-instance";
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

impl MakesInstance for CreateInstance {
    fn instance(&self) -> InstanceId {
        self.instance
    }
}
