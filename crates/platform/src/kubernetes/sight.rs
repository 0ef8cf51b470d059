//! Looking at a job: its Job, its pod, and while it has not begun what is told about both.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::ListParams;

use super::apply::ask;
use super::endings::{HARVESTED, Sight};
use super::watch::belongs_to;
use super::{KubernetesPlatform, names};
use crate::{JobState, Result};

impl KubernetesPlatform {
    pub(super) async fn job(&self, name: &str) -> Result<Option<Job>> {
        ask("look at the job", self.api::<Job>().get_opt(name)).await
    }

    /// What there is to see of a job; none if it is not there, or was harvested.
    pub(super) async fn sight(&self, name: &str) -> Result<Option<Sight>> {
        let of_job = ListParams::default().labels(&names::of_job(name));
        // The pods first: whoever ended them wrote the reason into the Job before.
        let pods = ask("look at the job's pods", self.api::<Pod>().list(&of_job)).await?;
        let Some(job) = self.job(name).await? else { return Ok(None) };
        if job.labels().contains_key(HARVESTED) || !names::carries(&job, &labels(name)) {
            return Ok(None);
        }
        let uid = job.uid().unwrap_or_default();
        let own = pods.items.into_iter().filter(|pod| belongs_to(pod, &uid));
        let pod = own.max_by_key(|pod| pod.creation_timestamp().map(|time| time.0));
        let pod = pod.or_else(|| self.watch.ended_pod(name, &uid));
        let mut sight = Sight { job, pod, events: vec![], now: Timestamp::now() };
        if matches!(sight.state(), JobState::Pending(_)) {
            sight.events = self.events_of(&sight).await?;
        }
        Ok(Some(sight))
    }

    /// What was told about a Job and its pod.
    async fn events_of(&self, sight: &Sight) -> Result<Vec<Event>> {
        let mut found = vec![];
        let about = [sight.job.uid(), sight.pod.as_ref().and_then(ResourceExt::uid)];
        for uid in about.into_iter().flatten() {
            let about = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
            found.extend(ask("read the events", self.api::<Event>().list(&about)).await?.items);
        }
        Ok(found)
    }

    pub(super) async fn observe_job(&self, name: &str) -> Result<JobState> {
        Ok(self.sight(name).await?.map_or(JobState::Missing, |sight| sight.state()))
    }
}

/// The labels that a job's name alone tells.
pub(super) fn labels(name: &str) -> BTreeMap<String, String> {
    let managed = (names::MANAGED_BY.0.to_owned(), names::MANAGED_BY.1.to_owned());
    BTreeMap::from([managed, (names::JOB.to_owned(), name.to_owned())])
}
