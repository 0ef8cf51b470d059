//! The server of an instance: its secret, its configuration, its StatefulSet, its Service.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, PodSpec, Secret, Service};
use model::{ImageType, name::Name};
use sha2::{Digest, Sha256};

use super::super::templates::Templates;
use super::super::{KubernetesConfig, names};
use super::settings::settings;
use crate::{Error, InstanceSpec, Result};

/// The port of every server's Service.
pub(crate) const PORT: u16 = 5432;
/// The container that the server runs in.
pub(crate) const CONTAINER: &str = "postgres";
/// The container that makes an empty volume's data directory.
pub(crate) const INITIALISE: &str = "initialise";
/// What a new configuration changes in the pod, so that it is made anew.
const CONFIG_HASH: &str = "toygres.io/config";
/// Asks Azure for a name under `<region>.cloudapp.azure.com`.
const AZURE_DNS_LABEL: &str = "service.beta.kubernetes.io/azure-dns-label-name";

/// All parts of a server, in the order in which they are made.
pub(crate) struct Parts {
    pub(crate) secret: Secret,
    pub(crate) config: ConfigMap,
    pub(crate) service: Service,
    pub(crate) server: StatefulSet,
}

/// What a server is made of.
pub(crate) fn parts(
    spec: &InstanceSpec,
    password: &crate::Secret,
    config: &KubernetesConfig,
    templates: &Templates,
) -> Result<Parts> {
    let image = image(spec, config)?;
    let settled = configuration(spec, config, &templates.config);
    Ok(Parts {
        secret: secret(spec, password, config, &templates.secret),
        service: service(spec, config, &templates.service)?,
        server: server(spec, config, &templates.server, image, &settled),
        config: settled,
    })
}

/// The labels of every part of an instance: whose they are, and what they are for people.
pub(super) fn labels(spec: &InstanceSpec) -> BTreeMap<String, String> {
    let mut labels = selector(spec);
    labels.insert(names::APP_INSTANCE.to_owned(), names::instance_object(&spec.name));
    labels
}

/// The labels by which the pod is found: they cannot be changed later.
fn selector(spec: &InstanceSpec) -> BTreeMap<String, String> {
    let mut labels = names::instance_labels(spec.id);
    labels.insert(names::APP.0.to_owned(), names::APP.1.to_owned());
    labels
}

/// Refuses what Azure takes for no DNS label.
pub(crate) fn check_dns_label(label: Option<&str>) -> Result<()> {
    let Some(label) = label else { return Ok(()) };
    if label.len() >= 3 && Name::parse(label).is_ok_and(|name| name.as_str() == label) {
        return Ok(());
    }
    Err(Error::Impossible(
        "The DNS label cannot be used. It has 3 to 63 lowercase letters, digits and hyphens, begins with a letter and \
         does not end with a hyphen, such as orders-staging."
            .to_owned(),
    ))
}

fn image<'a>(spec: &InstanceSpec, config: &'a KubernetesConfig) -> Result<&'a str> {
    let (images, kind, setting) = match spec.image_type {
        ImageType::Stock => (&config.postgres_images, "", "TOYGRES_POSTGRES_IMAGES"),
        ImageType::PgDurable => (&config.pg_durable_images, " with pg_durable", "TOYGRES_PG_DURABLE_IMAGES"),
    };
    images.get(&spec.major).map(String::as_str).ok_or_else(|| {
        Error::Impossible(format!(
            "There is no image for PostgreSQL {major}{kind}. Add one to {setting}: {major}=<image>",
            major = spec.major
        ))
    })
}

fn secret(
    spec: &InstanceSpec,
    password: &crate::Secret,
    config: &KubernetesConfig,
    template: &Secret,
) -> Secret {
    let mut secret = template.clone();
    secret.metadata.name = Some(names::instance_object(&spec.name));
    secret.metadata.namespace = Some(config.namespace.clone());
    secret.metadata.labels.get_or_insert_default().extend(labels(spec));
    let data = secret.data.get_or_insert_with(BTreeMap::new);
    data.insert("password".to_owned(), ByteString(password.reveal().as_bytes().to_vec()));
    secret
}

