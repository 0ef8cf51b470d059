//! Whether a template has what Toygres fills in, and nothing that Kubernetes would silently leave out.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, PodSpec, Service, Volume};
use serde_json::Value;

use super::Checked;
use crate::kubernetes::objects::{quantity, server as parts};

/// Whether all that was written was understood: a misspelt field would be dropped without a word.
pub(super) fn nothing_unknown(written: &Value, understood: &Value, place: &str) -> Checked {
    match (written, understood) {
        (Value::Object(written), understood) => {
            written.iter().filter(|(_, value)| !value.is_null()).try_for_each(|(key, value)| {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                match understood.get(key) {
                    Some(understood) => nothing_unknown(value, understood, &place),
                    None => Err(format!("there is no field {place}")),
                }
            })
        }
        (Value::Array(written), Value::Array(understood)) => {
            let pairs = written.iter().zip(understood).enumerate();
            pairs.into_iter().try_for_each(|(index, (written, understood))| {
                nothing_unknown(written, understood, &format!("{place}[{index}]"))
            })
        }
        _ => Ok(()),
    }
}

pub(super) fn backup_job(job: &Job) -> Checked {
    self::job(job)
}

pub(super) fn restore_job(job: &Job) -> Checked {
    let pod = self::job(job).map(|()| job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()))?;
    volume_of(pod.ok_or_else(|| missing("spec.template.spec"))?, "data", |data| {
        data.persistent_volume_claim.is_some()
    })
}

fn job(job: &Job) -> Checked {
    let spec = job.spec.as_ref().ok_or_else(|| missing("spec"))?;
    if spec.backoff_limit != Some(0) {
        return Err(
            "spec.backoffLimit is not 0: one attempt is one job, and Toygres tries again itself".to_owned()
        );
    }
    let pod = spec.template.spec.as_ref().ok_or_else(|| missing("spec.template.spec"))?;
    if pod.restart_policy.as_deref() != Some("Never") {
        return Err(
            "spec.template.spec.restartPolicy is not Never: the log of a failed attempt would be lost"
                .to_owned(),
        );
    }
    if pod.containers.is_empty() {
        return Err(missing("spec.template.spec.containers[0]"));
    }
    init_container(pod, "agent")?;
    volume_of(pod, "task", |task| task.config_map.is_some())?;
    volume_of(pod, "secrets", |secrets| secrets.secret.is_some())
}

pub(super) fn server(server: &StatefulSet) -> Checked {
    let spec = server.spec.as_ref().ok_or_else(|| missing("spec"))?;
    let pod = spec.template.spec.as_ref().ok_or_else(|| missing("spec.template.spec"))?;
    if !pod.containers.iter().any(|there| there.name == parts::CONTAINER) {
        return Err(missing(&format!("spec.template.spec.containers[{}]", parts::CONTAINER)));
    }
    init_container(pod, parts::INITIALISE)?;
    volume_of(pod, "data", |data| data.persistent_volume_claim.is_some())?;
    volume_of(pod, "config", |config| config.config_map.is_some())?;
    volume_of(pod, "secrets", |secrets| secrets.secret.is_some())
}

pub(super) fn volume(claim: &PersistentVolumeClaim) -> Checked {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let storage = resources.and_then(|resources| resources.requests.as_ref()?.get("storage"));
    match storage.and_then(quantity::bytes) {
        Some(_) => Ok(()),
        None => Err("spec.resources.requests.storage is no size such as 10Gi".to_owned()),
    }
}

pub(super) fn config(config: &ConfigMap) -> Checked {
    ["pg_hba.conf", "postgresql.conf"].into_iter().try_for_each(|file| {
        let there = config.data.as_ref().is_some_and(|data| data.contains_key(file));
        if there { Ok(()) } else { Err(missing(&format!("data[{file}]"))) }
    })
}

pub(super) fn service(service: &Service) -> Checked {
    let mut ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    match ports.any(|port| port.port == i32::from(parts::PORT)) {
        true => Ok(()),
        false => Err(format!("spec.ports has no port {}", parts::PORT)),
    }
}

fn init_container(pod: &PodSpec, name: &str) -> Checked {
    match pod.init_containers.iter().flatten().any(|there| there.name == name) {
        true => Ok(()),
        false => Err(missing(&format!("spec.template.spec.initContainers[{name}]"))),
    }
}

fn volume_of(pod: &PodSpec, name: &str, kind: impl Fn(&Volume) -> bool) -> Checked {
    let place = format!("spec.template.spec.volumes[{name}]");
    match pod.volumes.iter().flatten().find(|volume| volume.name == name) {
        None => Err(missing(&place)),
        Some(volume) if kind(volume) => Ok(()),
        Some(_) => Err(format!("{place} is of another kind than Toygres fills in")),
    }
}

fn missing(field: &str) -> String {
    format!("{field} is missing")
}
