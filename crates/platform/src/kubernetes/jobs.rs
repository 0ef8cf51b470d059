//! Jobs in a cluster: launching one or finding it, stopping it, and taking away what it left.

use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, PodSpec, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Resource, ResourceExt};
use model::InstanceId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;

use super::apply::{answer, ask, asking, refuse_foreign};
use super::endings::{END, HARVESTED, STOPPED, Sight, is_finished, is_over};
use super::objects::job::{self, Surroundings};
use super::sight::labels;
use super::watch::TICK;
use super::{KubernetesPlatform, names};
use crate::{Error, JobSpec, JobState, Result};

/// How long a pod may take to end beyond its own grace.
const KUBELET: Duration = Duration::from_secs(30);

impl KubernetesPlatform {
    pub(super) async fn launch_job(&self, spec: &JobSpec) -> Result<()> {
        let wanted = self.job_of(spec).await?;
        let job = match self.create(&wanted).await? {
            Some(job) => job,
            None => match self.adopt(&wanted, spec).await? {
                Some(job) => job,
                // The one that was there is gone by now, or was made to go.
                None => self.create(&wanted).await?.ok_or_else(|| {
                    Error::Transient(anyhow::anyhow!(
                        "the job {} is being replaced by another one",
                        spec.name
                    ))
                })?,
            },
        };
        if is_finished(&job) {
            return Ok(());
        }
        // The Job first: what belongs to it goes with it, whatever happens.
        let (task, secret) = job::input(&job, spec)?;
        self.create(&task).await?;
        self.create(&secret).await?;
        Ok(())
    }

    async fn job_of(&self, spec: &JobSpec) -> Result<Job> {
        let (template, template_name) = match spec.volume {
            Some(_) => (&self.templates.restore_job, "restore-job.yaml"),
            None => (&self.templates.backup_job, "backup-job.yaml"),
        };
        let around = Surroundings {
            template_name,
            agent_image: &self.config.agent_image,
            postgres_image: self.postgres_image(spec.major)?,
            service_account: &self.config.job_service_account,
            claim: match spec.volume {
                Some(id) => Some(self.claim_of(id).await?),
                None => None,
            },
            token_seconds: self.config.token_seconds,
        };
        job::job(template, spec, &around)
    }

    fn postgres_image(&self, major: Option<i32>) -> Result<&str> {
        let images = &self.config.postgres_images;
        let found = match major {
            Some(major) => images.get(&major),
            None => images.values().next_back(),
        };
        found.map(String::as_str).ok_or_else(|| {
            let version = major.map_or_else(|| "any version".to_owned(), |major| major.to_string());
            Error::Impossible(format!(
                "There is no image of PostgreSQL {version} to run the job in. Name one in TOYGRES_POSTGRES_IMAGES."
            ))
        })
    }

    async fn claim_of(&self, id: InstanceId) -> Result<String> {
        let claims = self.api::<PersistentVolumeClaim>();
        let found =
            ask("find the volume", claims.list(&ListParams::default().labels(&names::of_instance(id))))
                .await?;
        found
            .items
            .first()
            .map(ResourceExt::name_any)
            .ok_or_else(|| Error::Impossible(format!("The volume of the instance {id} is not there.")))
    }

