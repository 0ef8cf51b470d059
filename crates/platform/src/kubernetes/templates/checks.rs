//! Checks that a template has the fields that Toygres sets, and no fields that Kubernetes does not know.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Container, PersistentVolumeClaim, PodSpec, Service, Volume};
use serde_json::Value;

use crate::kubernetes::names::{AGENT_CONTAINER, INITIALISE_CONTAINER, POSTGRES_PORT, SERVER_CONTAINER};
use crate::kubernetes::objects::job::is_sidecar;
use crate::kubernetes::objects::quantity;

/// The result of a check; the error names the field and what is wrong with it.
pub(super) type Checked = std::result::Result<(), String>;

/// Checks that all written fields were parsed: a misspelt field would be ignored silently.
pub(super) fn no_unknown_fields(written: &Value, parsed: &Value, path: &str) -> Checked {
    match (written, parsed) {
        (Value::Object(written), parsed) => {
            written.iter().filter(|(_, value)| !value.is_null()).try_for_each(|(key, value)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match parsed.get(key) {
                    Some(parsed) => no_unknown_fields(value, parsed, &path),
                    None => Err(format!("unknown field {path}")),
                }
            })
        }
        (Value::Array(written), Value::Array(parsed)) => {
            let mut pairs = written.iter().zip(parsed).enumerate();
            pairs.try_for_each(|(index, (written, parsed))| {
                no_unknown_fields(written, parsed, &format!("{path}[{index}]"))
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
    let pod = pod.ok_or_else(|| missing("spec.template.spec"))?;
    volume_of(pod, "data", |data| data.persistent_volume_claim.is_some())?;
    let path = format!("spec.template.spec.initContainers[{SERVER_CONTAINER}]");
    let server = pod.init_containers.iter().flatten().find(|container| is_sidecar(container)).ok_or_else(|| {
        format!("{path} with restartPolicy: Always is missing: what an image contains is executed there, without secrets")
    })?;
    no_secrets(pod, server).map_err(|error| format!("{path}{error}"))
}

/// Checks that a container executes code of others without a secret: it mounts none and has no variable from one.
fn no_secrets(pod: &PodSpec, container: &Container) -> Checked {
    let mounted: Vec<&str> =
        container.volume_mounts.iter().flatten().map(|mount| mount.name.as_str()).collect();
    let mut volumes = pod.volumes.iter().flatten();
    let is_secret = |volume: &&Volume| volume.secret.is_some() || volume.projected.is_some();
    if let Some(volume) = volumes.find(|volume| is_secret(volume) && mounted.contains(&&*volume.name)) {
        return Err(format!(".volumeMounts[{}] is a secret", volume.name));
    }
    let from_secret = container.env.iter().flatten().any(|variable| variable.value_from.is_some())
        || container.env_from.is_some();
    if from_secret { Err(".env has a value from another object".to_owned()) } else { Ok(()) }
}

fn job(job: &Job) -> Checked {
    let spec = job.spec.as_ref().ok_or_else(|| missing("spec"))?;
    if spec.backoff_limit != Some(0) {
        return Err("spec.backoffLimit is not 0: each attempt is a Job of its own".to_owned());
    }
    let pod = spec.template.spec.as_ref().ok_or_else(|| missing("spec.template.spec"))?;
    if pod.restart_policy.as_deref() != Some("Never") {
        return Err("spec.template.spec.restartPolicy is not Never: a restart loses the log".to_owned());
    }
    if pod.containers.is_empty() {
        return Err(missing("spec.template.spec.containers[0]"));
    }
    init_container(pod, AGENT_CONTAINER)?;
    volume_of(pod, "task", |task| task.config_map.is_some())?;
    volume_of(pod, "secrets", |secrets| secrets.secret.is_some())
}

pub(super) fn server(server: &StatefulSet) -> Checked {
    let spec = server.spec.as_ref().ok_or_else(|| missing("spec"))?;
    let pod = spec.template.spec.as_ref().ok_or_else(|| missing("spec.template.spec"))?;
    if !pod.containers.iter().any(|container| container.name == SERVER_CONTAINER) {
        return Err(missing(&format!("spec.template.spec.containers[{SERVER_CONTAINER}]")));
    }
    init_container(pod, INITIALISE_CONTAINER)?;
    volume_of(pod, "data", |data| data.persistent_volume_claim.is_some())?;
    volume_of(pod, "config", |config| config.config_map.is_some())?;
    volume_of(pod, "secrets", |secrets| secrets.secret.is_some())
}

pub(super) fn volume(claim: &PersistentVolumeClaim) -> Checked {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let storage = resources.and_then(|resources| resources.requests.as_ref()?.get("storage"));
    match storage.and_then(quantity::bytes) {
        Some(_) => Ok(()),
        None => Err("spec.resources.requests.storage is not a size such as 10Gi".to_owned()),
    }
}

pub(super) fn config(config: &ConfigMap) -> Checked {
    ["pg_hba.conf", "postgresql.conf"].into_iter().try_for_each(|file| {
        let exists = config.data.as_ref().is_some_and(|data| data.contains_key(file));
        if exists { Ok(()) } else { Err(missing(&format!("data[{file}]"))) }
    })
}

pub(super) fn service(service: &Service) -> Checked {
    let mut ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    match ports.any(|port| port.port == i32::from(POSTGRES_PORT)) {
        true => Ok(()),
        false => Err(format!("spec.ports has no port {POSTGRES_PORT}")),
    }
}

fn init_container(pod: &PodSpec, name: &str) -> Checked {
    match pod.init_containers.iter().flatten().any(|container| container.name == name) {
        true => Ok(()),
        false => Err(missing(&format!("spec.template.spec.initContainers[{name}]"))),
    }
}

fn volume_of(pod: &PodSpec, name: &str, kind: impl Fn(&Volume) -> bool) -> Checked {
    let path = format!("spec.template.spec.volumes[{name}]");
    match pod.volumes.iter().flatten().find(|volume| volume.name == name) {
        None => Err(missing(&path)),
        Some(volume) if kind(volume) => Ok(()),
        Some(_) => Err(format!("{path} is of another kind")),
    }
}

fn missing(field: &str) -> String {
    format!("{field} is missing")
}
