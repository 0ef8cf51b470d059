//! Following a job's events.
use super::KubernetesPlatform;
use crate::Result;
use futures::stream::BoxStream;
use model::AgentEvent;
impl KubernetesPlatform {
    pub(super) fn follow_job(&self, _: &str, _: u64) -> BoxStream<'static, Result<AgentEvent>> {
        todo!()
    }
}
