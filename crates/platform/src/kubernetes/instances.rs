//! Instances in a cluster.
use super::KubernetesPlatform;
use crate::{Endpoint, InstanceSpec, Result, Secret, ServerState};
use model::InstanceId;
impl KubernetesPlatform {
    pub(super) async fn apply_volume(&self, _: &InstanceSpec) -> Result<()> {
        todo!()
    }
    pub(super) async fn apply_server(&self, _: &InstanceSpec, _: &Secret) -> Result<()> {
        todo!()
    }
    pub(super) async fn state_of_server(&self, _: InstanceId) -> Result<ServerState> {
        todo!()
    }
    pub(super) async fn endpoint_of(&self, _: InstanceId) -> Result<Option<Endpoint>> {
        todo!()
    }
    pub(super) async fn scale(&self, _: InstanceId, _: i32) -> Result<()> {
        todo!()
    }
    pub(super) async fn remove_server(&self, _: InstanceId) -> Result<()> {
        todo!()
    }
    pub(super) async fn remove_volume(&self, _: InstanceId) -> Result<()> {
        todo!()
    }
    pub(super) async fn instance_ids(&self) -> Result<Vec<InstanceId>> {
        todo!()
    }
}
