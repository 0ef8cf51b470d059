//! Jobs in a cluster.
use super::KubernetesPlatform;
use crate::{JobSpec, JobState, Result};
use std::time::Duration;
impl KubernetesPlatform {
    pub(super) async fn launch_job(&self, _: &JobSpec) -> Result<()> {
        todo!()
    }
    pub(super) async fn observe_job(&self, _: &str) -> Result<JobState> {
        todo!()
    }
    pub(super) async fn stop_job(&self, _: &str, _: Duration) -> Result<()> {
        todo!()
    }
    pub(super) async fn remove_job(&self, _: &str) -> Result<()> {
        todo!()
    }
    pub(super) async fn job_names(&self) -> Result<Vec<String>> {
        todo!()
    }
}
