//! Reads the snapshot of a job: its Job, its pod, and the events about both while it has not started.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt;
use kube::api::ListParams;

use super::api_error::ask;
use super::job_status::{HARVESTED, JobSnapshot};
use super::watch::belongs_to;
use super::{KubernetesPlatform, names};
use crate::{JobState, Result};

impl KubernetesPlatform {
    /// The Job of this name, regardless of its owner.
    pub(super) async fn job(&self, name: &str) -> Result<Option<Job>> {
        ask(&format!("Job {name}"), self.api::<Job>().get_opt(name)).await
    }

    /// The snapshot of a job; none if the job does not exist, or was harvested.
    pub(super) async fn snapshot(&self, name: &str) -> Result<Option<JobSnapshot>> {
        let of_job = ListParams::default().labels(&names::of_job(name));
        // The pods before the Job: the reason why a pod is ended is written to the Job first.
        let pods = ask("Pods", self.api::<Pod>().list(&of_job)).await?;
        let Some(job) = self.job(name).await? else { return Ok(None) };
        if job.labels().contains_key(HARVESTED) || !names::carries(&job, &labels(name)) {
            return Ok(None);
        }
        let uid = job.uid().unwrap_or_default();
        let own = pods.items.into_iter().filter(|pod| belongs_to(pod, &uid));
        let pod = own.max_by_key(|pod| pod.creation_timestamp().map(|time| time.0));
        let pod = pod.or_else(|| self.watch.ended_pod(name, &uid));
        let mut snapshot = JobSnapshot { job, pod, events: vec![], now: self.clock.now() };
        if matches!(snapshot.state(), JobState::Pending(_)) {
            snapshot.events = self.events_of(&snapshot).await?;
        }
        Ok(Some(snapshot))
    }

    /// The events about a Job and its pod.
    async fn events_of(&self, snapshot: &JobSnapshot) -> Result<Vec<Event>> {
        let mut events = self.events_about(snapshot.job.uid()).await?;
        events.extend(self.events_about(snapshot.pod.as_ref().and_then(ResourceExt::uid)).await?);
        Ok(events)
    }

    pub(super) async fn observe_job(&self, name: &str) -> Result<JobState> {
        Ok(self.snapshot(name).await?.map_or(JobState::Missing, |snapshot| snapshot.state()))
    }
}

/// The labels of a job that follow from its name.
pub(super) fn labels(name: &str) -> BTreeMap<String, String> {
    let managed = (names::MANAGED_BY.0.to_owned(), names::MANAGED_BY.1.to_owned());
    BTreeMap::from([managed, (names::JOB.to_owned(), name.to_owned())])
}
