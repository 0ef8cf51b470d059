//! The objects of an instance's server: its Secret, ConfigMap, Service and StatefulSet.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, PodSpec, Secret, Service};
use model::{Failure, FailureCode, ImageType, name::Name};
use sha2::{Digest, Sha256};

use super::super::config::KubernetesConfig;
use super::super::names::{self, INITIALISE_CONTAINER, SERVER_CONTAINER};
use super::super::templates::Templates;
use super::settings::settings;
use crate::{ExposeSecret, InstanceSpec, Result};

/// The annotation of the pod with the hash of its configuration: a change of the configuration replaces the pod.
const CONFIG_HASH: &str = "toygres.io/config";
/// The annotation that requests a name under `<region>.cloudapp.azure.com` from Azure.
const AZURE_DNS_LABEL: &str = "service.beta.kubernetes.io/azure-dns-label-name";

/// All parts of a server, in the order of their creation.
pub(crate) struct Parts {
    pub(crate) secret: Secret,
    pub(crate) config: ConfigMap,
    pub(crate) service: Service,
    pub(crate) server: StatefulSet,
}

/// Creates the parts of a server.
pub(crate) fn parts(
    spec: &InstanceSpec,
    password: &crate::Secret,
    config: &KubernetesConfig,
    templates: &Templates,
) -> Result<Parts> {
    let image = image(spec, config)?;
    let config_map = configuration(spec, config, &templates.config);
    Ok(Parts {
        secret: secret(spec, password, config, &templates.secret),
        service: service(spec, config, &templates.service)?,
        server: server(spec, config, &templates.server, image, &config_map),
        config: config_map,
    })
}

/// The labels of every part of an instance.
pub(super) fn labels(spec: &InstanceSpec) -> BTreeMap<String, String> {
    let mut labels = selector(spec);
    labels.insert(names::APP_INSTANCE.to_owned(), names::instance_object(&spec.name));
    labels
}

/// The labels that select the pod. They cannot be changed after the creation of the StatefulSet.
fn selector(spec: &InstanceSpec) -> BTreeMap<String, String> {
    let mut labels = names::instance_labels(spec.id);
    labels.insert(names::APP.0.to_owned(), names::APP.1.to_owned());
    labels
}

/// Checks a DNS label by the rules of Azure.
///
/// # Errors
/// [`FailureCode::PlatformUnsupported`].
pub(crate) fn check_dns_label(label: Option<&str>) -> Result<()> {
    let Some(label) = label else { return Ok(()) };
    if label.len() >= 3 && Name::parse(label).is_ok_and(|name| name.as_str() == label) {
        return Ok(());
    }
    let detail = "not a DNS label: it has 3 to 63 lowercase letters, digits and hyphens, begins with a letter and does not \
                  end with a hyphen";
    let shown: String = label.chars().filter(|c| !c.is_control()).take(63).collect();
    Err(Failure::new(FailureCode::PlatformUnsupported, detail).on(format!("DNS label {shown:?}")).into())
}

/// The container image of the server.
fn image<'a>(spec: &InstanceSpec, config: &'a KubernetesConfig) -> Result<&'a str> {
    let (images, kind, setting) = match spec.image_type {
        ImageType::Stock => (&config.postgres_images, "", "TOYGRES_POSTGRES_IMAGES"),
        ImageType::PgDurable => (&config.pg_durable_images, " with pg_durable", "TOYGRES_PG_DURABLE_IMAGES"),
    };
    Ok(images.get(&spec.major).map(String::as_str).ok_or_else(|| {
        Failure::new(FailureCode::ProgramsMissing, format!("no container image in {setting}"))
            .on(format!("PostgreSQL {}{kind}", spec.major))
    })?)
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
    data.insert("password".to_owned(), ByteString(password.expose_secret().as_bytes().to_vec()));
    secret
}

/// Background workers (pg_durable, pg_cron) connect over TCP on loopback, without a password.
const TRUST_LOOPBACK: &str = "host all all 127.0.0.1/32 trust\nhost all all ::1/128 trust\n";

fn configuration(spec: &InstanceSpec, config: &KubernetesConfig, template: &ConfigMap) -> ConfigMap {
    let mut map = template.clone();
    map.metadata.name = Some(names::instance_object(&spec.name));
    map.metadata.namespace = Some(config.namespace.clone());
    map.metadata.labels.get_or_insert_default().extend(labels(spec));
    let mut preload = spec.preload.clone();
    if spec.image_type == ImageType::PgDurable {
        preload.extend(config.pg_durable_preload.iter().filter(|more| !spec.preload.contains(more)).cloned());
    }
    let files = map.data.get_or_insert_with(BTreeMap::new);
    let text = files.entry("postgresql.conf".to_owned()).or_default();
    text.push('\n');
    text.push_str(&settings(&spec.name, &preload));
    if spec.trust_loopback || spec.image_type == ImageType::PgDurable {
        // The first line that fits a client counts.
        files.entry("pg_hba.conf".to_owned()).or_default().insert_str(0, TRUST_LOOPBACK);
    }
    map
}

fn service(spec: &InstanceSpec, config: &KubernetesConfig, template: &Service) -> Result<Service> {
    check_dns_label(spec.dns_label.as_deref())?;
    let mut service = template.clone();
    service.metadata.name = Some(names::instance_object(&spec.name));
    service.metadata.namespace = Some(config.namespace.clone());
    service.metadata.labels.get_or_insert_default().extend(labels(spec));
    let service_spec = service.spec.get_or_insert_default();
    service_spec.selector = Some(selector(spec));
    if let Some(label) = &spec.dns_label {
        service_spec.type_ = Some("LoadBalancer".to_owned());
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
    config_map: &ConfigMap,
) -> StatefulSet {
    let name = names::instance_object(&spec.name);
    let mut server = template.clone();
    server.metadata.name = Some(name.clone());
    server.metadata.namespace = Some(config.namespace.clone());
    server.metadata.labels.get_or_insert_default().extend(labels(spec));
    let server_spec = server.spec.get_or_insert_default();
    server_spec.replicas = Some(1);
    server_spec.service_name = Some(name.clone());
    server_spec.selector.match_labels = Some(selector(spec));
    let pod = server_spec.template.metadata.get_or_insert_default();
    pod.labels.get_or_insert_default().extend(labels(spec));
    pod.annotations.get_or_insert_default().insert(CONFIG_HASH.to_owned(), hash(config_map));
    let pod = server_spec.template.spec.get_or_insert_default();
    let mut init_containers = pod.init_containers.iter_mut().flatten();
    if let Some(container) = init_containers.find(|container| container.name == INITIALISE_CONTAINER) {
        container.image = Some(image.to_owned());
        set_variable(container, "POSTGRES_USER", &spec.username);
    }
    if let Some(container) = pod.containers.iter_mut().find(|container| container.name == SERVER_CONTAINER) {
        container.image = Some(image.to_owned());
    }
    name_volumes(pod, &name);
    server
}

/// Sets the names of the instance's parts in the pod's volumes.
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
    // Kubernetes would replace $(NAME) by the value of another variable.
    let value = Some(value.replace('$', "$$"));
    env.push(EnvVar { name: name.to_owned(), value, value_from: None });
}

fn hash(config_map: &ConfigMap) -> String {
    let mut hash = Sha256::new();
    for (file, text) in config_map.data.iter().flatten() {
        hash.update(file.as_bytes());
        hash.update([0]);
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    HEXLOWER.encode(&hash.finalize()[..16])
}

#[cfg(test)]
pub(super) mod tests;