fn configuration(spec: &InstanceSpec, config: &KubernetesConfig, template: &ConfigMap) -> ConfigMap {
    let mut map = template.clone();
    map.metadata.name = Some(names::instance_object(&spec.name));
    map.metadata.namespace = Some(config.namespace.clone());
    map.metadata.labels.get_or_insert_default().extend(labels(spec));
    let mut preload = spec.preload.clone();
    if spec.image_type == ImageType::PgDurable {
        preload.extend(config.pg_durable_preload.iter().filter(|more| !spec.preload.contains(more)).cloned());
    }
    let text = map.data.get_or_insert_with(BTreeMap::new).entry("postgresql.conf".to_owned()).or_default();
    text.push('\n');
    text.push_str(&settings(&spec.name, &preload));
    map
}

fn service(spec: &InstanceSpec, config: &KubernetesConfig, template: &Service) -> Result<Service> {
    check_dns_label(spec.dns_label.as_deref())?;
    let mut service = template.clone();
    service.metadata.name = Some(names::instance_object(&spec.name));
    service.metadata.namespace = Some(config.namespace.clone());
    service.metadata.labels.get_or_insert_default().extend(labels(spec));
    let wanted = service.spec.get_or_insert_default();
    wanted.selector = Some(selector(spec));
    if let Some(label) = &spec.dns_label {
        wanted.type_ = Some("LoadBalancer".to_owned());
        let annotations = service.metadata.annotations.get_or_insert_with(BTreeMap::new);
        annotations.insert(AZURE_DNS_LABEL.to_owned(), label.clone());
    }
    Ok(service)
}

fn server(
    spec: &InstanceSpec,
    config: &KubernetesConfig,
    template: &StatefulSet,
    image: &str,
    settled: &ConfigMap,
) -> StatefulSet {
    let name = names::instance_object(&spec.name);
    let mut server = template.clone();
    server.metadata.name = Some(name.clone());
    server.metadata.namespace = Some(config.namespace.clone());
    server.metadata.labels.get_or_insert_default().extend(labels(spec));
    let wanted = server.spec.get_or_insert_default();
    wanted.replicas = Some(1);
    wanted.service_name = Some(name.clone());
    wanted.selector.match_labels = Some(selector(spec));
    let pod = wanted.template.metadata.get_or_insert_default();
    pod.labels.get_or_insert_default().extend(labels(spec));
    pod.annotations.get_or_insert_default().insert(CONFIG_HASH.to_owned(), hash(settled));
    let pod = wanted.template.spec.get_or_insert_default();
    for container in pod.init_containers.iter_mut().flatten().filter(|container| container.name == INITIALISE)
    {
        container.image = Some(image.to_owned());
        set_variable(container, "POSTGRES_USER", &spec.username);
    }
    for container in pod.containers.iter_mut().filter(|container| container.name == CONTAINER) {
        container.image = Some(image.to_owned());
    }
    name_volumes(pod, &name);
    server
}

/// Mounts the parts of this instance.
fn name_volumes(pod: &mut PodSpec, name: &str) {
    for volume in pod.volumes.iter_mut().flatten() {
        match volume.name.as_str() {
            "data" => volume.persistent_volume_claim.get_or_insert_default().claim_name = name.to_owned(),
            "config" => volume.config_map.get_or_insert_default().name = name.to_owned(),
            "secrets" => volume.secret.get_or_insert_default().secret_name = Some(name.to_owned()),
            _ => {}
        }
    }
}

fn set_variable(container: &mut Container, name: &str, value: &str) {
    let env = container.env.get_or_insert_default();
    env.retain(|variable| variable.name != name);
    // Kubernetes would put other variables' values in for $(NAME).
    let value = Some(value.replace('$', "$$"));
    env.push(EnvVar { name: name.to_owned(), value, value_from: None });
}

fn hash(settled: &ConfigMap) -> String {
    let mut hash = Sha256::new();
    for (file, text) in settled.data.iter().flatten() {
        hash.update(file.as_bytes());
        hash.update([0]);
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..16])
}

#[cfg(test)]
pub(super) mod tests;