    /// Makes an object; none if one of that name is there. Nobody else's is taken for ours.
    async fn create<K>(&self, object: &K) -> Result<Option<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let what = "make what the job is made of";
        let api = self.api::<K>();
        match answer(what, api.create(&PostParams::default(), object)).await? {
            Err(kube::Error::Api(status)) if status.code == 409 => {
                if let Some(there) = ask(what, api.get_metadata_opt(&object.name_any())).await? {
                    refuse_foreign(&there, object.labels())?;
                }
                Ok(None)
            }
            made => asking(what, made).map(Some),
        }
    }

    /// The Job that is there, if it was made for the same task; none if it makes room.
    async fn adopt(&self, wanted: &Job, spec: &JobSpec) -> Result<Option<Job>> {
        let Some(there) = self.job(&spec.name).await? else { return Ok(None) };
        if !job::has_task(&there, spec)? {
            return Err(Error::Foreign(format!(
                "A job {} is there already, with another task.",
                wanted.name_any()
            )));
        }
        if there.labels().contains_key(HARVESTED) {
            self.delete_job(&there).await?;
            return Ok(None);
        }
        Ok(Some(there))
    }

    /// A suspended Job loses its pod in good order. How that ended is written down on the Job, for the pod does not stay.
    pub(super) async fn stop_job(&self, name: &str, grace: Duration) -> Result<()> {
        let mut changes = self.watch.changes(name);
        let Some(sight) = self.sight(name).await? else { return Ok(()) };
        if matches!(sight.state(), JobState::Ended(_)) {
            return Ok(());
        }
        let stop = json!({"metadata": {"annotations": {STOPPED: "true"}}, "spec": {"suspend": true}});
        self.patch_job(&sight.job, stop).await?;
        if grace.is_zero() {
            return Ok(());
        }
        let deadline = Instant::now() + grace.max(own_grace(&sight)) + KUBELET;
        loop {
            changes.clear();
            let Some(sight) = self.sight(name).await? else { return Ok(()) };
            if let JobState::Ended(end) = sight.state() {
                let text = serde_json::to_string(&end)
                    .map_err(|error| anyhow::Error::new(error).context("write how the job ended"))?;
                return self.patch_job(&sight.job, json!({"metadata": {"annotations": {END: text}}})).await;
            }
            if Instant::now() >= deadline {
                return Err(Error::Transient(anyhow::anyhow!("the job {name} does not end")));
            }
            changes.changed_or(TICK.min(deadline - Instant::now())).await;
        }
    }

    pub(super) async fn remove_job(&self, name: &str) -> Result<()> {
        self.delete::<Secret>(name, &labels(name), DeleteParams::default()).await?;
        self.delete::<ConfigMap>(name, &labels(name), DeleteParams::default()).await?;
        let Some(sight) = self.sight(name).await? else { return Ok(()) };
        if !will_finish(&sight) {
            return self.delete_job(&sight.job).await;
        }
        // `kubectl logs` and `describe` work for a while.
        let harvested = json!({
            "metadata": {"labels": {HARVESTED: "true"}},
            "spec": {"ttlSecondsAfterFinished": self.config.job_ttl_seconds}
        });
        self.patch_job(&sight.job, harvested).await
    }

    /// Deletes the jobs that ended and were written down, where their pods are of this kind: they are kept for people only.
    pub(super) async fn remove_harvested_jobs(&self, of_kind: impl Fn(&PodSpec) -> bool) -> Result<()> {
        let harvested = ListParams::default().labels(&format!("{},{HARVESTED}", names::ours()));
        let jobs = ask("list jobs", self.api::<Job>().list(&harvested)).await?;
        let pod = |job: &Job| job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref().map(&of_kind));
        for job in jobs.items.iter().filter(|job| pod(job) == Some(true)) {
            self.delete_job(job).await?;
        }
        Ok(())
    }

    /// Changes the Job that was seen, and no namesake; one that is gone needs no change.
    async fn patch_job(&self, job: &Job, mut change: serde_json::Value) -> Result<()> {
        change["metadata"]["uid"] = json!(job.uid());
        let change = Patch::Merge(change);
        let jobs = self.api::<Job>();
        let name = job.name_any();
        gone_is_fine(
            "change the job",
            answer("change the job", jobs.patch(&name, &PatchParams::default(), &change)).await?,
        )
    }

    async fn delete_job(&self, job: &Job) -> Result<()> {
        // Said explicitly: by default a Job leaves its pods behind.
        let how = DeleteParams::background()
            .preconditions(Preconditions { uid: job.uid(), resource_version: None });
        let (jobs, name) = (self.api::<Job>(), job.name_any());
        gone_is_fine("delete the job", answer("delete the job", jobs.delete(&name, &how)).await?)
    }

    pub(super) async fn job_names(&self) -> Result<Vec<String>> {
        let open = format!("{},{},!{HARVESTED}", names::ours(), names::JOB);
        let jobs =
            ask("list jobs", self.api::<Job>().list_metadata(&ListParams::default().labels(&open))).await?;
        Ok(jobs.items.iter().map(ResourceExt::name_any).collect())
    }
}

/// An object that is gone, or that has a namesake in its place, needs nothing more.
fn gone_is_fine<T>(what: &'static str, answer: kube::Result<T>) -> Result<()> {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        other => asking(what, other).map(drop),
    }
}

/// Whether the Job has ended or is just about to, so that its time to live counts. A suspended one never does.
fn will_finish(sight: &Sight) -> bool {
    let suspended = sight.job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true));
    is_finished(&sight.job) || !suspended && sight.pod.as_ref().is_some_and(is_over)
}

fn own_grace(sight: &Sight) -> Duration {
    let spec = sight.pod.as_ref().and_then(|pod| pod.spec.as_ref());
    let seconds = spec.and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}
