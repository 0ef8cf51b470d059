//! The Job of one attempt and its input, a ConfigMap with the task and a Secret. It knows templates and what is wanted, and
//! no cluster.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, PersistentVolumeClaimVolumeSource, PodSpec, Secret, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use model::{Location, Work};
use sha2::{Digest, Sha256};

use super::identity;
use crate::kubernetes::names;
use crate::{JobSpec, Result};

/// On a Job: the hash of its task, which tells a repeat from another job of the same name.
pub(in crate::kubernetes) const TASK: &str = "toygres.io/task";
/// On a pod: the template that it was made from, for whoever is to change it.
pub(in crate::kubernetes) const TEMPLATE: &str = "toygres.io/template";
/// On a pod: its main container, as kubectl understands it too.
pub(in crate::kubernetes) const MAIN: &str = "kubectl.kubernetes.io/default-container";
/// The init container that puts the agent in place.
const AGENT: &str = "agent";
/// The task's file in the ConfigMap.
const TASK_FILE: &str = "task.json";

/// What a job is made with, besides its template and what is wanted of it.
pub(in crate::kubernetes) struct Surroundings<'a> {
    /// The file name of the template.
    pub(in crate::kubernetes) template_name: &'a str,
    /// The image that holds the agent.
    pub(in crate::kubernetes) agent_image: &'a str,
    /// The image that holds PostgreSQL's programs.
    pub(in crate::kubernetes) postgres_image: &'a str,
    /// The account that the job runs as.
    pub(in crate::kubernetes) service_account: &'a str,
    /// The claim of the instance's volume that the job fills.
    pub(in crate::kubernetes) claim: Option<String>,
    /// How long a projected token lives.
    pub(in crate::kubernetes) token_seconds: i64,
}

/// The Job.
///
/// # Errors
/// The task cannot be written.
pub(in crate::kubernetes) fn job(template: &Job, spec: &JobSpec, around: &Surroundings<'_>) -> Result<Job> {
    let mut job = template.clone();
    let labels = names::job_labels(&spec.name, spec.task.run);
    job.metadata.name = Some(spec.name.clone());
    job.labels_mut().extend(labels.clone());
    job.annotations_mut().insert(TASK.to_owned(), hash(&task_text(spec)?));
    let wanted = job.spec.get_or_insert_default();
    // One attempt is one pod: whoever tries again does it under another name.
    wanted.backoff_limit = Some(0);
    wanted.pod_replacement_policy = Some("Failed".to_owned());
    wanted.active_deadline_seconds = Some(i64::try_from(spec.deadline.as_secs()).unwrap_or(i64::MAX).max(1));
    wanted.ttl_seconds_after_finished = None;
    let metadata = wanted.template.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().extend(labels);
    let pod = wanted.template.spec.get_or_insert_default();
    let main = fill(pod, spec, around);
    if let Some(identity) = &spec.identity {
        identity::project(identity, metadata, pod, around.token_seconds);
    }
    let notes = metadata.annotations.get_or_insert_default();
    notes.insert(TEMPLATE.to_owned(), around.template_name.to_owned());
    notes.extend(main.map(|main| (MAIN.to_owned(), main)));
    Ok(job)
}

/// Sets images and volumes; returns the name of the main container.
fn fill(pod: &mut PodSpec, spec: &JobSpec, around: &Surroundings<'_>) -> Option<String> {
    pod.restart_policy = Some("Never".to_owned());
    pod.service_account_name = Some(around.service_account.to_owned());
    pod.automount_service_account_token = Some(false);
    if let Some(init) = pod.init_containers.iter_mut().flatten().find(|container| container.name == AGENT) {
        init.image = Some(around.agent_image.to_owned());
    }
    volume(pod, "task").config_map.get_or_insert_default().name.clone_from(&spec.name);
    volume(pod, "secrets").secret.get_or_insert_default().secret_name = Some(spec.name.clone());
    if let Some(claim) = &around.claim {
        volume(pod, "data").persistent_volume_claim = Some(claimed(claim));
    }
    let claims = claims(spec);
    for (n, claim) in claims.iter().enumerate() {
        volume(pod, &format!("store-{n}")).persistent_volume_claim = Some(claimed(claim));
    }
    let main = pod.containers.first_mut()?;
    main.image = Some(around.postgres_image.to_owned());
    for (n, claim) in claims.iter().enumerate() {
        mount(main, &format!("store-{n}"), &format!("/stores/{claim}"), false);
    }
    Some(main.name.clone())
}

/// The volume of that name, made if the template has none.
pub(super) fn volume<'a>(pod: &'a mut PodSpec, name: &str) -> &'a mut Volume {
    let volumes = pod.volumes.get_or_insert_default();
    let at = volumes.iter().position(|volume| volume.name == name).unwrap_or(volumes.len());
    if at == volumes.len() {
        volumes.push(Volume { name: name.to_owned(), ..Volume::default() });
    }
    &mut volumes[at]
}

/// Mounts a volume.
pub(super) fn mount(container: &mut Container, volume: &str, path: &str, read_only: bool) {
    let mounts = container.volume_mounts.get_or_insert_default();
    mounts.retain(|mount| mount.name != volume);
    mounts.push(VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    });
}

fn claimed(claim: &str) -> PersistentVolumeClaimVolumeSource {
    PersistentVolumeClaimVolumeSource { claim_name: claim.to_owned(), ..Default::default() }
}

/// The claims that hold the stores of a task: `pvc://CLAIM/…` is `/stores/CLAIM/…` in the job.
fn claims(spec: &JobSpec) -> BTreeSet<&str> {
    let work = match &spec.task.work {
        Work::Backup { to: Location { store, .. }, .. }
        | Work::Restore { from: Location { store, .. }, .. }
        | Work::Verify { from: Location { store, .. } }
        | Work::ProbeStore { store } => Some(store),
        Work::Probe { .. } | Work::Talk { .. } => None,
    };
    let stores = work.into_iter().chain(spec.task.log.as_ref().map(|log| &log.store));
    let rests = stores.filter_map(|store| store.strip_prefix("pvc://"));
    rests.filter_map(|rest| rest.split('/').next()).filter(|claim| !claim.is_empty()).collect()
}

/// The input of a Job that is there: it goes with it.
///
/// # Errors
/// The task cannot be written.
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
    let values = spec.secrets.iter().map(|(name, secret)| (name.clone(), secret.reveal().to_owned()));
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
    // Setting blockOwnerDeletion needs a right that nothing else here needs.
    job.controller_owner_ref(&()).map(|owner| OwnerReference { block_owner_deletion: None, ..owner })
}

fn task_text(spec: &JobSpec) -> Result<String> {
    Ok(serde_json::to_string(&spec.task)
        .map_err(|error| anyhow::Error::new(error).context("write the task"))?)
}

/// Whether a Job was made for the task.
pub(in crate::kubernetes) fn has_task(job: &Job, spec: &JobSpec) -> Result<bool> {
    Ok(job.annotations().get(TASK) == Some(&hash(&task_text(spec)?)))
}

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests;
