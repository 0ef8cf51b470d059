//! The objects of a job: the Job of one attempt and its input, a ConfigMap with the task and a Secret.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Container, PersistentVolumeClaimVolumeSource, PodSpec, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use model::{Location, Work};
use sha2::{Digest, Sha256};

use super::identity;
use super::pod::{mount, volume};
use crate::kubernetes::names::{self, AGENT_CONTAINER, SERVER_CONTAINER};
use crate::{ExposeSecret, JobSpec, Result};

/// The annotation of a Job with the hash of its task: a repeated launch has the same one.
pub(in crate::kubernetes) const TASK: &str = "toygres.io/task";
/// The annotation of a pod with the template that it was created from, for people.
const TEMPLATE: &str = "toygres.io/template";
/// The annotation of a pod with its main container. kubectl reads it too.
pub(in crate::kubernetes) const MAIN: &str = "kubectl.kubernetes.io/default-container";
/// The key of the task in the ConfigMap.
const TASK_FILE: &str = "task.json";

/// What a Job needs besides its template and its specification.
pub(in crate::kubernetes) struct JobContext<'a> {
    /// The file name of the template.
    pub(in crate::kubernetes) template_name: &'a str,
    /// The container image with the agent.
    pub(in crate::kubernetes) agent_image: &'a str,
    /// The container image with PostgreSQL's programs.
    pub(in crate::kubernetes) postgres_image: &'a str,
    /// The job's service account.
    pub(in crate::kubernetes) service_account: &'a str,
    /// The claim of the instance's volume, if the job writes one.
    pub(in crate::kubernetes) claim: Option<String>,
    /// The lifetime of a projected token.
    pub(in crate::kubernetes) token_seconds: i64,
}

/// Creates the Job.
///
/// # Errors
/// The task cannot be serialized.
pub(in crate::kubernetes) fn job(template: &Job, spec: &JobSpec, context: &JobContext<'_>) -> Result<Job> {
    let mut job = template.clone();
    let labels = names::job_labels(&spec.name, spec.task.run);
    job.metadata.name = Some(spec.name.clone());
    job.labels_mut().extend(labels.clone());
    job.annotations_mut().insert(TASK.to_owned(), hash(&task_text(spec)?));
    let job_spec = job.spec.get_or_insert_default();
    // One pod: the workflow retries with a Job of another name.
    job_spec.backoff_limit = Some(0);
    job_spec.pod_replacement_policy = Some("Failed".to_owned());
    job_spec.active_deadline_seconds =
        Some(i64::try_from(spec.deadline.as_secs()).unwrap_or(i64::MAX).max(1));
    job_spec.ttl_seconds_after_finished = None;
    let metadata = job_spec.template.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().extend(labels);
    let pod = job_spec.template.spec.get_or_insert_default();
    let main = fill(pod, spec, context);
    if let Some(identity) = &spec.identity {
        identity::project(identity, metadata, pod, context.token_seconds);
    }
    identity::keep_out(metadata, pod);
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(TEMPLATE.to_owned(), context.template_name.to_owned());
    annotations.extend(main.map(|main| (MAIN.to_owned(), main)));
    Ok(job)
}

/// Sets the container images and volumes of the pod. Returns the name of the main container.
fn fill(pod: &mut PodSpec, spec: &JobSpec, context: &JobContext<'_>) -> Option<String> {
    pod.restart_policy = Some("Never".to_owned());
    pod.service_account_name = Some(context.service_account.to_owned());
    pod.automount_service_account_token = Some(false);
    if let Some(init) =
        pod.init_containers.iter_mut().flatten().find(|container| container.name == AGENT_CONTAINER)
    {
        init.image = Some(context.agent_image.to_owned());
    }
    if let Some(server) = pod.init_containers.iter_mut().flatten().find(|container| is_sidecar(container)) {
        server.image = Some(context.postgres_image.to_owned());
    }
    volume(pod, "task").config_map.get_or_insert_default().name.clone_from(&spec.name);
    volume(pod, "secrets").secret.get_or_insert_default().secret_name = Some(spec.name.clone());
    if let Some(claim) = &context.claim {
        volume(pod, "data").persistent_volume_claim = Some(claimed(claim));
    }
    let claims = claims(spec);
    for (n, claim) in claims.iter().enumerate() {
        volume(pod, &format!("store-{n}")).persistent_volume_claim = Some(claimed(claim));
    }
    let main = pod.containers.first_mut()?;
    main.image = Some(context.postgres_image.to_owned());
    for (n, claim) in claims.iter().enumerate() {
        mount(main, &format!("store-{n}"), &format!("/stores/{claim}"), false);
    }
    Some(main.name.clone())
}

/// Whether a container executes what an image contains, for the agent in the main container.
pub(in crate::kubernetes) fn is_sidecar(container: &Container) -> bool {
    container.name == SERVER_CONTAINER && container.restart_policy.as_deref() == Some("Always")
}

fn claimed(claim: &str) -> PersistentVolumeClaimVolumeSource {
    PersistentVolumeClaimVolumeSource { claim_name: claim.to_owned(), ..Default::default() }
}

/// The claims of the stores of a task. The agent finds `pvc://CLAIM/…` at `/stores/CLAIM/…`.
fn claims(spec: &JobSpec) -> BTreeSet<&str> {
    let work = match &spec.task.work {
        Work::Backup { to: Location { store, .. }, .. }
        | Work::Restore { from: Location { store, .. }, .. }
        | Work::Verify { from: Location { store, .. }, .. }
        | Work::ProbeStore { store } => Some(store),
        Work::Probe { .. } | Work::EmitLines { .. } => None,
    };
    let stores = work.into_iter().chain(spec.task.log.as_ref().map(|log| &log.store));
    let rests = stores.filter_map(|store| store.strip_prefix("pvc://"));
    rests.filter_map(|rest| rest.split('/').next()).filter(|claim| !claim.is_empty()).collect()
}

/// Creates the input of an existing Job, which owns it.
///
/// # Errors
/// The task cannot be serialized.
pub(in crate::kubernetes) fn input(job: &Job, spec: &JobSpec) -> Result<(ConfigMap, Secret)> {
    let metadata = ObjectMeta {
        name: Some(spec.name.clone()),
        labels: Some(names::job_labels(&spec.name, spec.task.run)),
        owner_references: Some(owner(job).into_iter().collect()),
        ..ObjectMeta::default()
    };
    let task = ConfigMap {
        metadata: metadata.clone(),
        data: Some(BTreeMap::from([(TASK_FILE.to_owned(), task_text(spec)?)])),
        immutable: Some(true),
        ..ConfigMap::default()
    };
    let values = spec.secrets.iter().map(|(name, secret)| (name.clone(), secret.expose_secret().to_owned()));
    let secrets = Secret {
        metadata,
        string_data: Some(values.collect()),
        immutable: Some(true),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    Ok((task, secrets))
}

fn owner(job: &Job) -> Option<OwnerReference> {
    // Without blockOwnerDeletion, which would require an additional permission.
    job.controller_owner_ref(&()).map(|owner| OwnerReference { block_owner_deletion: None, ..owner })
}

fn task_text(spec: &JobSpec) -> Result<String> {
    Ok(serde_json::to_string(&spec.task)
        .map_err(|error| anyhow::Error::new(error).context("serialize the task"))?)
}

/// Whether a Job was created for the task.
pub(in crate::kubernetes) fn has_task(job: &Job, spec: &JobSpec) -> Result<bool> {
    Ok(job.annotations().get(TASK) == Some(&hash(&task_text(spec)?)))
}

fn hash(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests;
