//! Jobs in a cluster: launch or find one, stop it, and delete what belongs to it.

use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, PodSpec, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Resource, ResourceExt};
use model::{Failure, FailureCode, InstanceId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;

use super::api::{describe, require_ours};
use super::api_error::{answer, ask, failed, is_missing_or_replaced};
use super::job_status::{END, HARVESTED, JobSnapshot, STOPPED, is_finished, is_over};
use super::objects::job::{self, JobContext};
use super::snapshot::labels;
use super::watch::TICK;
use super::{KubernetesPlatform, names};
use crate::{JobSpec, JobState, Result};

/// How long a pod may take to end beyond its grace period.
const KUBELET_DELAY: Duration = Duration::from_secs(30);
/// The grace period of a pod that does not set one, in seconds.
const DEFAULT_GRACE: i64 = 30;

impl KubernetesPlatform {
    pub(super) async fn launch_job(&self, spec: &JobSpec) -> Result<()> {
        let desired = self.job_object(spec).await?;
        let mut job = self.create(&desired).await?;
        if job.is_none() {
            job = self.existing(spec).await?;
        }
        if job.is_none() {
            job = self.create(&desired).await?;
        }
        let job = job.ok_or_else(|| {
            let detail = "another job of this name was created at the same time";
            Failure::new(FailureCode::PlatformUnavailable, detail).on(&*spec.name)
        })?;
        if is_finished(&job) {
            return Ok(());
        }
        // After the Job, which owns them: they are deleted with it.
        let (task, secret) = job::input(&job, spec)?;
        self.create(&task).await?;
        self.create(&secret).await?;
        Ok(())
    }

    async fn job_object(&self, spec: &JobSpec) -> Result<Job> {
        let (template, template_name) = match spec.volume {
            Some(_) => (&self.templates.restore_job, "restore-job.yaml"),
            None => (&self.templates.backup_job, "backup-job.yaml"),
        };
        let context = JobContext {
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
        job::job(template, spec, &context)
    }

    /// The container image of a major version, or the newest one.
    fn postgres_image(&self, major: Option<i32>) -> Result<&str> {
        let images = &self.config.postgres_images;
        let found = match major {
            Some(major) => images.get(&major),
            None => images.values().next_back(),
        };
        Ok(found.map(String::as_str).ok_or_else(|| {
            let subject =
                major.map_or_else(|| "PostgreSQL".to_owned(), |major| format!("PostgreSQL {major}"));
            Failure::new(FailureCode::ProgramsMissing, "no container image in TOYGRES_POSTGRES_IMAGES")
                .on(subject)
        })?)
    }

    /// The name of the claim of an instance's volume.
    async fn claim_of(&self, id: InstanceId) -> Result<String> {
        let of_instance = ListParams::default().labels(&names::of_instance(id));
        let claims = self.api::<PersistentVolumeClaim>();
        let found = ask("PersistentVolumeClaims", claims.list_metadata(&of_instance)).await?;
        Ok(found.items.first().map(ResourceExt::name_any).ok_or_else(|| {
            Failure::new(FailureCode::VolumeLost, "the instance has no PersistentVolumeClaim")
                .on(id.to_string())
        })?)
    }

    /// Creates an object; none if one of that name exists.
    ///
    /// # Errors
    /// As [`require_ours`] if the existing object does not belong to the job.
    async fn create<K>(&self, object: &K) -> Result<Option<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let (api, subject) = (self.api::<K>(), describe(object));
        match answer(&subject, api.create(&PostParams::default(), object)).await? {
            Ok(created) => Ok(Some(created)),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                if let Some(existing) = ask(&subject, api.get_metadata_opt(&object.name_any())).await? {
                    require_ours(&existing, object.labels())?;
                }
                Ok(None)
            }
            Err(error) => Err(failed(&subject, error)),
        }
    }

    /// The existing Job of this name and task. A harvested one is deleted, for a new one to replace it.
    async fn existing(&self, spec: &JobSpec) -> Result<Option<Job>> {
        let Some(existing) = self.job(&spec.name).await? else { return Ok(None) };
        if !job::has_task(&existing, spec)? {
            let detail = "a job of this name exists and has another task";
            return Err(Failure::new(FailureCode::NotOwned, detail).on(&*spec.name).into());
        }
        if existing.labels().contains_key(HARVESTED) {
            self.delete_job(&existing).await?;
            return Ok(None);
        }
        Ok(Some(existing))
    }

    /// Suspends the Job, which terminates its pod with the grace period. The end is recorded on the Job, because the pod is
    /// deleted.
    pub(super) async fn stop_job(&self, name: &str, grace: Duration) -> Result<()> {
        let mut changes = self.watch.changes(name);
        let Some(snapshot) = self.snapshot(name).await? else { return Ok(()) };
        if matches!(snapshot.state(), JobState::Ended(_)) {
            return Ok(());
        }
        let stop = json!({"metadata": {"annotations": {STOPPED: "true"}}, "spec": {"suspend": true}});
        self.patch_job(&snapshot.job, stop).await?;
        if grace.is_zero() {
            return Ok(());
        }
        let deadline = Instant::now() + grace.max(grace_period(&snapshot)) + KUBELET_DELAY;
        loop {
            changes.clear();
            let Some(snapshot) = self.snapshot(name).await? else { return Ok(()) };
            if let JobState::Ended(end) = snapshot.state() {
                let text = serde_json::to_string(&end)
                    .map_err(|error| anyhow::Error::new(error).context("serialize the end of a job"))?;
                let end = json!({"metadata": {"annotations": {END: text}}});
                return self.patch_job(&snapshot.job, end).await;
            }
            if Instant::now() >= deadline {
                let detail = "the job did not end within its grace period";
                return Err(Failure::new(FailureCode::PlatformUnavailable, detail).on(name).into());
            }
            changes.changed_or(TICK.min(deadline - Instant::now())).await;
        }
    }

    pub(super) async fn remove_job(&self, name: &str) -> Result<()> {
        self.delete::<Secret>(name, &labels(name), DeleteParams::default()).await?;
        self.delete::<ConfigMap>(name, &labels(name), DeleteParams::default()).await?;
        let Some(snapshot) = self.snapshot(name).await? else { return Ok(()) };
        if !will_finish(&snapshot) {
            return self.delete_job(&snapshot.job).await;
        }
        // The Job is kept for a while for `kubectl logs` and `kubectl describe`.
        let harvested = json!({
            "metadata": {"labels": {HARVESTED: "true"}},
            "spec": {"ttlSecondsAfterFinished": self.config.job_ttl_seconds}
        });
        self.patch_job(&snapshot.job, harvested).await
    }

    /// Deletes the harvested jobs whose pods match.
    pub(super) async fn remove_harvested_jobs(&self, matches: impl Fn(&PodSpec) -> bool) -> Result<()> {
        let harvested = ListParams::default().labels(&format!("{},{HARVESTED}", names::ours()));
        let jobs = ask("Jobs", self.api::<Job>().list(&harvested)).await?;
        let pod = |job: &Job| job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref().map(&matches));
        for job in jobs.items.iter().filter(|job| pod(job) == Some(true)) {
            self.delete_job(job).await?;
        }
        Ok(())
    }

    /// Changes a Job, unless it does not exist any more or another one has its name.
    async fn patch_job(&self, job: &Job, mut change: serde_json::Value) -> Result<()> {
        change["metadata"]["uid"] = json!(job.uid());
        let (jobs, name, change) = (self.api::<Job>(), job.name_any(), Patch::Merge(change));
        let patched = answer(&describe(job), jobs.patch(&name, &PatchParams::default(), &change)).await?;
        unless_missing(job, patched)
    }

    /// Deletes a Job with its pods, unless it does not exist any more or another one has its name.
    async fn delete_job(&self, job: &Job) -> Result<()> {
        // Explicitly in the background: by default, a Job's pods are kept.
        let params = DeleteParams::background()
            .preconditions(Preconditions { uid: job.uid(), resource_version: None });
        let (jobs, name) = (self.api::<Job>(), job.name_any());
        let deleted = answer(&describe(job), jobs.delete(&name, &params)).await?;
        unless_missing(job, deleted)
    }

    pub(super) async fn job_names(&self) -> Result<Vec<String>> {
        let open = format!("{},{},!{HARVESTED}", names::ours(), names::JOB);
        let jobs = self.api::<Job>();
        let found = ask("Jobs", jobs.list_metadata(&ListParams::default().labels(&open))).await?;
        Ok(found.items.iter().map(ResourceExt::name_any).collect())
    }
}

fn unless_missing<T>(job: &Job, answer: kube::Result<T>) -> Result<()> {
    match answer {
        Err(error) if !is_missing_or_replaced(&error) => Err(failed(&describe(job), error)),
        _ => Ok(()),
    }
}

/// Whether the Job has ended or is about to, so that its time to live applies. That of a suspended Job never does.
fn will_finish(snapshot: &JobSnapshot) -> bool {
    let suspended = snapshot.job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true));
    is_finished(&snapshot.job) || !suspended && snapshot.pod.as_ref().is_some_and(is_over)
}

fn grace_period(snapshot: &JobSnapshot) -> Duration {
    let spec = snapshot.pod.as_ref().and_then(|pod| pod.spec.as_ref());
    let seconds = spec.and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(DEFAULT_GRACE);
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}
